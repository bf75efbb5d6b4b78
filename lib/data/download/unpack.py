"""Parts of an archive, unpacked whole or not at all, and never outside their folder.

The digest of an archive is verified before it is unpacked; what is refused here is what an archive
from another place could hold.
"""

import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import IO

from lib.data.download.catalogue import Member
from lib.files import TEMPORARY

# What decoders say of bytes that make no sense to them, and zipfile of what it cannot decrypt.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, RuntimeError),
)


class UnpackError(Exception):
    """An archive could not be unpacked; the message says why, and what can be done."""


def unpack(archive: Path, members: Sequence[Member], folder: Path, *, limit: int) -> None:
    """Unpack parts of a zip or tar file into a folder.

    They are unpacked beside their places and put there in the end, when all is on the disk, so
    what is found in its place is whole.

    Args:
        archive: the file.
        members: the parts; what is there already is left as it is, but for folders without a file.
        folder: where targets are.
        limit: bytes that the parts may have, all together.

    Raises:
        UnpackError: if the archive is damaged, incomplete, encrypted or larger than ``limit``, or
            a part holds a link, a device or a name that leads elsewhere; nothing is then in its
            place.
        OSError: if the disk is full or a file cannot be written; nothing is then in its place.
    """
    staging = folder / f"{TEMPORARY}{archive.name}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _extract(archive, members, staging, limit)
        for member in members:
            count = files_below(staging / member.target)
            if not count or (member.files and count != member.files):
                raise _refused(
                    f"{archive.name} has {count:,} files of {member.source}, expected "
                    f"{member.files or 'some'}"
                )
        if hasattr(os, "sync"):
            os.sync()  # the contents before the names
        for member in members:
            target = folder / member.target
            if target.is_dir() and not target.is_symlink() and not files_below(target):
                shutil.rmtree(target)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / member.target).replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def files_below(path: Path) -> int:
    """Return the number of files in a folder and the folders in it; 1 for a file."""
    return int(path.is_file()) or sum(len(names) for _, _, names in os.walk(path))


def _extract(archive: Path, members: Sequence[Member], staging: Path, limit: int) -> None:
    left = limit

    def place_of(name: str, size: int, is_file: bool) -> Path | None:
        nonlocal left
        target = _target(name, members)
        if target is None:
            return None
        if not is_file or ".." in PureWindowsPath(target).parts:  # parted by \\ too
            raise _refused(
                f"{archive.name} holds {name[:100]!r}, which is a link, a device, or leads out of "
                "its folder"
            )
        left -= size
        if left < 0:
            raise _refused(f"{archive.name} holds more than the {limit:,} bytes expected")
        return staging / target

    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                for info in (x for x in zipped.infolist() if not x.is_dir()):
                    is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                    if place := place_of(info.filename, info.file_size, is_file):
                        _write(zipped.open(info), place)
        else:
            with tarfile.open(archive) as tar:
                for entry in (x for x in tar if not x.isdir()):
                    place = place_of(entry.name.removeprefix("./"), entry.size, entry.isreg())
                    if place and (source := tar.extractfile(entry)):
                        _write(source, place)
    except _UNREADABLE as error:
        raise _refused(f"{archive.name} cannot be read ({str(error)[:200]})") from error
    except OSError as error:
        if error.errno is not None:  # of the disk; otherwise of a decoder
            raise
        raise _refused(f"{archive.name} cannot be read ({error})") from error


def _write(source: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with source, path.open("wb") as file:
        shutil.copyfileobj(source, file)


def _target(name: str, members: Sequence[Member]) -> str | None:
    """Return the path of a file below the folder, None if it is in no part."""
    for member in members:
        if name == member.source:
            return member.target
        if member.source.endswith("/") and name.startswith(member.source):
            return f"{member.target}/{name.removeprefix(member.source)}"
    return None


def _refused(why: str) -> UnpackError:
    return UnpackError(
        f"{why}. Nothing was unpacked; remove it and fetch it again, or from another place."
    )

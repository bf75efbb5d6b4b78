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

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{why}. Nothing was unpacked; remove it and fetch it again, or from another place."
        )


def unpack(archive: Path, members: Sequence[Member], folder: Path) -> None:
    """Unpack parts of a zip or tar file into a folder.

    They are unpacked beside their places and put there in the end, when all is on the disk, so
    what is found in its place is whole.

    Args:
        archive: the file.
        members: the parts; what is there already is left as it is, but for folders without a file.
        folder: where targets are.

    Raises:
        UnpackError: if the archive is damaged, incomplete or encrypted, or a part holds a link, a
            device or a name that leads elsewhere; nothing is then in its place.
        OSError: if the disk is full or a file cannot be written; nothing is then in its place.
    """
    staging = folder / f"{TEMPORARY}{archive.name}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _extract(archive, members, staging)
        for member in members:
            count = files_below(staging / member.target)
            if not count or (member.files and count != member.files):
                raise UnpackError(
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


def _extract(archive: Path, members: Sequence[Member], staging: Path) -> None:
    def place_of(name: str, is_file: bool) -> Path | None:
        """Return where a wanted file goes."""
        for member in members:
            inside = member.source.endswith("/") and name.startswith(member.source)
            if name != member.source and not inside:
                continue
            if not is_file or ".." in PureWindowsPath(name).parts:  # parted by \\ too
                raise UnpackError(
                    f"{archive.name} holds {name[:100]!r}, which is a link, a device, or leads "
                    "out of its folder"
                )
            return staging / f"{member.target}/{name.removeprefix(member.source)}"
        return None

    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                for info in (x for x in zipped.infolist() if not x.is_dir()):
                    is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                    if place := place_of(info.filename, is_file):
                        _write(zipped.open(info), place)
        else:
            with tarfile.open(archive) as tar:
                for entry in (x for x in tar if not x.isdir()):
                    place = place_of(entry.name.removeprefix("./"), entry.isreg())
                    if place and (source := tar.extractfile(entry)):
                        _write(source, place)
    except (*_UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, no decoder
            raise
        raise UnpackError(f"{archive.name} cannot be read ({str(error)[:200]})") from error


def _write(source: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with source, path.open("wb") as file:
        shutil.copyfileobj(source, file)

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
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lib.data.download.catalogue import Member
from lib.files import TEMPORARY

# What decoders say of bytes that make no sense to them, and zipfile of what it cannot decrypt.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, RuntimeError),
)


class UnpackError(Exception):
    """An archive could not be unpacked; the message says why, and what can be done."""


class _Entry(NamedTuple):
    """Something in an archive that is no folder; ``extract`` writes it as a name in a folder."""

    name: str
    size: int
    is_file: bool
    extract: Callable[[str, Path], object]


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
    size = 0
    entries = _zip_entries if zipfile.is_zipfile(archive) else _tar_entries
    try:
        with closing(entries(archive)) as listed:
            for entry in listed:
                target = _target(entry.name, members)
                if target is None:
                    continue
                if not entry.is_file or ".." in PurePosixPath(target).parts:
                    raise _refused(
                        f"{archive.name} holds {entry.name[:100]!r}, which is a link, a device, or "
                        "leads out of its folder"
                    )
                size += entry.size
                if size > limit:
                    raise _refused(f"{archive.name} holds more than the {limit:,} bytes expected")
                entry.extract(target, staging)
    except _UNREADABLE as error:
        raise _refused(f"{archive.name} cannot be read ({str(error)[:200]})") from error
    except OSError as error:
        if error.errno is not None:  # of the disk; otherwise of a decoder
            raise
        raise _refused(f"{archive.name} cannot be read ({error})") from error


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


def _zip_entries(archive: Path) -> Generator[_Entry, None, None]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():

            def extract(name: str, folder: Path, info: zipfile.ZipInfo = info) -> None:
                info.filename = name
                opened.extract(info, folder)

            if not info.is_dir():
                is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                yield _Entry(info.filename, info.file_size, is_file, extract)


def _tar_entries(archive: Path) -> Generator[_Entry, None, None]:
    with tarfile.open(archive) as opened:
        for info in opened:

            def extract(name: str, folder: Path, info: tarfile.TarInfo = info) -> None:
                renamed = info.replace(name=name, deep=False)
                opened.extract(renamed, folder, set_attrs=False, filter="data")

            if not info.isdir():
                yield _Entry(info.name.removeprefix("./"), info.size, info.isreg(), extract)

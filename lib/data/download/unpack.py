"""Parts of an archive, unpacked whole or not at all, and never outside their folder."""

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from lib.data.download.catalogue import Member
from lib.files import TEMPORARY

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)
_CHUNK = 1 << 20


class UnpackError(RuntimeError):
    """An archive could not be unpacked; the message says why, and what can be done."""


class _Entry(NamedTuple):
    """Something in an archive that is no folder; ``open`` works if it is a regular file."""

    name: str
    regular: bool
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, members: Sequence[Member], folder: Path, *, limit: int) -> None:
    """Unpack parts of a zip or tar file into a folder.

    They are unpacked beside their places and put there in the end, when all is on the disk, so
    what is found in its place is whole.

    Args:
        archive: the file.
        members: the parts; what is there already is left as it is.
        folder: where targets are.
        limit: bytes that the parts may have, all together.

    Raises:
        UnpackError: if the archive is damaged or incomplete, larger than ``limit``, or holds
            anything that would be written elsewhere; nothing is then in its place.
        OSError: if the disk is full or cannot be written.
    """
    staging = folder / f"{TEMPORARY}{archive.name}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        counts = _extract(archive, members, staging, limit)
        for member in members:
            if not counts[member] or (member.files and counts[member] != member.files):
                expected = f"{member.files:,} files" if member.files else "it"
                raise UnpackError(
                    f"{archive.name} has {counts[member]:,} files of {member.source}, expected "
                    f"{expected}. Fetch the archive again, or from another place."
                )
        if hasattr(os, "sync"):
            os.sync()  # the contents before the names
        for member in members:
            target = folder / member.target
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / member.target).replace(target)
    except _DAMAGED as error:
        raise UnpackError(
            f"{archive.name} is damaged or was cut off ({error}). Remove it and run again."
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _extract(
    archive: Path, members: Sequence[Member], staging: Path, limit: int
) -> Counter[Member]:
    """Write the wanted files below ``staging`` and return how many each part has."""
    counts: Counter[Member] = Counter()
    left = limit
    with _entries(archive) as entries:
        for entry in entries:
            _check_name(archive, entry.name)
            place = _place(entry.name, members)
            if place is None:
                continue
            member, target = place
            if not entry.regular:
                raise UnpackError(
                    f"{archive.name} holds {entry.name}, which is a link or a device and no file. "
                    "Nothing was unpacked; get the archive from its publisher."
                )
            path = staging / target
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise UnpackError(
                    f"{archive.name} holds {entry.name} twice. Nothing was unpacked; get the "
                    "archive from its publisher."
                )
            source = entry.open()
            assert source is not None
            with source, path.open("wb") as file:
                while chunk := source.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise UnpackError(
                            f"{archive.name} holds more than the {limit:,} bytes that were "
                            "expected. Nothing was unpacked; get the archive from its publisher."
                        )
                    file.write(chunk)
            counts[member] += 1
    return counts


def _place(name: str, members: Sequence[Member]) -> tuple[Member, str] | None:
    """Return the part that a file belongs to, and its path below the folder."""
    for member in members:
        if name == member.source:
            return member, member.target
        if member.source.endswith("/") and name.startswith(member.source):
            return member, f"{member.target}/{name.removeprefix(member.source)}"
    return None


def _check_name(archive: Path, name: str) -> None:
    """Refuse an archive with a file that would be written outside the folder."""
    windows = PureWindowsPath(name)
    outside = windows.drive or windows.root or PurePosixPath(name).is_absolute()
    if outside or ".." in windows.parts or "\0" in name:
        raise UnpackError(
            f"{archive.name} holds {name!r}, which would be written outside the folder. Nothing "
            "was unpacked; get the archive from its publisher."
        )


@contextmanager
def _entries(archive: Path) -> Iterator[Iterator[_Entry]]:
    """Yield the files of an archive, folders left out."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield _zip_entries(zipped)
    else:
        with tarfile.open(archive) as tar:
            yield _tar_entries(tar)


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in archive.infolist():
        if not info.is_dir():
            kind = stat.S_IFMT(info.external_attr >> 16)
            regular = kind in (0, stat.S_IFREG)
            yield _Entry(info.filename, regular, partial(archive.open, info))


def _tar_entries(archive: tarfile.TarFile) -> Iterator[_Entry]:
    for info in archive:
        if not info.isdir():
            yield _Entry(
                info.name.removeprefix("./"), info.isreg(), partial(archive.extractfile, info)
            )

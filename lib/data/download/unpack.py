"""Parts of an archive, unpacked whole or not at all, and never outside their folder."""

import errno
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from lib.data.download.catalogue import Member
from lib.files import TEMPORARY

# What decoders say of bytes that make no sense to them; some of it is an OSError.
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
    OSError, ValueError,
)  # fmt: skip
# What a file system says of a name that it does not take, or that is taken already.
_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ)
_SHOWN = 100  # characters of a name
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
        members: the parts; what is there already is left as it is, but for folders without a file.
        folder: where targets are.
        limit: bytes that the parts may have, all together.

    Raises:
        UnpackError: if the archive is damaged, incomplete, encrypted or larger than ``limit``, or
            holds anything that would be written elsewhere, or cannot be; nothing is then in its
            place.
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
            if target.is_dir() and not target.is_symlink() and not files_below(target):
                shutil.rmtree(target)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / member.target).replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def files_below(folder: Path) -> int:
    """Return the number of files in a folder and the folders in it."""
    return sum(len(names) for _, _, names in os.walk(folder))


def _extract(
    archive: Path, members: Sequence[Member], staging: Path, limit: int
) -> Counter[Member]:
    """Write the wanted files below ``staging`` and return how many each part has."""
    counts: Counter[Member] = Counter()
    left = limit
    with closing(_entries(archive)) as entries:
        for entry in entries:
            _check_name(archive, entry.name)
            place = _place(entry.name, members)
            if place is None:
                continue
            member, target = place
            if not entry.regular:
                raise _refused(archive, entry.name, "which is a link or a device and no file")
            with _reading(archive):
                source = entry.open()
            assert source is not None
            with source, _created(archive, entry.name, staging / target) as file:
                while True:
                    with _reading(archive):
                        chunk = source.read(_CHUNK)
                    if not chunk:
                        break
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
        raise _refused(archive, name, "which would be written outside the folder")
    if any("\ud800" <= letter <= "\udfff" for letter in name):  # bytes that are no UTF-8
        raise _refused(archive, name, "a name that is no text")


def _created(archive: Path, name: str, path: Path) -> IO[bytes]:
    """Return a new file and make its folders; refuse a name that cannot be, or is taken."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
    except FileExistsError as error:
        raise _refused(archive, name, "twice, or as a file and as a folder") from error
    except OSError as error:
        if error.errno not in _NAMES:
            raise
        raise _refused(archive, name, f"which cannot be written here ({error.strerror})") from error


def _refused(archive: Path, name: str, why: str) -> UnpackError:
    shown = repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
    return UnpackError(
        f"{archive.name} holds {shown}, {why}. Nothing was unpacked; get the archive from its "
        "publisher."
    )


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Say what is wrong with an archive where it cannot be read."""
    try:
        yield
    except RuntimeError as error:  # of zipfile, which knows no other way to say this
        lacking = isinstance(error, NotImplementedError)
        how = "packed in a way that is not supported here" if lacking else "encrypted"
        raise UnpackError(
            f"{archive.name} is {how}. Nothing was unpacked; get the archive from its publisher."
        ) from error
    except _DAMAGED as error:
        reason = str(error).partition(":\n")[0]
        raise UnpackError(
            f"{archive.name} is damaged or was cut off ({reason}). Remove it and run again."
        ) from error


def _entries(archive: Path) -> Generator[_Entry, None, None]:
    """Yield the files of an archive, folders left out."""
    with _reading(archive):
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield from _zip_entries(zipped)
        else:
            with tarfile.open(archive) as tar:
                yield from _tar_entries(tar)


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
    while archive.fileobj and archive.fileobj.read(_CHUNK):  # to the checksum at the very end
        pass

"""Whole sets from the network: room is checked first, files come in parallel, each is unpacked."""

import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lib.data.download.catalogue import Collection, Remote
from lib.data.download.fetch import FetchError, Meter, described, fetch, mismatch, part_of
from lib.data.download.unpack import UnpackError, files_below, unpack

_AT_ONCE = 4  # files; more from one server gain little
_SPARE = 1 << 28  # bytes that stay free


class AcquireError(RuntimeError):
    """Some of the sets did not arrive; the message has a paragraph for each problem."""


@dataclass(frozen=True)
class _Job:
    remote: Remote
    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / self.remote.name

    @property
    def done(self) -> bool:
        """Whether all that is wanted of the file is in its place.

        Raises:
            AcquireError: if something else is there.
        """
        if not self.remote.members:
            there = _is_there(self.archive, folder=False)
            if there and (problem := mismatch(self.remote, self.archive)):
                raise AcquireError(_brought(problem, self.archive))
            return there
        found = [
            _is_there(self.folder / m.target, folder=m.source.endswith("/"), files=m.files)
            for m in self.remote.members
        ]
        return all(found)

    @property
    def here(self) -> int:
        """Bytes of the file that an earlier run has fetched, or somebody has put there."""
        for path in (self.archive, part_of(self.archive)):
            if path.exists():
                return path.stat().st_size
        return 0


def acquire(
    collections: Sequence[Collection], to: Path, *, keep: bool = False, pause: float = 1.0
) -> None:
    """Fetch, verify and unpack sets. What is there is left as it is; what is begun is continued.

    Args:
        collections: the sets.
        to: the data folder.
        keep: leave archives after unpacking. One that somebody has put there is left anyway.
        pause: seconds before a failed connection is tried again.

    Raises:
        AcquireError: if anything is missing in the end; the rest is in its place.
    """
    jobs = []
    for job in [_Job(r, to / c.folder) for c in collections for r in c.remotes]:
        if job.done:
            print(f"{job.remote.name}: there already", flush=True)
        else:
            jobs.append(job)
    if not jobs:
        return
    for folder in dict.fromkeys([to, *(job.folder for job in jobs)]):
        _check_writable(folder)
    try:
        with FileLock(to / ".download.lock", timeout=0):
            _check_room(jobs, to)
            _run(jobs, keep=keep, pause=pause)
    except Timeout:
        raise AcquireError(
            f"Another download into {to} is running. Wait for it, or name another folder with --to."
        ) from None


def places(collections: Sequence[Collection], to: Path) -> str:
    """Return what to put where by hand, a line for each file."""
    return "\n".join(
        f"{remote.urls[0]}\n    {described(remote)}\n    -> {to / collection.folder / remote.name}"
        for collection in collections
        for remote in collection.remotes
    )


def _is_there(path: Path, *, folder: bool, files: int = 0) -> bool:
    """Return whether a part is in its place; a folder without a file is nothing.

    Raises:
        AcquireError: if something else is there, or not all of it: it may be somebody's.
    """
    if folder and path.is_dir():
        count = files_below(path)
        if count >= max(files, 1):
            return True
        if not count and not path.is_symlink():
            return False
        problem = f"has {count:,} files, expected " + (f"{files:,}" if files else "some")
    elif not folder and path.is_file():
        if path.stat().st_size:
            return True
        problem = "is an empty file"
    elif path.exists() or path.is_symlink():
        problem = "is in the way of a " + ("folder" if folder else "file")
    else:
        return False
    raise AcquireError(f"{path} {problem}. Move it away and run again. Nothing was fetched.")


def _check_writable(folder: Path) -> None:
    """Make a folder, and make sure that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AcquireError(
            f"Nothing can be written in {folder} ({error.strerror}). Set that right, or name "
            "another folder with --to. Nothing was fetched."
        ) from error


def _brought(problem: str, path: Path) -> str:
    """Return what to do about a file that somebody has put where the downloads go."""
    return f"{problem} It was not fetched by this program and stays: move {path} away, run again."


def _check_room(jobs: Sequence[_Job], to: Path) -> None:
    coming = sum(max(job.remote.size - job.here, 0) for job in jobs)
    unpacked = sum(job.remote.unpacked for job in jobs)
    needed, free = coming + unpacked + _SPARE, shutil.disk_usage(to).free
    print(f"{coming / 1e9:.2f} GB to fetch, {unpacked / 1e9:.2f} GB to unpack", flush=True)
    if needed > free:
        raise AcquireError(
            f"{needed / 1e9:.1f} GB are needed in {to} ({coming / 1e9:.1f} to fetch, "
            f"{unpacked / 1e9:.1f} to unpack, some to spare), and {free / 1e9:.1f} GB are free. "
            "Make room, name another folder with --to, or fetch one set at a time. Nothing was "
            "fetched."
        )


def _run(jobs: Sequence[_Job], *, keep: bool, pause: float) -> None:
    meter, stop = Meter(sum(job.remote.size for job in jobs)), threading.Event()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = [pool.submit(_one, job, meter, stop, keep=keep, pause=pause) for job in jobs]
        try:
            wait(running)
        except BaseException:  # Ctrl-C: the threads end at their next piece
            stop.set()
            for future in running:
                future.cancel()
            raise
    problems = []
    for job, future in zip(jobs, running, strict=True):
        try:
            future.result()
        except (FetchError, UnpackError) as problem:
            problems.append(str(problem))
        except OSError as error:
            problems.append(
                f"{job.remote.name}: {error.strerror}: {error.filename or job.folder}. Set that "
                "right and run again; it continues."
            )
    if problems:
        raise AcquireError("\n\n".join(problems))


def _one(job: _Job, meter: Meter, stop: threading.Event, *, keep: bool, pause: float) -> None:
    """Fetch one file and unpack its parts."""
    remote = job.remote
    meter.found(job.here)
    if job.archive.exists():  # put there by somebody, whose it is
        file = job.archive
        if problem := mismatch(remote, file):
            raise FetchError(_brought(problem, file))
    else:
        file = fetch(remote, job.archive, on_bytes=meter.add, stop=stop, pause=pause)
    print(f"{remote.name}: whole and verified", flush=True)
    if remote.members:
        try:
            unpack(file, remote.members, job.folder, limit=2 * remote.unpacked)
        except OSError as error:
            raise UnpackError(
                f"{remote.name} could not be unpacked in {job.folder} ({error.strerror}). The "
                "archive stays; make room there or set it right, and run again."
            ) from error
        kept = " The archive stays: it was not fetched by this program." * (file == job.archive)
        print(f"{remote.name}: unpacked.{kept}", flush=True)
    if file != job.archive and (keep or not remote.members):
        file.replace(job.archive)
    elif file != job.archive:
        file.unlink()

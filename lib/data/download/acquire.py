"""Whole sets from the network: room is checked first, files come in parallel, each is unpacked."""

import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lib.data.download.catalogue import Collection, Remote
from lib.data.download.fetch import FetchError, Meter, described, fetch, part_of, verify
from lib.data.download.unpack import UnpackError, unpack

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
        return all((self.folder / target).exists() for target in self.remote.targets)

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
        keep: leave archives where they are after unpacking.
        pause: seconds before a failed connection is tried again.

    Raises:
        AcquireError: if anything is missing in the end; the rest is in its place.
    """
    jobs = [_Job(r, to / c.folder) for c in collections for r in c.remotes]
    for job in jobs:
        if job.done:
            print(f"{job.remote.name}: there already", flush=True)
    jobs = [job for job in jobs if not job.done]
    if not jobs:
        return
    to.mkdir(parents=True, exist_ok=True)
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
    for future in running:
        try:
            future.result()
        except (FetchError, UnpackError) as problem:
            problems.append(str(problem))
    if problems:
        raise AcquireError("\n\n".join(problems))


def _one(job: _Job, meter: Meter, stop: threading.Event, *, keep: bool, pause: float) -> None:
    """Fetch one file and unpack its parts."""
    remote = job.remote
    meter.found(job.here)
    if job.archive.exists():  # put there by somebody, or not unpacked any more
        verify(remote, job.archive)
    else:
        fetch(remote, job.archive, on_bytes=meter.add, stop=stop, pause=pause)
    print(f"{remote.name}: whole and verified", flush=True)
    if remote.members:
        try:
            unpack(job.archive, remote.members, job.folder, limit=2 * remote.unpacked)
        except OSError as error:
            raise UnpackError(
                f"{remote.name} could not be unpacked in {job.folder} ({error.strerror}). The "
                "archive stays; make room there or set it right, and run again."
            ) from error
        if not keep:
            job.archive.unlink()
        print(f"{remote.name}: unpacked", flush=True)

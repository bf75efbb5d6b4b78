"""Whole sets from the network: room is checked first, files come in parallel, each is unpacked."""

import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from lib.data.download.catalogue import Collection, Remote
from lib.data.download.fetch import FetchError, described, fetch, mismatch, part_of
from lib.data.download.unpack import UnpackError, files_below, unpack
from lib.files import explain

_AT_ONCE = 4  # files; more from one server gain little
_SPARE = 1 << 28  # bytes that stay free


class AcquireError(Exception):
    """Some of the sets did not arrive; the message has a paragraph for each problem."""


@dataclass(frozen=True)
class _Job:
    remote: Remote
    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / self.remote.name

    @property
    def here(self) -> int:
        """Bytes of the file that an earlier run has fetched, or somebody has put there."""
        found = [p for p in (self.archive, part_of(self.archive)) if p.exists()]
        return found[0].stat().st_size if found else 0

    def is_done(self) -> bool:
        """Return whether all that is wanted of the file is in its place.

        Raises:
            AcquireError: if something else is there.
        """
        if self.remote.members:
            found = [
                _is_there(self.folder / m.target, m.source.endswith("/"), m.files)
                for m in self.remote.members
            ]
            return all(found)
        if self.archive.exists():
            self.check_brought()
        return self.archive.exists()

    def check_brought(self) -> None:
        """Raise ``AcquireError`` if what somebody has put where the file goes is another one."""
        if problem := mismatch(self.remote, self.archive):
            raise AcquireError(
                f"{problem} It was not fetched by this program and stays: move {self.archive} "
                "away, run again."
            )

    def run(self, meter: "tqdm[None]", stop: threading.Event) -> None:
        """Fetch the file and unpack its parts."""
        remote, file = self.remote, self.archive
        brought = file.exists()  # by somebody, whose it is
        if brought:
            self.check_brought()
        else:
            file = fetch(remote, self.archive, on_bytes=meter.update, stop=stop)
        tqdm.write(f"{remote.name}: whole and verified")
        if remote.members:
            unpack(file, remote.members, self.folder)
            kept = " The archive stays: it was not fetched by this program." if brought else ""
            tqdm.write(f"{remote.name}: unpacked.{kept}")
            if not brought:
                file.unlink()
        elif not brought:
            file.replace(self.archive)


def acquire(collections: Sequence[Collection], to: Path) -> None:
    """Fetch, verify and unpack sets. What is there is left as it is; what is begun is continued.

    Args:
        collections: the sets.
        to: the data folder.

    Raises:
        AcquireError: if anything is missing in the end; the rest is in its place.
        OSError: if a folder cannot be written; nothing was fetched.
    """
    jobs = []
    for job in [_Job(r, to / c.folder) for c in collections for r in c.remotes]:
        if job.is_done():
            print(f"{job.remote.name}: there already", flush=True)
        else:
            jobs.append(job)
    if not jobs:
        return
    for folder in dict.fromkeys([to, *(job.folder for job in jobs)]):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # before a night of fetching, not after
            pass
    try:
        with FileLock(to / ".download.lock", timeout=0):
            _check_room(jobs, to)
            _run(jobs)
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


def _is_there(path: Path, is_folder: bool, files: int) -> bool:
    """Return whether a part is in its place; a folder without a file is nothing.

    Raises:
        AcquireError: if something else is there, or not all of it: it may be somebody's.
    """
    count = files_below(path)
    filled = path.is_dir() if is_folder else path.is_file() and path.stat().st_size
    if count >= max(files, 1) and filled:
        return True
    nothing = not path.exists() or (is_folder and path.is_dir() and not count)
    if nothing and not path.is_symlink():  # a link may lead to a disk that is not there now
        return False
    expected = f"{files:,}" if files else "a folder of some" if is_folder else "one that has bytes"
    raise AcquireError(
        f"{path} has {count:,} files, expected {expected}. Move it away and run again. "
        "Nothing was fetched."
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


def _run(jobs: Sequence[_Job]) -> None:
    size, here = sum(job.remote.size for job in jobs), sum(job.here for job in jobs)
    stop = threading.Event()
    with (
        tqdm(total=size, initial=here, unit="B", unit_scale=True, mininterval=5) as meter,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        running = [pool.submit(job.run, meter, stop) for job in jobs]
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
        except (AcquireError, FetchError, UnpackError) as problem:
            problems.append(str(problem))
        except OSError as error:
            problems.append(
                f"{job.remote.name} did not arrive in {job.folder}: {explain(error)} What is "
                "fetched stays."
            )
    if problems:
        raise AcquireError("\n\n".join(problems))

"""Work in shards that survive interruption: every finished shard is a file, nothing is done twice.

The results of a unit of work depend on the unit alone, so the number of workers, their order and
any interruption between them cannot change what is gathered in the end.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import joblib
from filelock import FileLock, Timeout

from lib.files import read_json, write_json

Unit = TypeVar("Unit")


class WorkerLostError(RuntimeError):
    """A worker process died; what was finished is on disk."""


def run(
    units: Sequence[Unit], work: Callable[[Unit], Any], *, folder: Path, workers: int
) -> Iterator[tuple[int, Any]]:
    """Yield the index and the result of every unit, those found in ``folder`` first.

    A new result is written to ``folder`` before it is yielded. This process writes alone, so
    workers on other machines need no common disk.

    Args:
        units: what ``work`` takes, one at a time.
        work: a function of a module, for other processes to find; its result must be JSON.
        folder: holds one file per finished unit; must belong to exactly these units.
        workers: processes; with 1 the work is done in this one.

    Raises:
        WorkerLostError: if a worker process was killed, for example for want of memory.
    """
    done = finished(folder, len(units))
    missing = [index for index in range(len(units)) if index not in done]
    for index in sorted(done):
        yield index, read_json(_shard(folder, index))
    # pre_dispatch keeps few units in flight: units may be many, and a worker's result is written
    # as soon as it is there.
    parallel = joblib.Parallel(
        n_jobs=min(workers, max(len(missing), 1)),
        return_as="generator_unordered",
        batch_size=1,
        pre_dispatch="2*n_jobs",
    )
    call = joblib.delayed(partial(_numbered, work))
    try:
        for index, result in parallel(call(index, units[index]) for index in missing):
            write_json(_shard(folder, index), result)
            yield index, result
    except BrokenProcessPool as error:
        raise WorkerLostError(
            "A worker process was killed, perhaps for want of memory. The finished part is kept: "
            "start the same command again to continue, with fewer workers if memory is short."
        ) from error


def finished(folder: Path, count: int) -> set[int]:
    """Return which of ``count`` units have their result in ``folder``."""
    return {index for index in range(count) if _shard(folder, index).exists()}


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process inside the block.

    Raises:
        ValueError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ValueError(
            f"Another process is writing to {folder}. Wait for it, or choose another output file."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _numbered(work: Callable[[Unit], Any], index: int, unit: Unit) -> tuple[int, Any]:
    return index, work(unit)


def _shard(folder: Path, index: int) -> Path:
    return folder / f"{index:06d}.json"

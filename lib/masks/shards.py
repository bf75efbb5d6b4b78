"""Work in shards that survive interruption: every finished shard is a file, nothing is done twice.

The results of a unit of work depend on the unit alone, so the number of workers, their order and
any interruption between them cannot change what is gathered in the end.
"""

import logging
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import joblib
from filelock import FileLock, Timeout

from lib.cluster import completed
from lib.files import digest_of, read_object, write_json
from lib.workers import WorkerLostError, worker_options

log = logging.getLogger(__name__)

Unit = TypeVar("Unit")

MANY_UNITS = 256
"""Into so many units even a small set is cut, if it has as many images.

At the end, workers wait for the last units: of n equal ones, w workers lose at most (w - 1) / n of
the time, 0.4 % for 2 and 6 % for 16. A unit costs 1 ms besides its work, on a cluster 4 ms, so that
even single images are worth sending. The number of workers must not enter: a run continued with
other workers would find no unit of its own.
"""

LOCK = "lock"
"""Name of the file that a process holds in the folder of its shards."""


def unit_size(images: int, most: int) -> int:
    """Return how many images make a unit: up to ``most``, fewer in a small set."""
    return max(1, min(most, math.ceil(images / MANY_UNITS)))


def run(
    units: Sequence[Unit],
    work: Callable[[Unit], Any],
    *,
    folder: Path,
    workers: int,
    done: Mapping[int, Any] | None = None,
    cluster: Any = None,
    made_by: Callable[[], Mapping[str, Any]] = dict,
) -> Iterator[tuple[int, Any]]:
    """Yield the index and the result of every unit, those found in ``folder`` first.

    A new result is written to ``folder`` before it is yielded. This process writes alone, so
    workers on other machines need no common disk.

    Args:
        units: what ``work`` takes, one at a time.
        work: a function of a module, for other processes to find; its result must be JSON.
        folder: holds one file per finished unit; must belong to exactly these units.
        workers: processes; with 1 the work is done in this one. Numerical libraries use one
            thread in each.
        done: what `finished` found in ``folder``, if that was asked already.
        cluster: does the work in place of processes here, see `lib.cluster.connected`.
        made_by: the versions of all that could change a result, by name; a worker of the cluster
            where they differ is an error.

    Raises:
        WorkerLostError: if a worker process was killed, for example for want of memory.
        ValueError: if versions differ.
    """
    done = finished(folder, len(units)) if done is None else done
    missing = {index: unit for index, unit in enumerate(units) if index not in done}
    yield from done.items()
    if not missing:
        return
    try:
        if cluster:
            results = completed(cluster, work, missing, made_by)
        else:
            with joblib.parallel_config(**worker_options()):
                parallel = joblib.Parallel(
                    n_jobs=min(workers, len(missing)),
                    return_as="generator_unordered",
                    batch_size=1,
                )
            call = joblib.delayed(partial(_numbered, work))
            results = parallel(call(index, unit) for index, unit in missing.items())
        try:
            for index, result in results:
                write_json(_shard(folder, index), _signed(index, result))
                yield index, result
        finally:
            with warnings.catch_warnings():  # joblib counts what an interruption leaves undone
                warnings.simplefilter("ignore")
                results.close()
    except BrokenProcessPool as error:
        raise WorkerLostError(
            "A worker process was killed, perhaps for want of memory. The finished part is kept: "
            "start the same command again to continue, with fewer workers if memory is short."
        ) from error


def finished(folder: Path, count: int) -> dict[int, Any]:
    """Return the results of ``count`` units that are in ``folder``; remove damaged ones."""
    results: dict[int, Any] = {}
    damaged = 0
    for index in range(count):
        path = _shard(folder, index)
        if not path.exists():
            continue
        found = read_object(path)
        if _is_whole(found, index):
            results[index] = found["result"]
        else:
            damaged += 1
            path.unlink()
    if damaged:
        log.warning(
            "%d of %d finished pieces in %s are damaged and made again.",
            damaged, len(results) + damaged, folder,
        )  # fmt: skip
    return results


def clear(folder: Path) -> None:
    """Remove the shards in ``folder``, and the folder above it unless something else is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    others = sum(path.is_dir() for path in folder.parent.iterdir())
    if not others:
        (folder.parent / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # a file of somebody else's is in it
            folder.parent.rmdir()
        return
    log.warning(
        "%s holds finished pieces of %d interrupted runs with other settings or pictures. Start "
        "those again to complete them, or remove the folder.",
        folder.parent, others,
    )  # fmt: skip


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process inside the block.

    Raises:
        ValueError: if another process holds it, or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"{folder} is a file, but finished pieces are to be kept in a folder of this name. "
            "Rename the file, or choose another output file."
        )
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
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


def _signed(index: int, result: Any) -> dict[str, Any]:
    return {"digest": digest_of([index, result]), "result": result}


def _is_whole(found: dict[str, Any], index: int) -> bool:
    try:
        return found == _signed(index, found.get("result"))
    except ValueError:  # NaN
        return False


def _shard(folder: Path, index: int) -> Path:
    return folder / f"{index:06d}.json"

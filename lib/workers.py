"""Worker processes: how many share a piece of work, and what becomes of them."""

import logging
import os
import threading
import time
from typing import Any

import joblib

log = logging.getLogger(__name__)

PER_CORE = 2
"""Processes for each core, at most: one that waits for the disk leaves its core to another."""


class WorkerLostError(RuntimeError):
    """A worker process died; what was finished is on disk."""


def worker_count(workers: int) -> int:
    """Return the number of processes to use; 0 means every core that this process may use.

    That is fewer than the machine has in a container, or where the scheduler grants a part. More
    than ``PER_CORE`` for each core are not started.

    Raises:
        ValueError: if it is negative.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}: expected 1 or more, or 0 for all cores.")
    cores = joblib.cpu_count()
    if workers > PER_CORE * cores:
        log.warning(
            "%d workers would only wait for the %d cores here: %d are started.",
            workers, cores, PER_CORE * cores,
        )  # fmt: skip
        return PER_CORE * cores
    return workers or cores


def worker_options() -> dict[str, Any]:
    """Return what ``joblib.parallel_config`` is told of local worker processes.

    Each uses one thread of numerical libraries, and ends when this process is gone.
    """
    return {
        "backend": "loky",
        "inner_max_num_threads": 1,
        "initializer": end_with,
        "initargs": (os.getpid(),),
    }


def end_with(*processes: int) -> None:
    """End this process soon after one of others, given by their ids, in whatever way that ends."""
    import psutil  # type: ignore[import-untyped]  # what trains elsewhere may lack it

    def runs(process: int) -> bool:
        try:
            return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def watch() -> None:
        while all(map(runs, processes)):
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

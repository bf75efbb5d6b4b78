"""What a worker of a dask cluster does for a runner elsewhere: execute notebooks, as here.

A step's subprocess ends with the worker, and with the wish for it: the runner's Ctrl-C, its death
and a lost connection all make dask forget the task, which is asked for every second.
"""

import functools
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib.cluster import compare, workers_of
from lib.files import digest
from lib.paths import ROOT
from lib.runner.fingerprint import package_versions
from lib.runner.gpus import Shares, visible_gpus
from lib.runner.jobs import CHILDREN, Job, Outcome
from lib.runner.machine import usable_cores
from lib.runner.places import Run, run_with
from lib.runner.steps import Kind

GPU = "GPU"
"""The resource that workers declare: how many trainings may share the GPUs that each sees."""

_LOOK_EVERY, _SEE_SECONDS = 1.0, 5.0

_running: set[str] = set()
"""The folders of the steps that this process executes."""
_lock = threading.Lock()


@functools.cache
def versions() -> dict[str, str]:
    """Return what has to be the same on all machines, as it was when first asked for."""
    files = [f"lib/runner/{name}.py" for name in ("jobs", "places", "worker")]
    return {
        "the folder of the study": str(ROOT),
        "Python": platform.python_version(),
        **package_versions(),
        **{name: digest(ROOT / name) for name in files},
    }


def look(mark: str) -> dict[str, Any]:
    """Return what a runner has to know of this process before it sends steps.

    Args:
        mark: a file that the runner has just written.
    """
    return {
        "node": platform.node(),
        "sees": is_seen(Path(mark), _SEE_SECONDS),
        "versions": versions(),
        "gpus": [gpu.uuid for gpu in visible_gpus()],
    }


def steps_running() -> list[str]:
    """Return the folders of the steps that this process executes."""
    return sorted(_running)


def is_seen(path: Path, seconds: float) -> bool:
    """Return whether a file shows up within some time; disks of a network show files late."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
        with suppress(OSError):
            list(path.parent.iterdir())  # asks the server anew
    return True


def trainings_of(worker: Mapping[str, Any]) -> int:
    """Return for how many trainings at a time a worker declares GPUs, 0 if it does not.

    Args:
        worker: what its scheduler knows of it.
    """
    return min(int(worker["resources"].get(GPU, 0)), worker["nthreads"])


def execute(run: Run, job: Job, kind: Kind, *, topic: str, expected: Mapping[str, str]) -> Outcome:
    """Execute a job in this worker and return how it ended; what it prints goes to the runner.

    Args:
        run: executes a notebook.
        job: what is to be executed.
        kind: of its step.
        topic: under which the runner hears what is printed.
        expected: its ``versions()``.
    """
    from distributed import get_client, get_worker

    worker, client = get_worker(), get_client()
    try:
        compare(versions, expected)
    except ValueError as error:
        return Outcome(0.0, str(error))
    if not is_seen(Path(job.folder), _SEE_SECONDS) or not Path(job.source).exists():
        return Outcome(0.0, unseen(platform.node(), job.folder))
    workers = workers_of(client)
    own = workers[worker.address]
    with _lock:  # one for all trainings that begin at the same time
        shares = _shares(max(1, trainings_of(own)))
    if kind == "train" and not shares.gpus:
        # Dask gives its workers a single thread for numerical libraries: good for small tasks.
        neighbours = sum(other["host"] == own["host"] for other in workers.values())
        job = replace(job, threads=max(1, usable_cores() // neighbours))
    with _ended_unless_wanted(client, worker.address, worker.get_current_task(), job.folder):
        return run_with(run, job, kind, shares, say=functools.partial(worker.log_event, topic))


def unseen(host: str, folder: str) -> str:
    """Return what to say of a machine that lacks a folder."""
    return (
        f"The worker on {host} does not see {folder} as it is here. All machines of a cluster need "
        "the study under the same path, on a disk that they share."
    )


@functools.cache
def _shares(trainings: int) -> Shares:
    return Shares(visible_gpus(), trainings)


@contextmanager
def _ended_unless_wanted(client: Any, address: str, task: Any, folder: str) -> Iterator[None]:
    """End the subprocess of a step, inside the block, once nobody waits for its task."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY):
            try:
                wanted = task in client.processing([address])[address]
            except Exception:  # whatever it is: the scheduler has lost this worker
                wanted = False
            if not wanted:
                CHILDREN.end_one(folder)

    _running.add(folder)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        _running.discard(folder)

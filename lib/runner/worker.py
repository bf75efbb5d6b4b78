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

from lib.cluster import difference, workers_of
from lib.files import digest
from lib.paths import ROOT
from lib.runner.fingerprint import package_versions
from lib.runner.jobs import CHILDREN, Job, Outcome
from lib.runner.machine import Gpu, Shares, usable_cores, visible_gpus
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


def look(
    workers: Mapping[str, Mapping[str, Any]],
    mark: Path,
    expected: Mapping[str, str],
    dask_worker: Any = None,
) -> tuple[str, list[str]]:
    """Return why this process is not fit, see :func:`unfit`, and the GPUs that it sees.

    Args:
        workers: what the scheduler knows of all.
        mark: a file that the runner has just written.
        expected: the runner's ``versions()``.
        dask_worker: this process; dask fills it in.
    """
    problem = unfit(workers[dask_worker.address], mark, expected)
    return problem, [gpu.uuid for gpu in _gpus()]


def unfit(own: Mapping[str, Any], seen: Path, expected: Mapping[str, str]) -> str:
    """Return in a sentence why this process must not execute steps; empty if it may.

    Args:
        own: what the scheduler knows of it.
        seen: what the runner has written in the folder of the profile.
        expected: the runner's ``versions()``.
    """
    host, threads = platform.node(), own["nthreads"]
    if differs := difference(expected, versions()):
        return (
            f"The worker on {host} differs from this machine: {differs}. All need the same code "
            "and packages; restart workers after a change."
        )
    if not is_seen(seen, _SEE_SECONDS):
        return (
            f"The worker on {host} does not see {seen.parent} as it is here. All machines of a "
            "cluster need the study under the same path, on a disk that they share."
        )
    if threads > 1 and not trainings_of(own):
        return (
            f"The worker on {host} has {threads} threads and would run as many steps at once, each "
            "with all cores. Start it with --nthreads 1, or declare how many trainings share its "
            f'GPUs: --nthreads 2 --resources "{GPU}=2".'
        )
    return ""


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
    workers = workers_of(client)
    own = workers[worker.address]
    if problem := unfit(own, Path(job.folder), expected):
        return Outcome(0.0, problem)
    with _lock:  # one for all trainings that begin at the same time
        shares = _shares(max(1, trainings_of(own)))
    if kind == "train" and not shares.gpus:
        # Dask gives its workers a single thread for numerical libraries: good for small tasks.
        neighbours = sum(other["host"] == own["host"] for other in workers.values())
        job = replace(job, threads=max(1, usable_cores() // neighbours))
    with _ended_unless_wanted(client, worker.address, worker.get_current_task(), job.folder):
        return run_with(run, job, kind, shares, say=functools.partial(worker.log_event, topic))


@functools.cache
def _gpus() -> tuple[Gpu, ...]:
    return visible_gpus()


@functools.cache
def _shares(trainings: int) -> Shares:
    return Shares(_gpus(), trainings)


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

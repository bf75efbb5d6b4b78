"""What a worker of a dask cluster does for a runner elsewhere: execute notebooks, as here.

A step's subprocess ends with the worker, and with the wish for it: the runner's Ctrl-C, its death
and a lost connection all make dask forget the task, which is looked for twice a second.
"""

import functools
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lib.cluster import compare
from lib.files import digest, read_object, write_json
from lib.paths import ROOT
from lib.runner.fingerprint import package_versions
from lib.runner.gpus import Gpu, visible_gpus
from lib.runner.jobs import CHILDREN, Job, Outcome
from lib.runner.machine import usable_cores
from lib.runner.places import Run, run_with
from lib.runner.steps import Kind

GPU = "GPU"
"""The resource that workers declare: how many trainings may share the GPUs that each sees."""

ATTEMPTS = "attempts.json"
MOST_ATTEMPTS = 2

_LOOK_EVERY, _SEE_SECONDS = 0.5, 5.0
_ENDING = ("stopping", "stopped", "closing", "closed", "failed")
"""States of a worker that has lost its scheduler or is told to end."""

_running: dict[str, tuple[Gpu, ...]] = {}
"""The GPUs of each step that this process executes, by the step's folder."""
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
    with _lock:
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


def workers_of(dask_scheduler: Any = None) -> list[dict[str, Any]]:
    """Return, on a scheduler, what it knows of its workers.

    Returns:
        For each ``address``, ``host``, ``threads``, and ``units``: how many trainings it takes at
        a time by the resource that it declares, 0 if it declares none.
    """
    return [
        {
            "address": state.address,
            "host": state.host,
            "threads": state.nthreads,
            "units": min(int(state.resources.get(GPU, 0)), state.nthreads),
        }
        for state in dask_scheduler.workers.values()
    ]


def execute(
    run: Run,
    job: Job,
    kind: Kind,
    *,
    ticket: str,
    topic: str,
    expected: Mapping[str, str],
    neighbours: Mapping[str, int],
) -> Outcome:
    """Execute a job in this worker and return how it ended; what it prints goes to the runner.

    Args:
        run: executes a notebook.
        job: what is to be executed.
        kind: of its step.
        ticket: names this task; dask hands it to another worker if one dies.
        topic: under which the runner hears what is printed.
        expected: its ``versions()``.
        neighbours: how many workers each host has.
    """
    from distributed import get_worker

    worker, folder = get_worker(), Path(job.folder)
    try:
        compare(versions, expected)
    except ValueError as error:
        return Outcome(0.0, str(error))
    if not is_seen(folder, _SEE_SECONDS) or not Path(job.source).exists():
        return Outcome(0.0, unseen(platform.node(), str(folder)))
    if _attempt(folder / ATTEMPTS, ticket) > MOST_ATTEMPTS:
        return Outcome(
            0.0,
            f"{MOST_ATTEMPTS} workers died while they executed this step, perhaps for want of "
            "memory. What it had finished is kept.",
        )
    with _share(job.folder, kind, worker) as (share, hide), _ended_unless_wanted(worker, job):
        if kind == "train" and not hide:
            # Dask gives its workers a single thread for numerical libraries: good for small tasks.
            cores = usable_cores() // neighbours.get(worker.ip, 1)
            job = replace(job, threads=max(1, cores))
        return run_with(run, job, share, hide=hide, say=partial(_say, worker, topic))


def unseen(host: str, folder: str) -> str:
    """Return what to say of a machine that lacks a folder."""
    return (
        f"The worker on {host} does not see {folder} as it is here. All machines of a cluster need "
        "the study under the same path, on a disk that they share."
    )


def _attempt(path: Path, ticket: str) -> int:
    """Return how many times a task was begun, this time included."""
    content, before = read_object(path), 0
    if content.get("ticket") == ticket and isinstance(content.get("count"), int):
        before = content["count"]
    write_json(path, {"ticket": ticket, "count": before + 1})
    return before + 1


@contextmanager
def _share(folder: str, kind: Kind, worker: Any) -> Iterator[tuple[tuple[Gpu, ...], bool]]:
    """Hold a step's GPUs inside the block: its share of those that this process sees.

    Yields:
        The share, and whether there are any GPUs.
    """
    there = visible_gpus()
    units = max(1, int(worker.state.total_resources.get(GPU, 1)))
    size = 0 if kind == "cpu" else max(1, len(there) // units)
    with _lock:
        taken = {gpu for share in _running.values() for gpu in share}
        free = [gpu for gpu in there if gpu not in taken]
        _running[folder] = tuple(free[: 1 if kind == "alone" else size])
    try:
        yield _running[folder], bool(there)
    finally:
        with _lock:
            del _running[folder]


@contextmanager
def _ended_unless_wanted(worker: Any, job: Job) -> Iterator[None]:
    """End the subprocess of a job, inside the block, once nobody waits for its task."""
    key, over = worker.get_current_task(), threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY):
            task = worker.state.tasks.get(key)
            wanted = task is not None and task.state != "cancelled"
            if not wanted or worker.status.name in _ENDING:
                CHILDREN.end_one(job.folder)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _say(worker: Any, topic: str, line: str) -> None:
    worker.log_event(topic, line)

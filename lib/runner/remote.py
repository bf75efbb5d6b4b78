"""Steps on a dask cluster, whose workers see the same folders as this machine.

Dask decides where each runs, and gives it to another worker if one dies. A step's subprocess ends
with its worker, and with the wish for it: the runner's Ctrl-C, its death and a lost connection all
make dask forget the task, which the worker asks for every second.
"""

import functools
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from lib.cluster import connected, difference, result_of, workers_of
from lib.files import digest, read_object
from lib.paths import ROOT
from lib.runner.fingerprint import package_versions
from lib.runner.jobs import CHILDREN, Job, Outcome, say_here
from lib.runner.machine import Gpu, usable_cores, visible_gpus
from lib.runner.places import Room, Run, Shares, run_with
from lib.runner.problems import UsageError
from lib.runner.steps import Kind
from lib.workspace import MANIFEST

GPU = "GPU"
"""The resource that workers declare: how many trainings may share the GPUs that each sees."""

END_SECONDS, SEE_SECONDS, LOOK_EVERY = 30.0, 60.0, 1.0
_MOST_STEPS = 1000

_running: set[str] = set()
"""In a worker: the folders of the steps that it executes."""
_lock = threading.Lock()


@contextmanager
def cluster_at(
    address: str, folder: Path, run: Run, *, jobs: int | None
) -> Iterator["DaskCluster"]:
    """Hold a connection to a cluster that is fit to run steps inside the block.

    Args:
        address: of its scheduler, such as ``tcp://host:8786``.
        folder: of the profile in the cache, which all machines see.
        run: executes a notebook.
        jobs: greatest number of steps at a time; None for as many as there is room for.

    Raises:
        UsageError: if ``distributed`` is not installed, or the cluster is not fit; why.
    """
    with ExitStack() as stack:
        try:
            client = stack.enter_context(connected(address, __name__))
        except ValueError as error:
            raise UsageError([str(error)]) from error
        yield DaskCluster(client, folder, run, jobs=jobs)


class DaskCluster:
    """A cluster. A worker that declares GPUs runs as many trainings at a time, any other one step.

    The arguments are those of `cluster_at`, with a ``distributed.Client`` for the address.
    """

    cores = 0

    def __init__(self, client: Any, folder: Path, run: Run, *, jobs: int | None) -> None:
        self._client, self._folder, self._run, self._jobs = client, folder, run, jobs
        workers = workers_of(client)
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(prefix=".seen-", dir=folder) as mark:
            found = client.run(look, Path(mark.name), versions())
        if problems := unfit(workers, found):
            raise UsageError(problems)
        self._declared = any(map(trainings_of, workers.values()))
        shares = (len(gpus) // max(1, trainings_of(workers[at])) for at, (_, gpus) in found.items())
        self._gpus = min(shares, default=0)
        self._topic = f"boxes-to-masks {uuid.uuid4()}"
        self._tasks: set[Any] = set()
        self._waiting = ThreadPoolExecutor(_MOST_STEPS)
        client.subscribe_topic(self._topic, lambda event: say_here(event[1]))

    def room(self) -> Room:
        """Return how many steps fit side by side at present; workers come and go."""
        workers = workers_of(self._client).values()
        jobs = sum(found["nthreads"] for found in workers)
        trainings = sum(map(trainings_of, workers)) if self._declared else jobs
        # With nobody there a step waits for whoever comes.
        jobs = max(1, min(jobs, self._jobs or jobs))
        return Room(jobs, max(1, min(trainings, jobs)), self._gpus)

    def prepare(self) -> None:
        """Wait until nothing runs that an earlier runner, now gone, has left.

        Raises:
            UsageError: if it does not end.
        """
        if left := self._wait_until_idle():
            raise UsageError(
                [
                    f"The cluster still runs {', '.join(sorted(left))} of this profile for another "
                    "runner. End that one, or wait."
                ]
            )

    def start(self, job: Job, kind: Kind) -> Future[Outcome]:
        """Hand a job to the cluster; the future raises WorkerLostError if the cluster gives up."""
        return self._waiting.submit(self._execute, job, kind)

    def _execute(self, job: Job, kind: Kind) -> Outcome:
        """Return how a job ended, once this machine sees what it has written."""
        task = self._client.submit(
            execute,
            self._run,
            job,
            kind,
            pure=False,
            resources={GPU: 1} if self._declared and kind != "cpu" else None,
            topic=self._topic,
            expected=versions(),
        )
        self._tasks.add(task)
        try:
            outcome: Outcome = result_of(task)
        finally:
            self._tasks.remove(task)
        if outcome.error is None and is_seen(job.executed, SEE_SECONDS):
            for name in read_object(Path(job.folder) / MANIFEST):
                is_seen(Path(job.root) / name, SEE_SECONDS)
        return outcome

    def stop(self) -> None:
        """End what runs, and wait until it is gone."""
        with suppress(Exception):  # the connection may be what failed
            self._client.cancel(list(self._tasks))
            self._wait_until_idle()

    def _wait_until_idle(self) -> set[str]:
        """Wait until no worker executes a step of the profile; return those that do not end."""
        until = time.monotonic() + END_SECONDS
        while True:
            folders = self._client.run(steps_running, on_error="ignore").values()
            left = {Path(f) for own in folders for f in own if Path(f).parent == self._folder}
            if not left or time.monotonic() > until:
                return {path.name for path in left}
            time.sleep(0.2)


def unfit(
    workers: Mapping[str, Mapping[str, Any]], found: Mapping[str, tuple[str, list[str]]]
) -> list[str]:
    """Return a sentence for each reason for which a cluster must not run steps.

    Args:
        workers: what the scheduler knows of each, by address.
        found: what each says of itself, see `look`.
    """
    problems = [problem for problem, _ in found.values() if problem]
    gpus = [gpu for _, own in found.values() for gpu in own]
    several = [at for at, own in workers.items() if own["nthreads"] > 1 and not trainings_of(own)]
    if several:
        problems.append(
            f"The worker {several[0]} would run several steps at once, each with all cores. Start "
            "it with --nthreads 1, or declare how many trainings share its GPUs: "
            f'--nthreads 2 --resources "{GPU}=2".'
        )
    if len(set(gpus)) < len(gpus):
        problems.append(
            "Two workers see the same GPU. Start each with GPUs of its own in "
            "CUDA_VISIBLE_DEVICES, or one that declares several: "
            f'--nworkers 1 --nthreads 2 --resources "{GPU}=2".'
        )
    return problems


def trainings_of(worker: Mapping[str, Any]) -> int:
    """Return for how many trainings at a time a worker declares GPUs, 0 if it does not.

    Args:
        worker: what its scheduler knows of it.
    """
    return min(int(worker["resources"].get(GPU, 0)), worker["nthreads"])


@functools.cache
def versions() -> dict[str, str]:
    """Return what has to be the same on all machines, as it was when first asked for."""
    files = [f"lib/runner/{name}.py" for name in ("jobs", "places", "remote")]
    own = {name: digest(ROOT / name) for name in files}
    return {"Python": platform.python_version(), **package_versions(), **own}


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


def look(path: Path, expected: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return why this process, a worker, must not execute steps, or nothing, and its GPUs' ids.

    Args:
        path: a file or folder that the runner has just made.
        expected: the runner's `versions`.
    """
    problem = difference(expected, versions())
    if not problem and not is_seen(path, 5):
        problem = (
            f"The worker on {platform.node()} does not see {path.parent} as it is here. All "
            "machines need the study under the same path, on a disk that they share."
        )
    return problem, [gpu.uuid for gpu in _gpus()]


def steps_running() -> list[str]:
    """Return the folders of the steps that this process, a worker, executes."""
    return sorted(_running)


def execute(run: Run, job: Job, kind: Kind, *, topic: str, expected: Mapping[str, str]) -> Outcome:
    """Execute a job in this worker and return how it ended; what it prints goes to the runner.

    Args:
        run: executes a notebook.
        job: what is to be executed.
        kind: of its step.
        topic: under which the runner hears what is printed.
        expected: its `versions`; this worker may have come later than the runner.
    """
    from distributed import get_client, get_worker

    problem, _ = look(Path(job.folder), expected)
    if problem:
        return Outcome(0.0, problem)
    worker, client = get_worker(), get_client()
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
        while not over.wait(LOOK_EVERY):
            try:
                wanted = task in client.processing([address])[address]
            except Exception:  # whatever it is: the scheduler has lost this worker
                wanted = False
            if not wanted:
                CHILDREN.end(folder)

    _running.add(folder)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        _running.discard(folder)

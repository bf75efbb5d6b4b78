"""Steps on a dask cluster, whose workers see the same folders as this machine.

Dask decides where each runs. What a worker does is in ``lib.runner.worker``. This needs the
package ``distributed``, an optional extra: import this module only when a cluster was asked for.
"""

import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from lib.cluster import connected, next_ended, result_of, workers_of
from lib.files import read_json
from lib.runner import worker
from lib.runner.jobs import Job, Outcome, say_here
from lib.runner.places import Room, Run
from lib.runner.problems import UsageError
from lib.runner.steps import Kind
from lib.runner.worker import GPU, trainings_of
from lib.study import Study
from lib.workspace import MANIFEST

END_SECONDS, SEE_SECONDS = 30.0, 60.0
_MOST_STEPS = 1000
_SHOWN = 5


@contextmanager
def cluster_at(
    address: str, study: Study, profile: str, run: Run, *, jobs: int | None
) -> Iterator["DaskCluster"]:
    """Hold a connection to a cluster that is fit to run steps inside the block.

    Args:
        address: of its scheduler, such as ``tcp://host:8786``.
        study: the folders, which all machines see.
        profile: name of the profile.
        run: executes a notebook.
        jobs: greatest number of steps at a time; None for as many as there is room for.

    Raises:
        UsageError: if ``distributed`` is not installed, or the cluster is not fit; why.
    """
    with ExitStack() as stack:
        try:
            client = stack.enter_context(connected(address, worker.__name__))
        except ValueError as error:
            raise UsageError([str(error)]) from error
        yield DaskCluster(client, study.cache(profile), run, jobs=jobs)


class DaskCluster:
    """A cluster. A worker that declares GPUs runs as many trainings at a time, any other one step.

    Args:
        client: connected to it.
        folder: of the profile in the cache.
        run: executes a notebook.
        jobs: greatest number of steps at a time; None for as many as there is room for.

    Raises:
        UsageError: if it is not fit to run steps; why.
    """

    cores = 0

    def __init__(self, client: Any, folder: Path, run: Run, *, jobs: int | None) -> None:
        self._client, self._folder, self._run, self._jobs = client, folder, run, jobs
        workers = workers_of(client)
        found = _looked_at(client, folder, workers)
        if problems := unfit(found):
            raise UsageError(problems)
        trainings = {where: trainings_of(workers[where]) for where in found}
        self._declared = any(trainings.values())
        self._gpus = min(len(gpus) // max(1, trainings[at]) for at, (_, gpus) in found.items())
        self._topic = f"boxes-to-masks {uuid.uuid4()}"
        self._tasks: set[Any] = set()
        self._waiting = ThreadPoolExecutor(_MOST_STEPS)
        client.subscribe_topic(self._topic, lambda event: say_here(event[1]))

    def room(self) -> Room:
        """Return how many steps fit side by side at present; workers come and go.

        Raises:
            WorkerLostError: if the scheduler does not answer.
        """
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
        resource = GPU if self._declared and kind != "cpu" else ""
        task = self._client.submit(
            worker.execute,
            self._run,
            job,
            kind,
            pure=False,
            resources={resource: 1} if resource else None,
            topic=self._topic,
            expected=worker.versions(),
        )
        self._tasks.add(task)
        ended: SimpleQueue[Any] = SimpleQueue()
        task.add_done_callback(ended.put)
        try:
            outcome: Outcome = result_of(next_ended(self._client, ended, resource=resource))
        finally:
            self._tasks.remove(task)
            task.release()  # nobody shall begin it later
        if outcome.error is None:
            worker.is_seen(job.executed, SEE_SECONDS)
            with suppress(FileNotFoundError, ValueError):
                for name in read_json(Path(job.folder) / MANIFEST):
                    worker.is_seen(Path(job.root) / name, SEE_SECONDS)
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
            folders = self._client.run(worker.steps_running, on_error="ignore").values()
            left = {Path(f) for own in folders for f in own if Path(f).parent == self._folder}
            if not left or time.monotonic() > until:
                return {path.name for path in left}
            time.sleep(0.2)


def _looked_at(
    client: Any, folder: Path, workers: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str, list[str]]]:
    """Return what each worker says of itself, by address."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-{uuid.uuid4()}"
    mark.touch()
    try:
        found: dict[str, tuple[str, list[str]]] = client.run(
            worker.look, workers, mark, worker.versions(), on_error="ignore"
        )
    finally:
        mark.unlink()
    return found


def unfit(found: Mapping[str, tuple[str, list[str]]]) -> list[str]:
    """Return a sentence for each reason for which a cluster must not run steps.

    Args:
        found: what each worker says of itself, by address, see ``worker.look``.
    """
    if not found:
        return ["No worker of the cluster answers."]
    problems = [problem for problem, _ in found.values() if problem]
    users: dict[str, list[str]] = {}
    for where, (_, gpus) in found.items():
        for gpu in gpus:
            users.setdefault(gpu, []).append(where)
    problems += [
        f"The workers {' and '.join(several)} see the same GPU. Start each with GPUs of its own in "
        "CUDA_VISIBLE_DEVICES, or one that declares several: "
        f'--nworkers 1 --nthreads 2 --resources "{GPU}=2".'
        for several in users.values()
        if len(several) > 1
    ]
    return problems[:_SHOWN]

"""Steps on a dask cluster, whose workers see the same folders as this machine.

Dask decides where each runs. What a worker does is in ``lib.runner.worker``. This needs the
package ``distributed``, an optional extra: import this module only when a cluster was asked for.
"""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from lib.cluster import connected, difference, next_ended, result_of, workers_of
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
        workers = _looked_at(client, study.cache(profile))
        if not workers:
            raise UsageError([f"No worker of the cluster at {address} answers."])
        if problems := unfit(workers, worker.versions(), str(study.root)):
            raise UsageError(problems)
        yield DaskCluster(client, study.cache(profile), run, workers=workers, jobs=jobs)


class DaskCluster:
    """A cluster. A worker that declares GPUs runs as many trainings at a time, any other one step.

    Args:
        client: connected to it.
        folder: of the profile in the cache.
        run: executes a notebook.
        workers: those that are there, see :func:`unfit`.
        jobs: greatest number of steps at a time; None for as many as there is room for.
    """

    cores = 0

    def __init__(
        self,
        client: Any,
        folder: Path,
        run: Run,
        *,
        workers: Sequence[Mapping[str, Any]],
        jobs: int | None,
    ) -> None:
        self._client, self._folder, self._run, self._jobs = client, folder, run, jobs
        self._declared = any(found["trainings"] for found in workers)
        self._gpus = min(len(found["gpus"]) // max(1, found["trainings"]) for found in workers)
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


def _looked_at(client: Any, folder: Path) -> list[dict[str, Any]]:
    """Return what has to be known of each worker, see :func:`unfit`."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-{uuid.uuid4()}"
    mark.touch()
    try:
        seen = client.run(worker.look, str(mark), on_error="ignore")
    finally:
        mark.unlink()
    return [
        seen[address]
        | {"address": address, "threads": found["nthreads"], "trainings": trainings_of(found)}
        for address, found in workers_of(client).items()
        if address in seen
    ]


def unfit(
    workers: Sequence[Mapping[str, Any]], versions: Mapping[str, str], folder: str
) -> list[str]:
    """Return a sentence for each reason for which a cluster must not run steps.

    Args:
        workers: of each, what ``worker.look`` says, its address, its threads, and for how many
            trainings at a time it declares GPUs.
        versions: of this machine.
        folder: of the study.
    """
    problems: list[str] = []
    users: dict[str, str] = {}
    for found in workers:
        where, trainings, gpus = found["address"], found["trainings"], found["gpus"]
        if not found["sees"]:
            problems.append(worker.unseen(found["node"], folder))
        if differs := difference(versions, found["versions"]):
            problems.append(
                f"The worker on {found['node']} differs from this machine: {differs}. All need the "
                "same code and packages; restart workers after a change."
            )
        if not trainings and found["threads"] > 1:
            problems.append(
                f"The worker {where} has {found['threads']} threads and would run as many steps at "
                f"once, each with all cores. Start it with --nthreads 1, or declare how many "
                f'trainings share its GPUs: --nthreads 2 --resources "{GPU}=2".'
            )
        if gpus and trainings > len(gpus):
            problems.append(
                f"The worker {where} declares {GPU}={trainings}, but sees {len(gpus)} GPUs."
            )
        for gpu in gpus:
            other = users.setdefault(gpu, where)
            if other != where:
                problems.append(
                    f"The workers {other} and {where} see the same GPU. Start each with GPUs of "
                    "its own in CUDA_VISIBLE_DEVICES, or one that declares several: "
                    f'--nworkers 1 --nthreads 2 --resources "{GPU}=2".'
                )
    return problems[:_SHOWN]

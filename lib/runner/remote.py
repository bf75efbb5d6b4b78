"""Steps on a dask cluster, whose workers see the same folders as this machine.

Dask decides where each runs. What a worker does is in ``lib.runner.worker``. This needs the
package ``distributed``, an optional extra: import this module only when a cluster was asked for.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from lib.cluster import client_at, difference, end_if_alone, lost
from lib.files import read_json
from lib.runner import worker
from lib.runner.jobs import Job, Outcome, say_here
from lib.runner.places import Room, Run
from lib.runner.problems import UsageError
from lib.runner.steps import Kind
from lib.runner.worker import GPU
from lib.study import Study
from lib.workspace import MANIFEST

END_SECONDS, SEE_SECONDS = 30.0, 60.0
_SHOWN = 5


@contextmanager
def cluster_at(
    address: str, study: Study, profile: str, run: Run, *, jobs: int | None
) -> Iterator["There"]:
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
            client = stack.enter_context(client_at(address, worker.__name__))
        except ValueError as error:
            raise UsageError([str(error)]) from error
        workers = _looked_at(client, study.cache(profile))
        if not workers:
            raise UsageError([f"No worker of the cluster at {address} answers."])
        if problems := unfit(workers, worker.versions(), str(study.root)):
            raise UsageError(problems)
        there = There(client, study.cache(profile), run, workers=workers, jobs=jobs)
        stack.callback(there.close)
        yield there


class There:
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
        self._declared = any(found["units"] for found in workers)
        self._gpus = min((len(w["gpus"]) // max(1, w["units"]) for w in workers), default=0)
        self._topic = f"boxes-to-masks {uuid.uuid4()}"
        self._open: dict[Future[Outcome], tuple[Kind, Any]] = {}
        self._over = threading.Event()
        client.subscribe_topic(self._topic, lambda event: say_here(event[1]))
        end_if_alone(lambda: len(self._workers()), lambda: self._open, self._over)
        if self._declared:
            end_if_alone(
                lambda: sum(found["units"] for found in self._workers()),
                lambda: [f for f, (kind, _) in list(self._open.items()) if kind != "cpu"],
                self._over,
                kind=f"worker with the resource {GPU}",
            )

    def _workers(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self._client.run_on_scheduler(worker.workers_of)
        except Exception as error:  # whatever it is: the scheduler does not answer
            raise lost(CancelledError()) from error
        return found

    def room(self) -> Room:
        """Return how many steps fit side by side at present; workers come and go.

        Raises:
            WorkerLostError: if the scheduler does not answer.
        """
        workers = self._workers()
        jobs = sum(found["threads"] for found in workers)
        trainings = sum(found["units"] for found in workers) if self._declared else jobs
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
        """Hand a job to the cluster."""
        ticket = str(uuid.uuid4())
        task = self._client.submit(
            worker.execute,
            self._run,
            job,
            kind,
            key=f"{job.step} {ticket}",
            pure=False,
            resources={GPU: 1} if self._declared and kind != "cpu" else None,
            ticket=ticket,
            topic=self._topic,
            expected=worker.versions(),
            neighbours=Counter(found["host"] for found in self._workers()),
        )
        future: Future[Outcome] = Future()
        self._open[future] = kind, task
        task.add_done_callback(partial(_pass_on, future))
        return future

    def outcome(self, future: Future[Outcome], job: Job) -> Outcome:
        """Return how a job ended, once this machine sees what it has written.

        Raises:
            WorkerLostError: if the cluster gave up.
        """
        import distributed

        _, task = self._open.pop(future)
        try:
            outcome = future.result()
        except (distributed.KilledWorker, CancelledError, TimeoutError) as error:
            with suppress(Exception):  # nobody shall begin it later; the connection may be gone
                task.cancel()
            raise lost(error) from error
        if outcome.error is None:
            worker.is_seen(job.executed, SEE_SECONDS)
            with suppress(FileNotFoundError, ValueError):
                for name in read_json(Path(job.folder) / MANIFEST):
                    worker.is_seen(Path(job.root) / name, SEE_SECONDS)
        return outcome

    def stop(self) -> None:
        """End what runs, and wait until it is gone."""
        with suppress(Exception):  # the connection may be what failed
            self._client.cancel([task for _, task in self._open.values()])
            self._wait_until_idle()

    def close(self) -> None:
        """End the watch, and hear no more."""
        self._over.set()
        with suppress(Exception):
            self._client.unsubscribe_topic(self._topic)

    def _wait_until_idle(self) -> set[str]:
        """Wait until no worker executes a step of the profile; return those that do not end."""
        until = time.monotonic() + END_SECONDS
        while True:
            folders = self._client.run(worker.steps_running, on_error="ignore").values()
            left = {Path(f) for own in folders for f in own if Path(f).parent == self._folder}
            if not left or time.monotonic() > until:
                return {path.name for path in left}
            time.sleep(0.2)


def _pass_on(future: Future[Outcome], task: Any) -> None:
    """Tell a future of the standard library how dask's ended."""
    with suppress(InvalidStateError):  # it was given up in the meantime
        if task.status not in ("finished", "error"):
            future.set_exception(CancelledError())
            return
        try:
            outcome = task.result()
        except Exception as error:  # whatever the task raised
            future.set_exception(error)
        else:
            future.set_result(outcome)


def _looked_at(client: Any, folder: Path) -> list[dict[str, Any]]:
    """Return what has to be known of each worker, see :func:`unfit`."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-{uuid.uuid4()}"
    mark.touch()
    try:
        seen = client.run(worker.look, str(mark), on_error="ignore")
    finally:
        mark.unlink()
    workers = client.run_on_scheduler(worker.workers_of)
    return [found | seen[found["address"]] for found in workers if found["address"] in seen]


def unfit(
    workers: Sequence[Mapping[str, Any]], versions: Mapping[str, str], folder: str
) -> list[str]:
    """Return a sentence for each reason for which a cluster must not run steps.

    Args:
        workers: what ``worker.workers_of`` and ``worker.look`` say of each.
        versions: of this machine.
        folder: of the study.
    """
    problems: list[str] = []
    users: dict[str, str] = {}
    for found in workers:
        where, units, gpus = found["address"], found["units"], found["gpus"]
        if not found["sees"]:
            problems.append(worker.unseen(found["node"], folder))
        if differs := difference(versions, found["versions"]):
            problems.append(
                f"The worker on {found['node']} differs from this machine: {differs}. All need the "
                "same code and packages; restart workers after a change."
            )
        if not units and found["threads"] > 1:
            problems.append(
                f"The worker {where} has {found['threads']} threads and would run as many steps at "
                f"once, each with all cores. Start it with --nthreads 1, or declare how many "
                f'trainings share its GPUs: --nthreads 2 --resources "{GPU}=2".'
            )
        if gpus and units > len(gpus):
            problems.append(
                f"The worker {where} declares {GPU}={units}, but sees {len(gpus)} GPUs."
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

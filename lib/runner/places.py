"""Where steps run: how many fit side by side, and this machine, where each is a subprocess."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from lib.parameter_names import stays_on_cpu
from lib.runner.jobs import CHILDREN, Job, Outcome, Say, say_here
from lib.runner.machine import Gpu, describe_machine, usable_cores
from lib.runner.steps import Kind, Step

if TYPE_CHECKING:
    from lib.runner.remote import DaskCluster

Place: TypeAlias = "LocalMachine | DaskCluster"
"""Where steps run."""

Run = Callable[[Job, Say], Outcome]
"""Executes a notebook, and says meanwhile what it prints."""


@dataclass(frozen=True)
class Room:
    """How many steps fit side by side.

    Args:
        jobs: steps of any kind.
        trainings: how many of them may be trainings.
        gpus: of each training; 0 where it has none.
    """

    jobs: int
    trainings: int
    gpus: int = 0

    def fits(self, kind: Kind, running: Sequence[Kind]) -> bool:
        """Return whether a step may start beside those that run."""
        if running and "alone" in (kind, *running):
            return False
        taken = kind == "train" and running.count("train") >= self.trainings
        return len(running) < self.jobs and not taken


def kind_of(step: Step, parameters: Mapping[str, Any]) -> Kind:
    """Return the kind of a step; a training that is told to stay on the CPU takes no GPU."""
    return "cpu" if step.kind == "train" and stays_on_cpu(parameters) else step.kind


class Shares:
    """Hands out GPUs: a training holds its share, a step that measures time is given the first.

    Shares are disjoint and equally large; GPUs that are left over belong to none.

    Args:
        gpus: to be shared.
        jobs: greatest number of trainings at a time; each has one GPU if these are fewer.
    """

    def __init__(self, gpus: Sequence[Gpu], jobs: int) -> None:
        self.gpus = tuple(gpus)
        count = min(jobs, len(gpus))
        self.size = len(gpus) // count if count else 0
        """GPUs in a share."""
        self._free: SimpleQueue[tuple[Gpu, ...]] = SimpleQueue()
        for at in range(count):
            self._free.put(self.gpus[at * self.size : (at + 1) * self.size])

    @contextmanager
    def held(self, kind: Kind) -> Iterator[tuple[Gpu, ...]]:
        """Hold the GPUs of a step inside the block."""
        if kind != "train" or not self.gpus:
            yield self.gpus[:1] if kind == "alone" else ()
            return
        own = self._free.get()
        try:
            yield own
        finally:
            self._free.put(own)


class LocalMachine:
    """This machine. A training has a share of the GPUs, a step that measures time the first GPU.

    Args:
        run: executes a notebook.
        jobs: greatest number of steps at a time.
        gpus: those to use.
    """

    def __init__(self, run: Run, *, jobs: int, gpus: Sequence[Gpu] = ()) -> None:
        self._run, self._jobs, self._shares = run, jobs, Shares(gpus, jobs)
        self._executor = ThreadPoolExecutor(jobs)
        self.cores = 0 if gpus else usable_cores()
        """To be shared by trainings that run side by side; 0 if that is not asked for."""

    def room(self) -> Room:
        """Return how many steps fit side by side."""
        gpus = self._shares.gpus
        return Room(self._jobs, min(self._jobs, len(gpus) or self._jobs), self._shares.size)

    def prepare(self) -> None:
        """Do nothing: no step of the profile runs, as subprocesses end with their runner."""

    def start(self, job: Job, kind: Kind) -> Future[Outcome]:
        """Start a job for which there is room."""
        return self._executor.submit(run_with, self._run, job, kind, self._shares, say=say_here)

    def stop(self) -> None:
        """End what runs, and wait until it is gone."""
        CHILDREN.end()
        self._executor.shutdown(cancel_futures=True)


def run_with(run: Run, job: Job, kind: Kind, shares: Shares, *, say: Say) -> Outcome:
    """Execute a notebook with its share of the GPUs, and say in the outcome where that was.

    Args:
        run: executes a notebook.
        job: what is to be executed.
        kind: of its step.
        shares: the GPUs; a training has a process on each of its own, if it has the images.
        say: takes what it prints.
    """
    with shares.held(kind) as share:
        used = share[: job.images or None]
        names = tuple(gpu.uuid for gpu in used)
        processes = max(1, len(used))
        own = replace(job, gpus=names if shares.gpus else None, processes=processes)
        return replace(run(own, say), machine=describe_machine(used), processes=processes)

"""Where steps run: how many fit side by side, and this machine, where each is a subprocess."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lib.parameter_names import stays_on_cpu
from lib.runner.jobs import CHILDREN, Job, Outcome, Say, say_here
from lib.runner.machine import Gpu, Shares, describe_machine
from lib.runner.steps import Kind, Step

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


class Place(Protocol):
    """Where steps run."""

    cores: int
    """To be shared by trainings that run side by side; 0 if that is not asked for."""

    def room(self) -> Room:
        """Return how many steps fit side by side at present."""
        ...

    def prepare(self) -> None:
        """Make sure that no step of the profile runs there."""
        ...

    def start(self, job: Job, kind: Kind) -> Future[Outcome]:
        """Start a job for which there is room."""
        ...

    def stop(self) -> None:
        """End what runs, and wait until it is gone."""
        ...


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
        self.cores = 0 if gpus else describe_machine()["cores"]

    def room(self) -> Room:
        """Return how many steps fit side by side."""
        groups = self._shares.groups
        return Room(self._jobs, len(groups) or self._jobs, len(groups[0]) if groups else 0)

    def prepare(self) -> None:
        """Do nothing: subprocesses end with their runner."""

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

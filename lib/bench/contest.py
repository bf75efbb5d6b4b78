"""Trainings of several models measured in turns, in one process, on the same pictures.

A turn builds a contestant (model, optimiser, loader), takes some steps that nobody measures, then
steps fed by the loader, then steps on batches that are in memory already; afterwards nothing of it
is left on the device. Who begins a round changes from round to round, so that a machine that slows
down slows all of them. With one contestant at a time on the device, its peak memory is its own.

Batches in memory are as the contestant's loader gives them: the study's on the device, the
reference's not. Some steps' batches lie ready when the clock starts, twice as many as there are
loader processes; more steps must be measured than that to see whether the loader keeps up.
"""

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from time import perf_counter
from typing import Any, NamedTuple

import torch

from lib.bench.inference import MIB, peak_mib, weights_mib
from lib.bench.roofline import step_work
from lib.bench.step_profile import (
    Laps,
    Trainer,
    busy_seconds,
    part_seconds,
    trace_events,
    waits,
)

KEPT_BATCHES = 4
"""Batches kept in memory for the steps that wait for no loader."""


@dataclass(frozen=True)
class Contestant:
    """One model in one precision.

    Attributes:
        model: its name.
        precision: ``float32``, or the type of its autocast.
        start: builds it for a turn, by its number: the trainer, and an iterator of pictures and
            targets without end, other ones in each turn.
    """

    model: str
    precision: str
    start: Callable[[int], tuple[Trainer, Iterator[Any]]]


class StepRow(NamedTuple):
    """One measured training step.

    Attributes:
        model: whose.
        precision: in which.
        round: of the contest.
        step: within the turn; the same number is at the same place in every contestant's turn.
        loaded: whether the batch came from the loader; else it was in memory.
        wait: seconds that the CPU waited for it.
        seconds: of the whole step, the wait included.
    """

    model: str
    precision: str
    round: int
    step: int
    loaded: bool
    wait: float
    seconds: float


@dataclass(frozen=True)
class Amounts:
    """How much is measured.

    Attributes:
        rounds: turns of each contestant.
        warm_up: steps at the beginning of each turn that do not count.
        steps: measured steps of a turn with the loader, and as many without.
        profiled: steps that are cut into parts, once for each contestant.
    """

    rounds: int
    warm_up: int
    steps: int
    profiled: int

    def __post_init__(self) -> None:
        """Check that something is measured."""
        if self.rounds < 1 or self.steps < 1 or self.profiled < 1 or self.warm_up < 0:
            raise ValueError(
                "A contest needs at least one round, one step and one profiled step, and no "
                f"negative warm-up; got {self}."
            )


def compete(
    contestants: Sequence[Contestant],
    amounts: Amounts,
    *,
    device: torch.device,
    on_turn: Callable[[str], None] = lambda line: None,
) -> tuple[list[StepRow], list[dict[str, Any]]]:
    """Measure all contestants.

    Args:
        contestants: those who take turns.
        amounts: how often.
        device: where.
        on_turn: is told of each turn.

    Returns:
        A row for each measured step, and for each contestant ``model``, ``precision``,
        ``parameters``, ``weights_mib``, ``peak_mib`` (everything on the device: weights, gradients,
        optimiser, activations), ``parts`` (seconds, see
        :data:`lib.bench.step_profile.PARTS`), ``waits`` (see
        :func:`lib.bench.step_profile.waits`), ``flops``, ``bytes`` and, on CUDA, ``busy`` (share
        of a step in which the device did something) and ``kernels``.

    Raises:
        ValueError: if there is nobody.
    """
    if not contestants:
        raise ValueError("A contest needs contestants; got none.")
    rows = list[StepRow]()
    facts: dict[int, dict[str, Any]] = {}
    numbers = list(range(len(contestants)))
    for turn in range(amounts.rounds):
        first = turn % len(numbers)
        for number in [*numbers[first:], *numbers[:first]]:
            one = contestants[number]
            begin = perf_counter()
            measured, found = _turn(one, amounts, turn, device, examine=turn == 0)
            rows += measured
            if found:
                facts[number] = found
            on_turn(
                f"round {turn + 1} of {amounts.rounds}: {one.model}, {one.precision}: "
                f"{sum(r.seconds for r in measured) / len(measured):.3f} s per step, "
                f"{perf_counter() - begin:.0f} s in all"
            )
    return rows, [facts[number] for number in numbers]


def _turn(
    one: Contestant, amounts: Amounts, turn: int, device: torch.device, *, examine: bool
) -> tuple[list[StepRow], dict[str, Any]]:
    cuda = device.type == "cuda"
    held = _release(device)
    trainer, batches = one.start(turn)
    for iteration in range(amounts.warm_up):
        images, targets = next(batches)
        trainer.step(images, targets, iteration)
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    rows, done = list[StepRow](), amounts.warm_up
    kept = list(islice(batches, min(KEPT_BATCHES, amounts.steps)))
    for loaded, source in ((True, batches), (False, cycle(kept))):
        laps, waited = Laps(device), list[float]()
        for iteration in range(done, done + amounts.steps):
            laps.mark("step")
            begin = perf_counter()
            images, targets = next(source)
            waited.append(perf_counter() - begin)
            trainer.step(images, targets, iteration)
        laps.mark("end")
        done += amounts.steps
        rows += [
            StepRow(one.model, one.precision, turn, step, loaded, wait, seconds)
            for step, (wait, (_, seconds)) in enumerate(zip(waited, laps.seconds(), strict=True))
        ]
    peak = (torch.cuda.max_memory_allocated(device) - held) / MIB if cuda else None
    if not examine:
        return rows, {}
    found = {"model": one.model, "precision": one.precision, "peak_mib": peak}
    parts = part_seconds(trainer, batches, steps=amounts.profiled, first=done, device=device)
    step = _Again(trainer, kept, done + amounts.profiled)
    return rows, {**found, "parts": parts, **_examined(step, sum(parts.values()), device)}


class _Again:
    """Training steps on batches that are in memory, each time the next one."""

    def __init__(self, trainer: Trainer, kept: Sequence[Any], iteration: int) -> None:
        self.trainer, self.kept, self.iteration = trainer, kept, iteration

    def __call__(self) -> None:
        images, targets = self.kept[self.iteration % len(self.kept)]
        self.trainer.step(images, targets, self.iteration)
        self.iteration += 1


def _examined(step: _Again, seconds: float, device: torch.device) -> dict[str, Any]:
    """Return what steps reveal that are too disturbed to be timed.

    Args:
        step: takes one.
        seconds: that an undisturbed one lasts.
        device: where.
    """
    model = step.trainer.model
    facts: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_mib": weights_mib(model),
        "waits": waits(step),
    }
    works = [step_work(step, model) for _ in step.kept]
    facts["flops"] = statistics.mean(work.flops for work in works)
    facts["bytes"] = statistics.mean(work.bytes for work in works)
    if device.type == "cuda":
        busy, kernels = busy_seconds(trace_events(step, torch.profiler.ProfilerActivity.CUDA))
        facts |= {"busy": busy / seconds, "kernels": kernels}
    else:
        step.trainer.optimizer.zero_grad(set_to_none=True)  # so that gradients count as the step's
        facts["peak_mib"] = _held_mib(step.trainer) + peak_mib(step, device)
    return facts


def _held_mib(trainer: Trainer) -> float:
    """Return what a trainer holds besides gradients between steps: weights, optimiser's state."""
    groups = trainer.optimizer.state.values()
    tensors = [v for group in groups for v in group.values() if isinstance(v, torch.Tensor)]
    return weights_mib(trainer.model) + sum(t.numel() * t.element_size() for t in tensors) / MIB


def _release(device: torch.device) -> int:
    """Return the bytes that are on a CUDA device although nobody is at work; usually none."""
    gc.collect()
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated(device)

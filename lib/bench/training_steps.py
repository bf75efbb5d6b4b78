"""Training steps of several models measured in turns, in one process, on the same pictures.

A turn builds a model with its optimiser and loader, takes some steps that nobody measures, then
steps fed by the loader, then steps on batches that are in memory already; afterwards nothing of it
is left on the device, so the peak of its memory is its own.

Batches in memory are as the model's loader gives them: the study's on the device, torchvision's
not. Some steps' batches lie ready when the clock starts, twice as many as there are loader
processes; more steps must be measured than that to see whether the loader keeps up.
"""

import gc
import statistics
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from lib.bench.inference import MIB, now, peak_mib, weights_mib
from lib.bench.program import in_turn
from lib.bench.torchvision_reference import ReferenceLearner
from lib.training.learner import Learner

KEPT_BATCHES = 4
"""Batches kept in memory for the steps that wait for no loader."""


Trainer = Learner | ReferenceLearner
"""What takes the steps: the study's way, or torchvision's."""


Start = Callable[[int], tuple[Trainer, Iterator[Any]]]
"""Builds a model for a turn, by its number: what trains it, and an iterator of pictures and targets
without end, other ones in each turn."""


def compare_training(
    models: Mapping[tuple[str, str], Start],
    *,
    rounds: int,
    warm_up: int,
    steps: int,
    device: torch.device,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure all models, and print a line for each turn.

    Args:
        models: by name and precision (``float32``, or the type of the autocast).
        rounds: turns of each.
        warm_up: steps at the beginning of each turn that do not count.
        steps: measured steps of a turn with the loader, and as many without.
        device: where.

    Returns:
        A row for each measured step: ``model``, ``precision``, ``round``, ``step`` (within the
        turn), ``loaded`` (whether the batch came from the loader; else it was in memory), ``wait``
        (seconds that the CPU waited for it) and ``seconds`` (of the whole step, the wait included).
        And for each model ``model``, ``precision`` and ``peak_mib`` (all on the device: weights,
        gradients, optimiser, activations).

    Raises:
        ValueError: if there is nothing to measure.
    """
    if not models or rounds < 1 or steps < 1 or warm_up < 0:
        raise ValueError(
            "A comparison needs models, at least one round and one step, and no negative warm-up; "
            f"got {len(models)} models, {rounds} rounds, {steps} steps, a warm-up of {warm_up}."
        )
    rows, facts = list[dict[str, Any]](), dict[tuple[str, str], dict[str, Any]]()
    for turn in range(rounds):
        for key in in_turn(list(models), turn):
            begin = perf_counter()
            of = {"model": key[0], "precision": key[1]}
            measured, found = _turn(models[key], turn, warm_up, steps, device)
            rows += [{**of, "round": turn, **row} for row in measured]
            facts.setdefault(key, of | found)
            print(
                f"round {turn + 1} of {rounds}: {', '.join(key)}: "
                f"{statistics.mean(row['seconds'] for row in measured):.3f} s per step, "
                f"{perf_counter() - begin:.0f} s in all",
                flush=True,
            )
    return rows, [facts[key] for key in models]


def _turn(
    start: Start, turn: int, warm_up: int, steps: int, device: torch.device
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the steps of one turn, and in the first turn the peak of memory."""
    held = _release(device)
    trainer, batches = start(turn)
    for iteration in range(warm_up):
        images, targets = next(batches)
        trainer.step(images, targets, iteration)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    kept = list(islice(batches, min(KEPT_BATCHES, steps)))
    rows = [
        {"step": step, "loaded": loaded, "wait": wait, "seconds": seconds}
        for loaded, source in ((True, batches), (False, cycle(kept)))
        for step, (wait, seconds) in enumerate(_timed(trainer, source, steps, device))
    ]
    return rows, {} if turn else {"peak_mib": _peak(trainer, kept[0], held, device)}


def _timed(
    trainer: Trainer, source: Iterator[Any], steps: int, device: torch.device
) -> Iterator[tuple[float, float]]:
    """Yield the seconds of waiting for a batch, and of all, of each step."""
    for iteration in range(steps):
        begin = now(device)
        images, targets = next(source)
        wait = perf_counter() - begin
        trainer.step(images, targets, iteration)
        yield wait, now(device) - begin


def _peak(trainer: Trainer, batch: Any, held: int, device: torch.device) -> float:
    """Return the most memory on the device during the steps of a turn (on the CPU, of one), MiB."""
    if device.type == "cuda":
        return (torch.cuda.max_memory_allocated(device) - held) / MIB
    trainer.optimizer.zero_grad(set_to_none=True)  # so that gradients count as the step's
    groups = trainer.optimizer.state.values()
    states = [v for group in groups for v in group.values() if isinstance(v, Tensor)]
    between = weights_mib(trainer.model) + sum(t.numel() * t.element_size() for t in states) / MIB
    images, targets = batch
    return between + peak_mib(lambda: trainer.step(images, targets, 0), device)


def _release(device: torch.device) -> int:
    """Return the bytes that are on a CUDA device although nobody is at work; usually none."""
    gc.collect()
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated(device)

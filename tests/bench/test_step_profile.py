"""Where the time of a step goes, and what makes the processor wait."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from lib.bench.step_profile import PARTS, Laps, busy_seconds, marked, part_seconds, waits
from tests.bench.test_torchvision_reference import tiny_reference
from tests.fixtures.models import images_and_targets, tiny_model

CPU = torch.device("cpu")


class PlainTrainer:
    """The shortest training step."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model.train()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step(self, images, targets, iteration) -> None:
        losses = self.model(images, targets)
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        self.optimizer.step()


def batch():
    images, targets = images_and_targets()
    for target in targets:
        target["masks"] = torch.ones(3, 64, 80, dtype=torch.uint8)
    return images, targets


def tell(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    """Let the module's clock be another one."""
    monkeypatch.setattr("lib.bench.step_profile.time", SimpleNamespace(perf_counter=clock))


def test_laps_last_from_mark_to_mark(monkeypatch):
    clock = iter([1.0, 1.5, 1.75, 3.0])
    tell(monkeypatch, lambda: next(clock))
    laps = Laps(CPU)
    for name in ("a", "b", "a", "end"):
        laps.mark(name)
    assert laps.seconds() == [("a", 0.5), ("b", 0.25), ("a", 1.25)]


@pytest.mark.parametrize("make", [tiny_reference, tiny_model])
def test_parts_are_marked_in_their_order_in_both_kinds_of_model(make):
    trainer, laps = PlainTrainer(make()), Laps(CPU)
    with marked(trainer.model, laps):
        trainer.step(*batch(), 0)
    marks = list(dict.fromkeys(laps.names))
    assert marks == list(PARTS[2:]), laps.names
    trainer.step(*batch(), 1)
    assert list(dict.fromkeys(laps.names)) == marks  # nothing is marked outside of the block


def test_a_detector_without_masks_has_no_mask_part():
    trainer = PlainTrainer(tiny_model("faster_rcnn"))
    parts = part_seconds(trainer, iter([batch()] * 2), steps=2, first=0, device=CPU)
    assert tuple(parts) == PARTS and parts["mask"] == 0
    assert all(parts[name] > 0 for name in PARTS if name != "mask")


def test_parts_add_up_to_the_step(monkeypatch):
    ticks: list[int] = []

    def clock() -> float:
        ticks.append(len(ticks) ** 2)
        return float(ticks[-1])

    trainer = PlainTrainer(tiny_model())
    tell(monkeypatch, clock)
    parts = part_seconds(trainer, iter([batch()] * 3), steps=3, first=0, device=CPU)
    assert sum(parts.values()) == pytest.approx((ticks[-1] - ticks[0]) / 3)


def test_waits_are_results_whose_size_or_value_must_be_known():
    x, mask = torch.randn(6), torch.tensor([True, False] * 3)

    def work() -> None:
        y = x.clone()
        y[mask] = 0.0  # a masked fill: waits for nothing
        y[mask] = x[:3]  # as many as are true
        x[mask]
        torch.where(mask)
        x.sum().item()
        bool(mask.any())
        x[torch.tensor([0, 1])]

    assert waits(work) == {"index_put_": 1, "index": 1, "nonzero": 1, "_local_scalar_dense": 2}


def test_busy_time_counts_what_overlaps_once():
    def event(kind: str, begin: float, length: float) -> dict:
        return {"cat": kind, "ts": begin, "dur": length}

    events = [
        event("kernel", 100, 50),
        event("gpu_memcpy", 120, 100),
        event("cpu_op", 0, 1000),
        event("kernel", 300, 10),
        {"ph": "M"},
    ]
    assert busy_seconds(events) == (pytest.approx(130e-6), 2)

"""Trainings in turns: who is measured when, and what is known of each afterwards."""

from functools import partial
from itertools import product, repeat

import pytest
import torch
from torch import nn

from lib.bench.inference import MIB, weights_mib
from lib.bench.training_steps import Start, compare_training
from tests.fixtures.models import images_and_targets, tiny_model

CPU = torch.device("cpu")
METHODS = ("mask_rcnn", "opmask")


class PlainTrainer:
    """The shortest training step; notes the iterations."""

    def __init__(self, model: nn.Module, calls: list[int]) -> None:
        self.model, self.calls = model.train(), calls
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step(self, images, targets, iteration) -> None:
        self.calls.append(iteration)
        losses = self.model(images, targets)
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        self.optimizer.step()


def batch():
    images, targets = images_and_targets()
    for target in targets:
        target["masks"] = torch.ones(3, 64, 80, dtype=torch.uint8)
        target["mask_index"] = torch.arange(3)
    return images, targets


def trainings(calls: dict[str, list[int]]) -> dict[tuple[str, str], Start]:
    def start(method: str, turn: int):
        return PlainTrainer(tiny_model(method), calls[method]), repeat(batch())

    return {(method, "float32"): partial(start, method) for method in calls}


def test_everyone_has_every_step_and_another_one_begins_each_round(capsys):
    calls: dict[str, list[int]] = {method: [] for method in METHODS}
    amounts = {"rounds": 2, "warm_up": 1, "steps": 2}
    rows, facts = compare_training(trainings(calls), **amounts, device=CPU)
    expected = {*product(METHODS, range(2), range(2), (True, False))}
    assert {(r["model"], r["round"], r["step"], r["loaded"]) for r in rows} == expected
    assert len(rows) == len(expected)
    assert [row["model"] for row in rows[:: 2 * 4]] == ["mask_rcnn", "opmask"]
    assert all(0 <= row["wait"] <= row["seconds"] for row in rows)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4 and told[0].startswith("round 1 of 2: mask_rcnn, float32")
    # warm-up and 2 x 2 measured steps; in the first round one more for the peak
    assert len(calls["opmask"]) == (1 + 4 + 1) + (1 + 4)
    assert [fact["model"] for fact in facts] == list(METHODS)
    model = tiny_model("mask_rcnn")
    gradients = sum(p.numel() * p.element_size() for p in model.parameters()) / MIB
    picture = 2 * 3 * 64 * 96 * 4 / MIB
    assert facts[0]["peak_mib"] > weights_mib(model) + gradients + picture


def test_nothing_to_measure_is_a_sentence():
    with pytest.raises(ValueError, match="needs models"):
        compare_training({}, rounds=1, warm_up=0, steps=1, device=CPU)

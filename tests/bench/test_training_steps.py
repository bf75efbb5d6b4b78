"""Trainings in turns: who is measured when, and what is known of each afterwards."""

from functools import partial
from itertools import product, repeat

import pytest
import torch
from torch import nn

from lib.bench.inference import MIB, weights_mib
from lib.bench.training_steps import compare_training

CPU = torch.device("cpu")
NAMES = ("a", "b")


class PlainTrainer:
    """The shortest training step; notes the iterations."""

    def __init__(self, calls: list[int]) -> None:
        self.model, self.calls = nn.Linear(256, 256), calls
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)

    def step(self, images, targets, iteration) -> None:
        self.calls.append(iteration)
        self.optimizer.zero_grad()
        self.model(images).sum().backward()
        self.optimizer.step()


def test_everyone_has_every_step_and_another_one_begins_each_round(capsys):
    calls: dict[str, list[int]] = {name: [] for name in NAMES}
    batches = repeat((torch.ones(64, 256), []))

    def start(name: str, turn: int):
        return PlainTrainer(calls[name]), batches

    trainings = {(name, "float32"): partial(start, name) for name in NAMES}
    amounts = {"rounds": 2, "warm_up": 1, "steps": 2}
    rows, facts = compare_training(trainings, **amounts, device=CPU)
    expected = {*product(NAMES, range(2), range(2), (True, False))}
    assert {(r["model"], r["round"], r["step"], r["loaded"]) for r in rows} == expected
    assert len(rows) == len(expected)
    assert [row["model"] for row in rows[:: 2 * 4]] == ["a", "b"]
    assert all(0 <= row["wait"] <= row["seconds"] for row in rows)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4 and told[0].startswith("round 1 of 2: a, float32")
    # warm-up and 2 x 2 measured steps; in the first round one more for the peak
    assert len(calls["b"]) == (1 + 4 + 1) + (1 + 4)
    assert [fact["model"] for fact in facts] == list(NAMES)
    weights, outputs = weights_mib(nn.Linear(256, 256)), 64 * 256 * 4 / MIB
    assert facts[0]["peak_mib"] == pytest.approx(2 * weights + outputs, rel=0.2)  # and gradients


def test_nothing_to_measure_is_a_sentence():
    with pytest.raises(ValueError, match="needs models"):
        compare_training({}, rounds=1, warm_up=0, steps=1, device=CPU)

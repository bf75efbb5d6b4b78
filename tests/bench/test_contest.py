"""Trainings in turns: who is measured when, and what is known of each afterwards."""

from functools import partial
from itertools import repeat

import pytest
import torch

from lib.bench.contest import Amounts, Contestant, StepRow, compete
from lib.bench.inference import MIB, weights_mib
from lib.bench.step_profile import PARTS
from tests.bench.test_step_profile import PlainTrainer, batch
from tests.fixtures.models import tiny_model

CPU = torch.device("cpu")


def contestants(calls: list[tuple[str, int]]) -> list[Contestant]:
    def start(method: str, turn: int):
        trainer = PlainTrainer(tiny_model(method))
        step = trainer.step

        def noted(images, targets, iteration) -> None:
            calls.append((method, iteration))
            step(images, targets, iteration)

        trainer.step = noted
        return trainer, repeat(batch())

    methods = ("mask_rcnn", "opmask", "faster_rcnn")
    return [Contestant(m, "float32", partial(start, m)) for m in methods]


def test_everyone_has_every_step_and_another_one_begins_each_round():
    calls: list[tuple[str, int]] = []
    told: list[str] = []
    amounts = Amounts(rounds=2, warm_up=1, steps=2, profiled=1)
    rows, facts = compete(contestants(calls), amounts, device=CPU, on_turn=told.append)
    names = ("mask_rcnn", "opmask", "faster_rcnn")
    expected = {
        (name, turn, step, loaded)
        for name in names
        for turn in range(2)
        for step in range(2)
        for loaded in (True, False)
    }
    assert {(r.model, r.round, r.step, r.loaded) for r in rows} == expected
    assert len(rows) == len(expected)
    firsts = [row.model for row in rows[:: 3 * 4]]
    assert firsts == ["mask_rcnn", "opmask"]
    assert all(0 <= row.wait <= row.seconds for row in rows)
    assert len(told) == 6 and told[0].startswith("round 1 of 2: mask_rcnn, float32")
    # warm-up, 2 x 2 measured steps, and in the first round one cut into parts and those examined:
    # one for waits, two for the work of the two batches in memory, one for the peak
    iterations = [iteration for method, iteration in calls if method == "opmask"]
    assert iterations == [*range(1 + 4 + 1 + 4), *range(1 + 4)]
    assert [fact["model"] for fact in facts] == list(names)


def test_what_is_known_of_each():
    amounts = Amounts(rounds=1, warm_up=0, steps=1, profiled=1)
    _, (fact, *_) = compete(contestants([]), amounts, device=CPU)
    model = tiny_model("mask_rcnn")
    assert tuple(fact["parts"]) == PARTS and all(fact["parts"].values())
    assert fact["parameters"] == sum(p.numel() for p in model.parameters())
    gradients = sum(p.numel() * p.element_size() for p in model.parameters()) / MIB
    picture = 2 * 3 * 64 * 96 * 4 / MIB
    assert fact["peak_mib"] > weights_mib(model) + gradients + picture
    assert fact["flops"] > 1e6 and fact["bytes"] > 2**20
    assert fact["waits"]["nms"] == 2


def test_nothing_to_measure_is_a_sentence():
    with pytest.raises(ValueError, match="at least one round, one step"):
        Amounts(rounds=1, warm_up=0, steps=0, profiled=1)
    with pytest.raises(ValueError, match="needs contestants"):
        compete([], Amounts(rounds=1, warm_up=0, steps=1, profiled=1), device=CPU)


def test_rows_can_be_written_and_read():
    row = StepRow("opmask", "float32", 0, 1, True, 0.1, 0.5)
    assert StepRow(**row._asdict()) == row

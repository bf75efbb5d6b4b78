"""What a profile trains, and what it costs."""

from typing import Any

import pytest

from lib.bench.costs import (
    MEASURED,
    cost_table,
    measured_models,
    stands_for,
    training_schedules,
)
from lib.bench.model_tables import training_table
from tests.bench.model_measured import DRAWS, MODEL, model_measured

OPMASK = {"method": "opmask", "backbone": "resnet50", "box_head": "conv", "fpn": "plain"}


def schedule(step: str, amp: str = "none", **changes: Any) -> dict[str, Any]:
    config = {"iterations": 9000, "batch_size": 4, "amp": amp, "model": {**MODEL, **changes}}
    return {"step": step, "minutes": 30, "config": config}


def test_a_model_stands_for_those_with_its_heads():
    measured = dict.fromkeys(["mask_rcnn", "baseline", "opmask", "large", "small"], MODEL)

    def name(**changes: str) -> str | None:
        return stands_for({**MODEL, **changes}, measured)

    assert name() == "mask_rcnn"
    assert name(fpn="dense") == "large"
    assert name(method="faster_rcnn") == "small"
    assert name(box_head="conv") == "baseline"
    assert name(method="faster_rcnn", box_head="conv") == "baseline"
    assert stands_for(OPMASK, measured) == "opmask"
    assert stands_for(OPMASK, {"small": MODEL}) is None
    assert name(backbone="resnet101") is None  # measured with another backbone alone


def test_on_a_gpu_hours_are_pictures_over_the_measured_speed():
    content = model_measured(gpu=True)
    rows = [schedule("a"), schedule("b", amp="auto"), schedule("c", method="faster_rcnn")]
    table = cost_table(rows, content, training_table(content, **DRAWS), price=2.5)
    # 36 000 pictures at 4, 8 and 8 a second
    assert table["gpu_hours"].tolist() == pytest.approx([2.5, 1.25, 1.25, 5.0])
    assert table["gpu_hours_mixed"].tolist() == pytest.approx([1.25, 1.25, 0.625, 3.125])
    assert table["money"].tolist() == pytest.approx([6.25, 3.125, 3.125, 12.5])
    assert table["from"].tolist()[:3] == ["measured"] * 3
    assert table["step"].tolist()[-1] == "all" and table["pictures"].tolist()[-1] == 108_000


def test_on_a_cpu_hours_of_a_gpu_are_the_profiles_own_estimates():
    content = model_measured()
    table = cost_table([schedule("a")], content, training_table(content, **DRAWS), price=2.5)
    row = table.iloc[0]
    assert row["hours_here"] == pytest.approx(2.5) and row["from"] == "estimated"
    assert row["gpu_hours"] == pytest.approx(0.5) and row["money"] == pytest.approx(1.25)
    assert table["gpu_hours_mixed"].isna().all()


def test_what_was_not_measured_is_estimated_and_sums_do_not_pretend():
    content = model_measured(gpu=True)
    rows = [schedule("a"), schedule("b", **OPMASK)]
    table = cost_table(rows, content, training_table(content, **DRAWS), price=1)
    assert table.loc[1, "from"] == "estimated" and table.loc[1, "gpu_hours"] == pytest.approx(0.5)
    assert table.loc[2, "gpu_hours"] == pytest.approx(3.0)
    assert table.isna().loc[2, "gpu_hours_mixed"]


@pytest.fixture(scope="module")
def paper():
    return training_schedules("paper")


def test_schedules_are_those_of_the_profile(paper):
    steps = {row["step"]: row for row in paper}
    assert len(steps) == len(paper)
    baseline = steps["06_train_opmask.baseline.voc.seed0"]
    assert baseline["config"]["iterations"] == 130_000
    assert baseline["config"]["batch_size"] == 16
    assert steps["04_train_hybrid.large.seed0"]["config"]["model"]["fpn"] == "direct"
    assert not any("detector" in step for step in steps)  # left out
    assert not any("list.opmask" in step for step in steps)  # not added


def test_measured_models_are_those_that_the_profile_trains(paper):
    models = measured_models(paper)
    assert set(models) == set(MEASURED)
    assert models["opmask"]["model"]["method"] == "opmask"
    assert models["small"]["model"]["method"] == "faster_rcnn"
    assert list(measured_models(paper, ["small", "opmask"])) == ["opmask", "small"]
    with pytest.raises(ValueError, match="trains none"):
        measured_models(paper[:1], ["opmask"])


def test_no_such_profile_is_a_sentence():
    with pytest.raises(ValueError, match="'papr'"):
        training_schedules("papr")

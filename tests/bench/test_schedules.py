"""What a profile trains."""

import pytest

from lib.bench.schedules import MEASURED, measured_models, training_schedules


@pytest.fixture(scope="module")
def paper():
    return training_schedules("paper")


def test_schedules_are_those_of_the_profile(paper):
    steps = {row["step"]: row for row in paper}
    assert len(steps) == len(paper)
    baseline = steps["06_train_opmask.baseline.voc"]
    assert baseline["config"]["iterations"] == 130_000
    assert baseline["config"]["batch_size"] == 16
    assert steps["04_train_hybrid.large"]["config"]["model"]["fpn"] == "direct"
    assert "04_train_hybrid.detector" not in steps  # left out
    assert "06_train_opmask.list.opmask" not in steps  # not added


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

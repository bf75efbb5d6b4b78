"""The linear rule by hand, and what is said and recorded of it."""

import pytest

from lib.files import read_json
from lib.training.scaling import division, resolved, sentence
from lib.training.train import train
from tests.fixtures.training import tiny_run

PAPER = {
    "batch_size": 16,
    "learning_rate": 0.02,
    "iterations": 130_000,
    "steps": (100_000, 120_000),
    "warmup": 1000,
    "snapshots": (0, 65_000),
}


def test_half_the_batch_has_half_the_rate_and_twice_the_iterations(tmp_path):
    asked = tiny_run(tmp_path, images_per_device=2, **PAPER)
    half = resolved(asked, 4)
    assert (half.batch_size, half.learning_rate, half.iterations) == (8, 0.01, 260_000)
    assert (half.steps, half.warmup, half.snapshots) == ((200_000, 240_000), 2000, (0, 130_000))
    assert half.images_per_device is None
    said = sentence(asked, half, 4)
    for part in ("4 processes with 2 images each", "8 instead of 16", "k = 0.5", "0.01", "260,000"):
        assert part in said


def test_a_batch_that_is_shared_out_is_no_other_run_and_says_who_gets_what(tmp_path):
    config = tiny_run(tmp_path, **PAPER)
    assert resolved(config, 5) is config
    assert sentence(config, config, 1) == ""
    said = sentence(config, config, 5)
    assert "5 processes with 3 or 4 images each: batches of 16" in said
    assert "batch statistics of each process's images" in said  # the heads have norm bn
    assert division(config, config, 5)["images"] == [3, 3, 3, 3, 4]
    with pytest.raises(ValueError, match="batch_size is 16, fewer images than the 17 processes"):
        resolved(config, 17)


def test_snapshots_that_scaling_makes_one_are_a_sentence(tmp_path):
    config = tiny_run(tmp_path, images_per_device=8, snapshots=(2, 3))
    with pytest.raises(ValueError, match=r"(?s)run on 4 processes.*different iterations"):
        resolved(config, 4)


def test_run_is_recorded_as_scaled_and_continues_as_scaled_alone(drawn, tmp_path, capsys):
    config = tiny_run(tmp_path, method="faster_rcnn", images_per_device=1)
    train(config)
    record = read_json(tmp_path / "out" / "batch.json")
    assert (record["processes"], record["images"], record["factor"]) == (1, [1], 0.5)
    assert record["asked"]["batch_size"] == 2 and record["resolved"]["batch_size"] == 1
    assert record["resolved"]["iterations"] == 12
    assert "k = 0.5" in capsys.readouterr().out
    same = tiny_run(
        tmp_path,
        method="faster_rcnn",
        batch_size=1,
        learning_rate=0.005,
        iterations=12,
        warmup=4,
        steps=(8,),
    )
    train(same)
    assert "is there already" in capsys.readouterr().out

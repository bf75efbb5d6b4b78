"""Tables of how fast models are, from hand-made measurements."""

import pytest

from lib.bench import model_tables
from tests.bench.model_measured import DRAWS, model_measured


def test_ratios_are_of_images_per_second_in_the_same_kind_of_precision():
    table = model_tables.training_table(model_measured(gpu=True), **DRAWS)
    rows = table.set_index(["model", "precision"])
    assert rows.loc[("torchvision", "float32"), "images_per_second"] == pytest.approx(2)
    assert rows.loc[("mask_rcnn", "float32"), "images_per_second"] == pytest.approx(4)
    assert rows.loc[("mask_rcnn", "float32"), "from_memory"] == pytest.approx(5)
    assert rows.loc[("mask_rcnn", "bfloat16"), "images_per_second"] == pytest.approx(8)
    for precision in ("float32", "bfloat16"):
        assert rows.loc[("mask_rcnn", precision), "ratio"] == pytest.approx(2)
        assert rows.loc[("small", precision), "ratio"] == pytest.approx(4)
        assert rows.loc[("small", precision), "memory_ratio"] == pytest.approx(0.25)
    assert table["waiting"].tolist() == pytest.approx([0.25] * 6)
    assert rows.loc["torchvision", ["ratio", "memory_ratio"]].isna().all(axis=None)


def test_the_interval_is_that_of_steps_drawn_again():
    table = model_tables.training_table(model_measured(rounds=8, noise=0.3), **DRAWS)
    row = table.set_index("model").loc["mask_rcnn"]
    assert row["ci_low"] < row["ratio"] < row["ci_high"]
    few = model_tables.training_table(model_measured(rounds=1, noise=0.3), **DRAWS)
    assert few["ci_low"].isna().all() and few["ratio"].notna().sum() == 2


def test_inference_takes_the_median_of_the_rounds_and_counts_weights_as_memory():
    content = model_measured()
    content["inference"]["rows"][0]["seconds"] = 100.0  # a hiccup of torchvision's
    table = model_tables.inference_table(content, **DRAWS).set_index("model")
    assert table.loc["torchvision", "images_per_second"] == pytest.approx(5)
    assert table.loc["small", "ratio"] == pytest.approx(4)
    assert table.loc["small", "peak_mib"] == pytest.approx(600)
    assert table.loc["small", "memory_ratio"] == pytest.approx(600 / 2100)


def test_limits_are_asked_of_torchvisions_own_network():
    tables = model_tables.tables(model_measured(gpu=True), **DRAWS)
    limits = tables["limits"]
    assert len(limits) == 8 and limits["kept"].all()
    slow = model_measured()
    for row in slow["rows"]:
        row["seconds"] *= 1.5 if row["model"] == "mask_rcnn" else 1
    slow["training"][1]["peak_mib"] = 3000.0
    kept = model_tables.tables(slow, **DRAWS)["limits"].set_index("what")["kept"]
    assert kept.tolist() == [False, False, True, True]

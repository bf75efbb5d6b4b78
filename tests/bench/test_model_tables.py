"""Tables, figure and sentences of notebook 11, from hand-made measurements."""

import pytest

from lib.bench import costs, model_tables
from lib.bench import model_figures as shown
from lib.pages import style
from lib.pages.tables import show
from tests.bench.model_measured import DRAWS, MODEL, model_measured


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


@pytest.mark.parametrize("gpu", [False, True])
def test_the_figure_shows_every_model_but_torchvisions(drawing, gpu: bool):
    content = model_measured(gpu=gpu)
    training = model_tables.training_table(content, **DRAWS)
    figure = shown.ratios(training, model_tables.inference_table(content, **DRAWS))
    figure.canvas.draw()
    bars = [bar.get_width() for bar in figure.axes[0].patches]
    assert bars == pytest.approx([2, 4] * (2 if gpu else 1))
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == [shown.NAMES["mask_rcnn"], shown.NAMES["small"]]
    assert list(shown.SHORT) == list(costs.MEASURED)
    assert set(shown.SHORT) < set(shown.NAMES)
    assert figure.get_figwidth() <= style.WIDTH


@pytest.mark.parametrize("gpu", [False, True])
def test_tables_and_sentences_can_be_shown(gpu: bool):
    content = model_measured(gpu=gpu)
    training = model_tables.training_table(content, **DRAWS)
    show(shown.readable(training))
    show(shown.readable(model_tables.inference_table(content, **DRAWS)))
    config = {"iterations": 9000, "batch_size": 4, "amp": "none", "model": MODEL}
    schedule = {"step": "a", "minutes": 30, "config": config}
    table = costs.cost_table([schedule], content, training, price=2.5)
    costly = shown.readable_costs(table)
    assert ("hours_here" in costly) is not gpu and ("GPU_hours_mixed" in costly) is gpu
    assert costly["million_pictures"].tolist() == [0.036, 0.036]
    assert shown.cost_line(content, table, profile="paper", price=2.5)
    assert "8 pictures" in shown.measured_line(content)
    assert ("trial" in shown.scale_line(content)) is not gpu

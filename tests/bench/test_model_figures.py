"""Figures, tables and sentences of notebook 11."""

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from lib.bench import costs, model_tables, step_profile
from lib.bench import model_figures as shown
from lib.pages import style
from lib.pages.tables import show
from lib.runner.schedules import MEASURED
from tests.bench.model_measured import DRAWS, MODEL, model_measured


@pytest.fixture(autouse=True)
def closed():
    mpl.use("agg")
    style.use_style()
    yield
    plt.close("all")


def test_every_part_of_a_step_has_a_name_and_a_colour():
    assert tuple(shown.PARTS) == step_profile.PARTS
    assert len(set(shown.PART_COLOURS.values())) == len(step_profile.PARTS)
    assert list(shown.SHORT) == list(MEASURED) == list(shown.NAMES)[1:]


@pytest.mark.parametrize("gpu", [False, True])
def test_figures_show_every_model_but_torchvisions_and_every_part(gpu: bool):
    tables = model_tables.tables(model_measured(gpu=gpu), **DRAWS)
    figure = shown.ratios(tables["training"], tables["inference"])
    figure.canvas.draw()
    bars = [bar.get_width() for bar in figure.axes[0].patches]
    assert bars == pytest.approx([2, 4] * (2 if gpu else 1))
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == [shown.NAMES["mask_rcnn"], shown.NAMES["small"]]
    figure = shown.parts_figure(tables["parts"])
    figure.canvas.draw()
    assert len(figure.axes[0].patches) == 11 * 3 * (2 if gpu else 1)
    assert figure.get_figwidth() <= style.WIDTH


@pytest.mark.parametrize("gpu", [False, True])
def test_tables_can_be_shown(gpu: bool):
    content = model_measured(gpu=gpu)
    tables = model_tables.tables(content, **DRAWS)
    html = show(shown.readable_training(tables["training"]), percent=["waiting"]).html
    assert "the same network here" in html and "images per second from memory" in html
    show(shown.readable_inference(tables["inference"]))
    parts = shown.readable_parts(model_tables.by_part(tables["parts"]))
    assert parts["part"].tolist()[0] == "waiting for data"
    assert list(parts)[1].startswith("torchvision's Mask R-CNN")
    assert ("busy" in shown.readable_roofline(tables["roofline"])) is gpu
    config = {"iterations": 9000, "batch_size": 4, "amp": "none", "model": MODEL}
    schedule = {"step": "a", "minutes": 30, "config": config}
    table = costs.cost_table([schedule], content, tables["training"], price=2.5)
    costly = shown.readable_costs(table)
    assert ("hours_here" in costly) is not gpu and ("GPU_hours_mixed" in costly) is gpu
    assert costly.loc[0, "like"] == "Mask R-CNN" and "from" not in costly
    assert costly["million_pictures"].tolist() == [0.036, 0.036]
    said = shown.cost_line(content, table, profile="paper", price=2.5)
    assert "At 2.5 per GPU hour, which is an assumption" in said
    assert ("estimates in params/paper.yaml" in said) is not gpu


def test_lines_say_where_and_how_large():
    said = shown.measured_line(model_measured())
    assert "8 pictures of 600 x 500 on average with 7.2 objects" in said
    assert "20 ms (torchvision), 10 ms (ours)" in said
    assert "trial of the measurement on a CPU and with small" in shown.scale_line(model_measured())
    assert "scale of the papers" in shown.scale_line(model_measured(gpu=True))
    assert "1 (float32)" in shown.speed_line(model_measured())
    assert "asked on a GPU; here" in shown.asked_line(model_measured())
    assert "here" not in shown.asked_line(model_measured(gpu=True))

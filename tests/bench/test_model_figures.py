"""Figures, tables and sentences of notebook 11."""

import pytest

from lib.bench import costs, model_tables
from lib.bench import model_figures as shown
from lib.bench.schedules import MEASURED
from lib.pages import style
from lib.pages.tables import show
from tests.bench.model_measured import DRAWS, MODEL, model_measured


@pytest.mark.parametrize("gpu", [False, True])
def test_the_figure_shows_every_model_but_torchvisions(drawing, gpu: bool):
    tables = model_tables.tables(model_measured(gpu=gpu), **DRAWS)
    figure = shown.ratios(tables["training"], tables["inference"])
    figure.canvas.draw()
    bars = [bar.get_width() for bar in figure.axes[0].patches]
    assert bars == pytest.approx([2, 4] * (2 if gpu else 1))
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == [shown.NAMES["mask_rcnn"], shown.NAMES["small"]]
    assert list(shown.SHORT) == list(MEASURED) == list(shown.NAMES)[1:]
    assert figure.get_figwidth() <= style.WIDTH


@pytest.mark.parametrize("gpu", [False, True])
def test_tables_and_sentences_can_be_shown(gpu: bool):
    content = model_measured(gpu=gpu)
    tables = model_tables.tables(content, **DRAWS)
    for name in ("training", "inference"):
        show(shown.readable(tables[name]))
    config = {"iterations": 9000, "batch_size": 4, "amp": "none", "model": MODEL}
    schedule = {"step": "a", "minutes": 30, "config": config}
    table = costs.cost_table([schedule], content, tables["training"], price=2.5)
    costly = shown.readable_costs(table)
    assert ("hours_here" in costly) is not gpu and ("GPU_hours_mixed" in costly) is gpu
    assert costly["million_pictures"].tolist() == [0.036, 0.036]
    assert shown.cost_line(content, table, profile="paper", price=2.5)
    assert "20 ms (torchvision), 10 ms (ours)" in shown.measured_line(content)
    assert ("trial" in shown.scale_line(content)) is not gpu

"""Figures and sentences of notebook 10."""

import pytest

from lib.bench import mask_figures, mask_tables
from lib.bench.mask_boxes import boxes_of
from lib.pages import style
from tests.bench.measured import DRAWN, measured


@pytest.mark.parametrize("images", [1, 6])
def test_the_figure_has_every_box_and_every_size(drawing, images: int) -> None:
    boxes = boxes_of(measured(images))
    figure = mask_figures.seconds_by_size(boxes, mask_tables.speed_table(boxes, **DRAWN))
    figure.canvas.draw()
    points, ratios = figure.axes
    assert sum(len(group.get_offsets()) for group in points.collections) == 2 * len(boxes)
    assert points.get_xscale() == points.get_yscale() == "log"
    assert [bar.get_height() for bar in ratios.patches] == pytest.approx([10, 3.6])
    assert figure.get_figwidth() <= style.WIDTH
    columns = ["box_area", "exact_seconds", "fast_seconds"]  # those of notebook 02
    assert len(mask_figures.seconds_by_size(boxes[columns]).axes) == 1

"""Figures and sentences of notebook 10."""

import pandas as pd
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


def test_sentences_have_the_numbers_of_their_measurement() -> None:
    given = measured() | {
        "set": {"annotations": "a.json", "boxes": 1200, "images": 600, "image_pixels": 187_500.0},
        "machine": {"processor": "x86_64", "cores": 2, "opencv": "4.0"},
        "compile_seconds": 1.26, "cores_used": 0.97,
    }  # fmt: skip
    assert "1,200 boxes" in mask_figures.measured_line(given)
    assert "250.0 ms" in mask_figures.per_image_line(boxes_of(given))
    assert "75%" in mask_figures.coco_line(given, mask_tables.workers_table(given))


def test_times_are_shown_as_people_say_them() -> None:
    boxes = boxes_of(measured())
    seconds = mask_figures.readable_seconds(mask_tables.speed_table(boxes, **DRAWN))
    assert seconds.loc[0, ["exact_ms", "fast_ms"]].tolist() == [7000, 1500]
    table = pd.DataFrame({"method": ["exact"], "core_hours": [102.4], "hours_on_1_core": [102.4],
                          "hours_on_16_cores": [6.4], "hours_on_1024_cores": [0.1]})  # fmt: skip
    assert mask_figures.readable_hours(table).iloc[0].tolist() == [
        "exact", 102.4, "102 h 24 min", "6 h 24 min", "6 min 00 s"
    ]  # fmt: skip

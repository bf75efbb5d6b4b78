"""Figures and sentences of notebook 10."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lib.bench import mask_figures, mask_tables
from lib.bench.mask_boxes import boxes_of
from lib.pages import style
from tests.bench.measured import DRAWN, measured


@pytest.fixture(autouse=True)
def closed() -> None:
    mpl.use("agg")
    style.use_style()
    yield
    plt.close("all")


def content(images: int) -> dict:
    what = {"annotations": "a.json", "boxes": 1200, "images": 600, "image_pixels": 187_500.0}
    machine = {"processor": "x86_64", "cores": 2, "opencv": "4.0"}
    return measured(images) | {
        "set": what,
        "machine": machine,
        "compile_seconds": 1.26,
        "cores_used": 0.97,
    }


@pytest.mark.parametrize("images", [1, 6])
def test_the_figure_has_every_box_and_every_size(images: int) -> None:
    boxes = boxes_of(content(images))
    table = mask_tables.speed_table(boxes, **DRAWN)
    figure = mask_figures.seconds_by_size(boxes, table)
    figure.canvas.draw()
    points, ratios = figure.axes
    drawn = sum(len(group.get_offsets()) for group in points.collections)
    assert drawn == 2 * len(boxes)
    assert points.get_xscale() == points.get_yscale() == "log"
    assert [bar.get_height() for bar in ratios.patches] == pytest.approx([10, 3.6])
    assert [t.get_text() for t in ratios.get_xticklabels()] == ["< 32²", "64²–128²"]
    assert figure.get_figwidth() <= style.WIDTH


def test_the_figure_can_do_without_ratios() -> None:
    columns = ["box_area", "exact_seconds", "fast_seconds"]
    boxes = boxes_of(content(4))[columns]
    assert len(mask_figures.seconds_by_size(boxes).axes) == 1


def test_lines_say_of_what_the_numbers_are() -> None:
    given = content(6)
    line = mask_figures.measured_line(given)
    assert "1,200 boxes on 600 pictures of 0.19 megapixels" in line
    assert "one core of 2 (x86_64), of which 97% was used" in line
    assert "1.3 s and is counted nowhere else" in line
    boxes = boxes_of(given)
    assert "decoding it 250.0 ms" in mask_figures.per_image_line(boxes)
    assert (
        "500.0 ms (fast) and 0.0 ms (exact), shared by its 2.0 boxes"
        in mask_figures.per_image_line(boxes)
    )
    said = mask_figures.coco_line(given, mask_tables.workers_table(given))
    assert "of 0.19 megapixels. Perfect scaling is assumed" in said
    assert "two workers are 1.50 times as fast as one, an efficiency of 75%" in said


def test_times_are_shown_as_people_say_them() -> None:
    boxes = boxes_of(measured())
    seconds = mask_figures.readable_seconds(mask_tables.speed_table(boxes, **DRAWN))
    assert seconds.loc[0, ["exact_ms", "fast_ms"]].tolist() == [7000, 1500]
    table = pd.DataFrame({"method": ["exact"], "core_hours": [102.4], "hours_on_1_core": [102.4],
                          "hours_on_16_cores": [6.4], "hours_on_1024_cores": [0.1]})  # fmt: skip
    assert mask_figures.readable_hours(table).iloc[0].tolist() == [
        "exact", 102.4, "102 h 24 min", "6 h 24 min", "6 min 00 s"
    ]  # fmt: skip


def test_a_table_of_one_box_can_be_shown() -> None:
    boxes = boxes_of(measured(1)).head(1)
    assert isinstance(mask_tables.speed_table(boxes, **DRAWN), pd.DataFrame)
    mask_figures.seconds_by_size(boxes, mask_tables.speed_table(boxes, **DRAWN)).canvas.draw()

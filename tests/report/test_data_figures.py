from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from lib.analysis.data_statistics import class_table, guest_table, instance_table
from lib.data.coco import CocoSet, from_coco
from lib.report import data_figures as figures

mpl.use("Agg")


@pytest.fixture
def made(tmp_path: Path) -> CocoSet:
    """Two pictures: one with a masked and a boxed object, one empty."""
    for name in ("a", "b"):
        Image.fromarray(np.full((60, 80, 3), 128, np.uint8)).save(tmp_path / f"{name}.png")
    content = {
        "images": [
            {"id": k, "file_name": f"{name}.png", "width": 80, "height": 60}
            for k, name in enumerate("ab", start=1)
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 70, 50],
             "segmentation": [[5, 5, 75, 5, 75, 55]]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [10, 10, 20, 20]},
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "zebra"}],
    }  # fmt: skip
    return from_coco(content, tmp_path / "made.json", tmp_path)


@pytest.fixture(autouse=True)
def closed() -> None:
    plt.close("all")


def test_bars_are_the_counts_in_falling_order(made: CocoSet) -> None:
    table = class_table(instance_table(made), made.categories)
    table["instances"] = [3, 7]
    figure = figures.class_figure({"train": table})
    assert [bar.get_width() for bar in figure.axes[0].patches] == [7, 3]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["zebra", "dog"]


def test_size_bars_sum_to_all_boxes_and_small_ones_have_their_colour(made: CocoSet) -> None:
    figure = figures.size_figure({"train": instance_table(made)})
    bars = figure.axes[0].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    assert len({bar.get_facecolor() for bar in bars[:4]}) == 1
    assert bars[3].get_facecolor() != bars[4].get_facecolor()


def test_every_class_count_and_set_without_overlap_can_be_drawn(made: CocoSet) -> None:
    table = instance_table(made)
    classes = class_table(table, made.categories)
    figures.overlap_figure({"train": table, "val": table}, classes).canvas.draw()
    figures.guest_figure(guest_table(made), classes).canvas.draw()
    alone = made.subset([2])
    nothing = instance_table(alone)
    figures.size_figure({"train": nothing}).canvas.draw()
    figures.guest_figure(guest_table(alone), class_table(nothing, alone.categories)).canvas.draw()


def test_a_sheet_shows_labelled_pictures_only(made: CocoSet) -> None:
    sheet = figures.scene_sheet(made)
    assert sheet is not None
    assert sum(bool(axes.images) for axes in sheet.axes) == 1
    shown = np.asarray(sheet.axes[0].images[0].get_array())
    assert (shown[58:, :4] == 128).all() and not (shown[15, 60] == 128).all()  # tinted by the mask
    assert figures.scene_sheet(made.subset([2])) is None

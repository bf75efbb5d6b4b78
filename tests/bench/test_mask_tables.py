"""Tables and figure of notebook 10, from a measurement made by hand."""

import math
from typing import Any

import numpy as np
import pytest

from lib.bench import mask_figures, mask_tables
from lib.bench.mask_tables import RUNS, boxes_of
from lib.masks import rle
from lib.pages import style

DRAWN = {"resamples": 60, "seed": 0}


def mask(columns: int) -> dict[str, Any]:
    """A 10 x 10 mask whose first columns are set: its IoU with another is a ratio of columns."""
    pixels = np.zeros((10, 10), dtype=bool)
    pixels[:, :columns] = True
    return rle.encode(pixels)


def row(run: str, box: int, image: int, **values: Any) -> dict[str, Any]:
    made = {
        "run": run, "annotation_id": box, "image_id": image, "box_area": 20.0**2,
        "image_area": 100, "image_boxes": 2, "seconds": 1.0, "prepare_seconds": 0.0,
        "decode_seconds": 0.25, "box_iou": 0.9, "true_iou": 0.5, "segmentation": mask(10),
    }  # fmt: skip
    return made | values


def measured(images: int = 6) -> dict[str, Any]:
    """Two boxes an image, one of 20 x 20 pixels and one of 100 x 100; all images are alike."""
    rows = []
    for image in range(1, images + 1):
        for n, side in enumerate((20.0, 100.0)):
            box = {"box": 10 * image + n, "image": image, "box_area": side**2}
            slow = 8.0 if n else 4.0
            rows += [
                row("exact", **box, seconds=slow, segmentation=mask(8)),
                row("other_seed", **box, seconds=slow + 2, segmentation=mask(4), true_iou=0.7),
                row(
                    "fast", **box, seconds=2.5 if n else 0.5, prepare_seconds=0.5,
                    segmentation=mask(8 if n else 4), true_iou=0.65,
                    box_iou=0.3 if n == 0 and image <= 3 else 0.9,
                ),
            ]  # fmt: skip
    return {"rows": rows}


def test_a_box_has_both_methods_the_exact_one_by_both_its_seeds() -> None:
    boxes = boxes_of(measured()).set_index("annotation_id")
    assert boxes.loc[10, ["exact_seconds", "fast_seconds"]].tolist() == [5, 0.5]
    assert boxes.loc[11, ["exact_seconds", "fast_seconds"]].tolist() == [9, 2.5]
    assert boxes.loc[10, ["mask_iou_seeds", "mask_iou_fast"]].tolist() == [0.5, 0.5]
    assert boxes.loc[11, ["mask_iou_seeds", "mask_iou_fast"]].tolist() == [0.5, 1.0]
    assert not boxes.loc[10, "valid_fast"] and boxes.loc[10, "valid_exact"]
    assert boxes.loc[40, "valid_fast"]
    assert not boxes_of(measured(), valid_from=0.95)["valid_exact"].any()


@pytest.mark.parametrize(
    ("side", "size"),
    [(31.9, "< 32²"), (32, "32²–64²"), (63.9, "32²–64²"), (128, "128²–256²"), (256, "≥ 256²")],
)
def test_a_size_begins_at_its_edge(side: float, size: str) -> None:
    rows = [row(run, 1, 1, box_area=side**2) for run in RUNS]
    assert boxes_of({"rows": rows})["size"].tolist() == [size]


def test_the_ratio_is_of_total_seconds_so_that_large_boxes_weigh_more() -> None:
    table = mask_tables.speed_table(boxes_of(measured()), **DRAWN).set_index("size")
    assert list(table.index) == ["all", "< 32²", "64²–128²"]
    assert table["boxes"].tolist() == [12, 6, 6]
    assert table["ratio"].tolist() == pytest.approx([14 / 3, 10, 3.6])
    # Every image is like every other one: there is nothing for a resample to change.
    assert table["ci_low"].tolist() == pytest.approx(table["ratio"].tolist())


def test_the_interval_of_a_ratio_is_over_images_and_missing_on_few() -> None:
    content = measured()
    for line in content["rows"]:
        line["seconds"] *= line["image_id"] if line["run"] == "fast" else 1
    table = mask_tables.speed_table(boxes_of(content), **DRAWN).set_index("size")
    assert table.loc["all", "ci_low"] < table.loc["all", "ratio"] < table.loc["all", "ci_high"]
    few = mask_tables.speed_table(boxes_of(measured(3)), **DRAWN)
    assert few["ci_low"].isna().all() and few["ratio"].notna().all()


def test_coco_pays_once_for_each_of_its_images_and_boxes() -> None:
    table = mask_tables.coco_table(boxes_of(measured())).set_index("method")
    # fast: 1.5 s a box, of which a quarter is the image's 0.5 s shared by two
    seconds = 860_000 * 1.25 + 118_000 * (0.5 + 0.25)
    assert table.loc["fast", "core_hours"] == pytest.approx(seconds / 3600)
    assert table.loc["fast", "hours_on_16_cores"] == pytest.approx(seconds / 3600 / 16)
    exact = 860_000 * 7 + 118_000 * 0.25
    assert table.loc["exact", "hours_on_1_core"] == pytest.approx(exact / 3600)


def test_agreement_with_the_fast_method_stands_beside_that_of_two_seeds() -> None:
    content = measured()
    cells = mask_tables.agreement_table(boxes_of(content), **DRAWN).set_index(["measure", "size"])
    columns = ["exact", "fast", "difference"]
    whole = {name: cells.loc[(name, "all"), columns].tolist() for name in cells.index.levels[0]}
    assert whole["valid or invalid"] == pytest.approx([1, 0.75, -0.25])
    assert whole["mask IoU"] == pytest.approx([0.5, 0.75, 0.25])
    assert whole["IoU with the true mask"] == pytest.approx([0.6, 0.65, 0.05])
    small = cells.loc[("valid or invalid", "< 32²")]
    assert (small["boxes"], small["fast"]) == (6, 0.5)
    assert -1 <= small["ci_low"] < -0.5 < small["ci_high"] <= 0
    content["rows"] = [line | {"true_iou": None} for line in content["rows"]]
    table = mask_tables.agreement_table(boxes_of(content), **DRAWN)
    assert set(table["measure"]) == {"valid or invalid", "mask IoU"}


def test_shares_of_fig_1_are_those_of_each_run() -> None:
    found = mask_tables.fig1_table(boxes_of(measured()), **DRAWN).set_index("formula")
    assert found["fast"].to_dict() == pytest.approx(
        {"I / N": 3 / 12, "Iₛ / I": 1, "Iₛ / S": 3 / 6, "Iₗ / L": 0}
    )
    assert found.loc["I / N", "exact"] == 0 and math.isnan(found.loc["Iₛ / I", "exact"])
    assert math.isnan(found.loc["Iₛ / I", "difference"])
    assert found.loc["Iₛ / S", "difference"] == pytest.approx(0.5)
    assert found.loc["Iₛ / S", "ci_low"] < 0.5 < found.loc["Iₛ / S", "ci_high"]


@pytest.mark.parametrize("images", [1, 6])
def test_the_figure_has_every_box_and_every_size(drawing, images: int) -> None:
    boxes = boxes_of(measured(images))
    speed = mask_tables.speed_table(boxes, **DRAWN)
    figure = mask_figures.seconds_and_ratios(boxes, speed)
    figure.canvas.draw()
    points, ratios = figure.axes
    assert sum(len(group.get_offsets()) for group in points.collections) == 2 * len(boxes)
    assert [bar.get_height() for bar in ratios.patches] == pytest.approx([10, 3.6])
    assert figure.get_figwidth() <= style.WIDTH

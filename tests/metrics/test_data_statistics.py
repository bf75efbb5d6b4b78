from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.metrics.data_statistics import (
    class_table,
    instance_table,
    split_table,
    summary,
)

NAMES = ["dog", "zebra", "person"]


def make(objects: list[tuple[int, int, list[float]]], images: int = 2, **fields: Any) -> CocoSet:
    """Return a set of 300 x 300 images from (image, category, xywh box) triples."""
    annotations = [
        {"id": k, "image_id": i, "category_id": c, "bbox": box, **fields}
        for k, (i, c, box) in enumerate(objects, start=1)
    ]
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 300, "height": 300}
            for i in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(NAMES, start=1)],
    }
    return from_coco(content, Path("made.json"), None)


def test_a_pair_worked_out_by_hand() -> None:
    # a 100 x 100 box; half of it again, inside: IoU 0.5; a far one; the same box on another image
    table = instance_table(
        make(
            [(1, 1, [0, 0, 100, 100]), (1, 2, [0, 0, 50, 100]), (1, 3, [200, 200, 10, 10]),
             (2, 1, [0, 0, 100, 100])]
        )
    )  # fmt: skip
    assert table["nearest_iou"].tolist() == [0.5, 0.5, 0, 0]
    assert table["ambiguous"].tolist() == [True, True, False, False]
    assert table["guests"].tolist() == [1, 1, 0, 0]
    assert table["size"].tolist() == pytest.approx([100, 5000**0.5, 10, 100])
    assert table["small"].tolist() == [False, False, True, False]
    assert table["split"].tolist() == ["voc", "non_voc", "voc", "voc"]


def test_small_means_below_64_times_64() -> None:
    table = instance_table(make([(1, 1, [0, 0, 64, 64]), (2, 1, [0, 0, 128, 31.9])]))
    assert table["small"].tolist() == [False, True]


def test_classes_without_instances_keep_their_row() -> None:
    made = make([(1, 1, [0, 0, 10, 10]), (1, 1, [20, 20, 100, 100]), (2, 3, [0, 0, 10, 10])])
    table = class_table(instance_table(made), made.categories).set_index("name")
    assert table["instances"].to_dict() == {"dog": 2, "zebra": 0, "person": 1}
    assert table["images"].to_dict() == {"dog": 1, "zebra": 0, "person": 1}
    assert table.loc["dog", "small"] == 0.5 and np.isnan(table.loc["zebra", "small"])
    assert table["split"].to_dict() == {"dog": "voc", "zebra": "non_voc", "person": "voc"}


def test_the_summary_counts_crowd_regions_apart_and_images_without_objects() -> None:
    crowd = make([(1, 1, [0, 0, 10, 10])], iscrowd=1, images=3)
    plain = make([(1, 1, [0, 0, 10, 10]), (1, 2, [0, 0, 100, 100])], images=3)
    sets = {"train": plain, "val": crowd}
    tables = {name: instance_table(s) for name, s in sets.items()}
    rows = summary(sets, tables).set_index("set")
    assert rows.loc["train", ["images", "images_without_objects", "instances"]].tolist() == [
        3,
        2,
        2,
    ]
    assert rows.loc["val", ["images_without_objects", "instances", "crowd_regions"]].tolist() == [
        3, 0, 1,
    ]  # fmt: skip
    assert rows.loc["train", "with_mask"] == 0 and rows.loc["train", "small"] == 0.5
    assert split_table(tables)["split"].tolist() == ["voc", "non_voc"]


def test_masks_are_counted_by_instance() -> None:
    made = make([(1, 1, [0, 0, 10, 10])], segmentation=[[0, 0, 9, 0, 9, 9]])
    assert instance_table(made)["has_mask"].tolist() == [True]
    assert instance_table(make([(1, 1, [0, 0, 10, 10])]))["has_mask"].tolist() == [False]

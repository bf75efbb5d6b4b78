"""What is in a set: counts, sizes, masks, and how objects stand in each other's boxes.

Crowd regions are counted but are no instances here. What overlap, ambiguous, and standing in a
box mean is said in :mod:`lib.data.overlap`.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.data.categories import Categories
from lib.data.coco import CocoSet
from lib.data.overlap import AMBIGUOUS_FROM, INSIDE_FROM, objects, overlapping_pairs
from lib.masks.quality import SMALL_SIDE

SIZE_EDGES = (0, 16, 32, 48, 64, 96, 128, 192, 256, 384, math.inf)
"""Edges of histograms of size: square root of the box area, pixels; 64 is one of them. Paper A does
not print those of its Fig. 1."""


def instance_table(coco_set: CocoSet) -> pd.DataFrame:
    """Return one row per instance.

    Columns: image_id, annotation_id, label, name, split (``voc``, ``non_voc``), size (square root
    of the box area, pixels), small, has_mask, nearest_iou (box IoU with the nearest other),
    ambiguous, guests (others that stand in its box).
    """
    some = objects(coco_set)
    boxes = np.array([x.box for x in some], dtype=float).reshape(-1, 4)
    image = np.array([x.image_id for x in some], dtype=np.int64)
    label = np.array([x.label for x in some], dtype=np.int64)
    pairs = overlapping_pairs(boxes, image)
    nearest = np.zeros(len(some))
    np.maximum.at(nearest, pairs.host, pairs.iou)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return pd.DataFrame(
        {
            "image_id": image,
            "annotation_id": np.array([x.id for x in some], dtype=np.int64),
            "label": label,
            "name": np.array(["", *coco_set.categories.names], dtype=object)[label],
            "split": split_of_labels(coco_set.categories)[label],
            "size": np.sqrt(area),
            "small": area < SMALL_SIDE**2,
            "has_mask": np.array([x.has_mask for x in some], dtype=bool),
            "nearest_iou": nearest,
            "ambiguous": nearest >= AMBIGUOUS_FROM,
            "guests": np.bincount(
                pairs.host[pairs.inside >= INSIDE_FROM], minlength=len(some)
            ).astype(np.int64),
        }
    )


def class_table(instances: pd.DataFrame, categories: Categories) -> pd.DataFrame:
    """Return one row per class of the set, classes without instances included.

    Args:
        instances: from ``instance_table``.
        categories: the set's classes.

    Returns:
        Columns: name, split, instances, images, median_size (pixels), small, with_mask, ambiguous,
        with_guests (shares of the class's instances), mean_nearest_iou. NaN where there is no
        instance.
    """
    by_label = instances.groupby("label")
    table = by_label.agg(
        instances=("annotation_id", "size"),
        images=("image_id", "nunique"),
        median_size=("size", "median"),
        small=("small", "mean"),
        with_mask=("has_mask", "mean"),
        ambiguous=("ambiguous", "mean"),
        with_guests=("guests", lambda guests: (guests > 0).mean()),
        mean_nearest_iou=("nearest_iou", "mean"),
    )
    labels = pd.RangeIndex(1, len(categories) + 1, name="label")
    table = table.reindex(labels)
    table[["instances", "images"]] = table[["instances", "images"]].fillna(0).astype(int)
    table.insert(0, "name", categories.names)
    table.insert(1, "split", split_of_labels(categories)[1:])
    return table.reset_index(drop=True)


def split_table(instances: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per set and class split: how many, how small, how often ambiguous.

    Args:
        instances: ``instance_table`` of the sets by name.
    """
    whole = pd.concat([table.assign(set=name) for name, table in instances.items()])
    order = {name: k for k, name in enumerate(["voc", "non_voc", *instances])}
    grouped = whole.groupby(["set", "split"]).agg(
        classes=("label", "nunique"),
        instances=("annotation_id", "size"),
        median_size=("size", "median"),
        small=("small", "mean"),
        with_mask=("has_mask", "mean"),
        ambiguous=("ambiguous", "mean"),
    )
    return grouped.sort_index(key=lambda level: level.map(order)).reset_index()


def summary(sets: Mapping[str, CocoSet], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per set: how many of everything, and the shares the papers speak of.

    Args:
        sets: the sets by name.
        tables: their ``instance_table``.
    """
    rows = []
    for name, coco_set in sets.items():
        table = tables[name]
        rows.append(
            {
                "set": name,
                "images": len(coco_set),
                "images_without_objects": len(coco_set) - table["image_id"].nunique(),
                "classes": len(coco_set.categories),
                "instances": len(table),
                "crowd_regions": len(coco_set.all_instances()) - len(table),
                "instances_per_image": len(table) / len(coco_set),
                "with_mask": table["has_mask"].mean(),
                "small": table["small"].mean(),
                "ambiguous": table["ambiguous"].mean(),
                "with_guests": (table["guests"] > 0).mean(),
                "dropped": sum(coco_set.dropped.values()),
            }
        )
    return pd.DataFrame(rows)


def split_of_labels(categories: Categories) -> np.ndarray:
    """Return ``"voc"`` or ``"non_voc"`` by label, object [K + 1]; entry 0 is empty."""
    voc = categories.split("voc")
    names = ["voc" if k in voc else "non_voc" for k in range(1, len(categories) + 1)]
    return np.array(["", *names], dtype=object)

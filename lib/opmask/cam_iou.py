"""How well class activation maps on true boxes cover their objects, cut at several thresholds.

Beside :mod:`lib.opmask.table3`: the same models and maps, without detection.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lib.metrics.cam_masks import COLUMNS, cam_iou_on_boxes, read_cams
from lib.metrics.mask_iou import mean_iou
from lib.opmask.table3 import BOX, MODELS, variants
from lib.opmask.trained import Runs
from lib.pages.tables import points

if TYPE_CHECKING:
    from lib.data.categories import Categories
    from lib.data.coco import CocoSet


def iou_frame(val: "CocoSet", runs: Runs, thresholds: Sequence[float]) -> pd.DataFrame:
    """Return the mask IoU of the maps on true boxes, by model and threshold.

    Columns trained, method, classes (``all`` where all masks were given, else ``unsupervised`` or
    ``supervised``) and those of :func:`lib.metrics.cam_masks.cam_iou_on_boxes`. The method
    ``box``, at threshold 0, is the whole box; its rows stand once per split.
    """
    frames = []
    for split, methods in MODELS.items():
        there = [m for m in methods if f"{m}.{split}" in variants(runs)]
        for method in there:
            run = runs[f"{method}.{split}"]
            cams = read_cams(run.folder / "cams_on_boxes_val.npz")
            frame = cam_iou_on_boxes(val, cams, thresholds)
            filled = [(method, frame)]
            if method == there[0]:
                filled.append((BOX, _filled(val, frame)))
            for name, part in filled:
                part.insert(0, "classes", _classes(part["label"], split, val.categories))
                part.insert(0, "method", name)
                part.insert(0, "trained", split)
                frames.append(part)
    columns = ["trained", "method", "classes", *COLUMNS]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean of :func:`iou_frame` with its interval over images, in points.

    Columns trained, method, classes, threshold, instances, ours, ci_low, ci_high.
    """
    keys = ["trained", "method", "classes", "threshold"]
    lines = [
        dict(zip(keys, place, strict=True))
        | {"instances": len(part)}
        | points(mean_iou(part, resamples=resamples, seed=seed).interval)
        for place, part in frame.groupby(keys, sort=False)
    ]
    return pd.DataFrame(lines, columns=[*keys, "instances", "ours", "ci_low", "ci_high"])


def _filled(val: "CocoSet", frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one threshold with the whole box as the mask, at threshold 0."""
    part = frame[frame["threshold"] == frame["threshold"].min()].copy()
    boxes = {x.id: x.box for x in val.all_instances()}
    corners = np.array([boxes[i] for i in part["annotation_id"]], dtype=float).reshape(-1, 4)
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return part.assign(threshold=0.0, iou=np.minimum(part["area"] / area, 1.0))


def _classes(labels: pd.Series, split: str, categories: "Categories") -> pd.Series:
    if split == "all":
        return pd.Series("all", index=labels.index)
    given = labels.isin(categories.split(split))
    return given.map({True: "supervised", False: "unsupervised"})

"""How well class activation maps on true boxes cover their objects, cut at several thresholds.

Beside :mod:`lib.opmask.table3`: the same models and maps, without detection.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.metrics.cam_masks import COLUMNS, cam_iou_on_boxes, read_cams
from lib.metrics.mask_iou import mean_iou
from lib.opmask.drawing import LINES, METHOD_COLOURS
from lib.opmask.predictions import Models
from lib.opmask.table3 import BOX, MASKS_OF, MODELS, NAMES, variants
from lib.pages.style import FLAT, WIDTH
from lib.pages.tables import points

if TYPE_CHECKING:
    from lib.data.coco import CocoSet


def iou_frame(val: "CocoSet", models: Models, thresholds: Sequence[float]) -> pd.DataFrame:
    """Return the mask IoU of the maps on true boxes, by model and threshold.

    Columns trained, method, classes (``all`` where all masks were given, else ``unsupervised`` or
    ``supervised``) and those of :func:`lib.metrics.cam_masks.cam_iou_on_boxes`. The method
    ``box``, at threshold 0, is the whole box; its rows stand once per split.
    """
    frames = [pd.DataFrame(columns=["trained", "method", "classes", *COLUMNS])]
    there = variants(models)
    for split, methods in MODELS.items():
        own = []
        for method in (m for m in methods if f"{m}.{split}" in there):
            cams = read_cams(models[f"{method}.{split}"].folder / "cams_on_boxes_val.npz")
            own.append((method, cam_iou_on_boxes(val, cams, thresholds)))
            if len(own) == 1:
                own.append((BOX, _filled(val, own[0][1])))
        supervised = val.categories.split(split)
        for method, frame in own:
            given = frame["label"].isin(supervised)
            classes = given.map({True: "supervised", False: "unsupervised"})
            frame.insert(0, "classes", "all" if split == "all" else classes)
            frame.insert(0, "method", method)
            frame.insert(0, "trained", split)
            frames.append(frame)
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _filled(val: "CocoSet", frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one threshold with the whole box as the mask, at threshold 0."""
    part = frame[frame["threshold"] == frame["threshold"].min()].copy()
    boxes = {x.id: x.box for x in val.all_instances()}
    corners = np.array([boxes[i] for i in part["annotation_id"]], dtype=float).reshape(-1, 4)
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return part.assign(threshold=0.0, iou=np.minimum(part["area"] / area, 1.0))


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


def iou_figure(frame: pd.DataFrame) -> Figure | None:
    """Draw the mean mask IoU of class activation maps on true boxes, over the threshold.

    Args:
        frame: from :func:`iou_frame`.
    """
    splits = list(dict.fromkeys(frame["trained"]))
    if not splits:
        return None
    figure, panels = plt.subplots(1, len(splits), figsize=(WIDTH, FLAT), sharey=True, squeeze=False)
    for axes, split in zip(panels[0], splits, strict=True):
        part = frame[frame["trained"] == split]
        for (method, classes), rows in part.groupby(["method", "classes"], sort=False):
            means = rows.groupby("threshold")["iou"].mean()
            look = {"color": METHOD_COLOURS[str(method)], "linestyle": LINES[str(classes)]}
            if method == BOX:
                axes.axhline(means.iloc[0], linewidth=1, **look)
            else:
                axes.plot(means.index, means, marker="o", markersize=3.5, **look)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="threshold", title=f"masks of {MASKS_OF[split]}")
    panels[0][0].set_ylabel("mean IoU with the true mask")
    methods = [m for m in NAMES if (frame["method"] == m).any()]
    texts = {"all": "all classes, supervised"}
    handles = [Line2D([], [], color=METHOD_COLOURS[m], label=NAMES[m]) for m in methods] + [
        Line2D([], [], color="#555555", linestyle=line, label=texts.get(classes, classes))
        for classes, line in LINES.items() if (frame["classes"] == classes).any()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper right", ncols=4, columnspacing=1)
    return figure

"""Figures of partially supervised training: AP by split, gains, classes, masks, pictures.

Baseline and OPMask keep their colours throughout; classes without mask labels (unsupervised) come
first everywhere, since they are what the question is about.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.data.coco import CocoSet
from lib.data.images import read_image
from lib.masks import rle
from lib.report.drawing import draw_masks, handle, hollow, metric_name, share_curve
from lib.report.opmask_tables import DIFFERENCE, DIRECTIONS, METHODS, NAMES, TITLES, Runs
from lib.report.style import COLOURS, FLAT, WIDTH
from lib.seeds import derive

CLASSES = ("unsupervised", "supervised")
_LINES: dict[str, Literal["-", "--"]] = {"unsupervised": "-", "supervised": "--"}


def ap_by_split(table: pd.DataFrame) -> Figure:
    """Draw every metric of both methods with its interval: directions across, classes down.

    Args:
        table: of `lib.report.opmask_tables.split_table`.
    """
    figure, panels = plt.subplots(
        2, 2, figsize=(WIDTH, FLAT * 1.75), sharex=True, sharey=True, squeeze=False
    )
    metrics = list(dict.fromkeys(table["metric"]))
    places = np.arange(len(metrics))
    for row, classes in enumerate(CLASSES):
        for column, direction in enumerate(TITLES):
            axes = panels[row][column]
            part = table[(table["classes"] == classes) & (table["direction"] == direction)]
            for shift, method in zip((-0.14, 0.14), METHODS, strict=True):
                values = part[part["method"] == method].set_index("metric").loc[metrics]
                _bars(axes, places + shift, values, COLOURS[method])
            axes.set_xticks(places, [metric_name(metric) for metric in metrics])
            axes.set_title(f"{TITLES[direction]}: {classes}")
            axes.grid(axis="x", visible=False)
        panels[row][0].set_ylabel("mask AP, points")
    panels[0][0].set_ylim(bottom=0)
    handles = [handle(COLOURS[method], NAMES[method]) for method in METHODS]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def gains(table: pd.DataFrame) -> Figure:
    """Draw OPMask minus baseline per metric with its paired interval, and the paper's gain.

    Args:
        table: of `lib.report.opmask_tables.split_table`.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, FLAT * 1.12), sharey=True, squeeze=False)
    metrics = list(dict.fromkeys(table["metric"]))
    places = np.arange(len(metrics))[::-1]
    part = table[table["method"] == DIFFERENCE]
    for axes, direction in zip(panels[0], TITLES, strict=True):
        for shift, classes in zip((0.15, -0.15), CLASSES, strict=True):
            rows = part[(part["direction"] == direction) & (part["classes"] == classes)]
            values = rows.set_index("metric").loc[metrics]
            y = places + shift
            axes.hlines(
                y, values["ci_low"], values["ci_high"], color=COLOURS[classes], linewidth=2.2
            )
            axes.scatter(values["ours"], y, color=COLOURS[classes], s=34, zorder=3)
            axes.scatter(values["paper"], y, marker="D", s=34, zorder=2, **hollow())
        axes.axvline(0, color="black", linewidth=1)
        axes.set_yticks(places, [metric_name(metric) for metric in metrics])
        axes.set(xlabel="gain in mask AP, points", title=TITLES[direction])
        axes.grid(axis="y", visible=False)
    handles = [handle(COLOURS[classes], f"{classes}, ours") for classes in CLASSES]
    paper = handle("none", "unsupervised, paper B (COCO, R50)", marker="D", **hollow("marker"))
    figure.legend(handles=[*handles, paper], loc="outside upper right", ncols=3)
    return figure


def per_class(frame: pd.DataFrame) -> Figure:
    """Draw each class's AP of baseline and OPMask, one column per direction.

    Classes are sorted by gain within the unsupervised and the supervised ones.

    Args:
        frame: of `lib.report.opmask_tables.per_class_table`.
    """
    shown = frame.dropna(subset=list(METHODS))
    tallest = shown.groupby("direction").size().max() if len(shown) else 1
    figure, panels = plt.subplots(
        1, 2, figsize=(WIDTH, 1.0 + 0.2 * (tallest + 2)), sharex=True, squeeze=False
    )
    for axes, direction in zip(panels[0], TITLES, strict=True):
        rows = shown[shown["direction"] == direction]
        rows = rows.assign(gain=rows["opmask"] - rows["baseline"])
        labels: list[tuple[float, str]] = []
        place = 0.0
        for classes in CLASSES:
            part = rows[rows["classes"] == classes].sort_values(["gain", "name"], ascending=False)
            axes.text(
                0.01, place - 0.1, classes, color=COLOURS[classes], fontsize=9,
                fontweight="bold", va="center", transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            y = place + 1 + np.arange(len(part))
            axes.hlines(y, part["baseline"], part["opmask"], color="#c4c4c4", linewidth=2)
            for method in METHODS:
                axes.scatter(part[method], y, color=COLOURS[method], s=26, zorder=3)
            labels += list(zip(y, part["name"], strict=True))
            place += len(part) + 1.4
        axes.set_yticks([y for y, _ in labels], [name for _, name in labels], fontsize=8.5)
        axes.set_ylim(place - 0.6, -0.8)
        axes.set(xlabel="mask AP, points", title=TITLES[direction])
    panels[0][0].set_xlim(left=-2)
    handles = [handle(COLOURS[method], NAMES[method]) for method in METHODS]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def mask_iou(frame: pd.DataFrame) -> Figure:
    """Draw the share of ground-truth boxes whose mask reaches an IoU, over that IoU.

    Args:
        frame: of `lib.report.opmask_tables.masks_on_boxes_frame`.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, FLAT), sharey=True, squeeze=False)
    for axes, direction in zip(panels[0], TITLES, strict=True):
        part = frame[frame["direction"] == direction]
        for classes in CLASSES:
            for method in METHODS:
                rows = part[(part["classes"] == classes) & (part["method"] == method)]
                if rows.empty:
                    continue
                values = rows["iou"].to_numpy()
                share_curve(axes, values, color=COLOURS[method], linestyle=_LINES[classes])
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="mask IoU", title=TITLES[direction])
    panels[0][0].set_ylabel("share of boxes with this IoU or more")
    handles = [
        Line2D([], [], color=COLOURS[method], linestyle=_LINES[classes],
               label=f"{NAMES[method]}, {classes}")
        for classes in CLASSES for method in METHODS
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper right", ncols=4, columnspacing=1.2)
    return figure


def scenes_to_show(coco_set: CocoSet, split: str, *, count: int) -> list[int]:
    """Return ids of images with unsupervised instances, drawn by a hash of their ids.

    No result decides which scenes are shown.
    """
    supervised = coco_set.categories.split(split)
    some = [
        image.id
        for image in coco_set.images
        if any(x.label not in supervised for x in coco_set.instances(image.id))
    ]
    return sorted(some, key=lambda i: derive(0, "scenes", i))[:count]


def pictures(
    coco_set: CocoSet, runs: Runs, split: str, image_ids: Sequence[int], *, score_from: float
) -> Figure | None:
    """Draw scenes: ground truth, baseline, OPMask; unsupervised classes in their colour.

    Without an image there is nothing to draw: None.

    Args:
        coco_set: the ground truth, opened with its images.
        runs: of `lib.report.opmask_tables.read_runs`.
        split: whose runs to show: the supervised split.
        image_ids: one row each.
        score_from: detections below this score are not drawn.
    """
    if not image_ids:
        return None
    supervised = coco_set.categories.split(split)
    shapes = [coco_set.image(i) for i in image_ids]
    width = WIDTH / 3
    height = sum(width * shape.height / shape.width + 0.06 for shape in shapes)
    figure, panels = plt.subplots(
        len(shapes),
        3,
        figsize=(WIDTH, height + 0.6),
        height_ratios=[shape.height / shape.width for shape in shapes],
        squeeze=False,
    )
    for row, record in zip(panels, shapes, strict=True):
        picture = read_image(record)
        truth: list[tuple[int, Any]] = [
            (x.label, x.segmentation) for x in coco_set.instances(record.id) if not x.iscrowd
        ]
        found = {
            method: [
                (coco_set.categories.label_of(d["category_id"]), d["segmentation"])
                for d in runs[split, method].detections
                if d["image_id"] == record.id and d["score"] >= score_from
            ]
            for method in METHODS
        }
        for axes, objects in zip(row, [truth, *found.values()], strict=True):
            colours = {True: COLOURS["supervised"], False: COLOURS["unsupervised"]}
            draw_masks(axes, picture, [(rle.decode(s, *picture.shape[:2]), colours[k in supervised])
                                  for k, s in objects])  # fmt: skip
    for axes, title in zip(panels[0], ("ground truth", *(NAMES[m] for m in METHODS)), strict=True):
        axes.set_title(title)
    handles = [
        Line2D([], [], color=COLOURS[c], marker="s", linestyle="none", label=c) for c in CLASSES
    ]
    figure.suptitle(TITLES[DIRECTIONS[split]], x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def _bars(axes: Axes, places: np.ndarray, values: pd.DataFrame, colour: str) -> None:
    axes.vlines(places, values["ci_low"], values["ci_high"], color=colour, linewidth=2.2)
    axes.scatter(places, values["ours"], color=colour, s=34, zorder=3)

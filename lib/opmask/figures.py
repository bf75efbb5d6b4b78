"""Figures of partially supervised training: AP by split, gains, Table 1, classes, masks, CAMs.

Methods keep their colours throughout; classes without mask labels (unsupervised) come first
everywhere, since they are what the question is about. Where nothing was run there is None.
"""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.metrics.ambiguity import GROUPS as AMBIGUITY
from lib.opmask import ablation as choices
from lib.opmask import table3
from lib.opmask.table2 import ROWS
from lib.opmask.trained import DIFFERENCE, METHODS, NAMES, TITLES
from lib.pages.ablation import MASK_IOU
from lib.pages.ablation_figure import changes
from lib.pages.drawing import handle, hollow, metric_name, share_curve
from lib.pages.style import BLACK, COLOURS, FLAT, GREEN, GREY, SKY, WIDTH, plain

CLASSES = ("unsupervised", "supervised")
METHOD_COLOURS = {
    "mask_rcnn": GREY,
    "baseline": COLOURS["baseline"],
    "gt_boxes": SKY,
    "opmask": COLOURS["opmask"],
    "class_specific": GREEN,
    "faster_rcnn": GREY,
    table3.BOX: BLACK,
}
_LINES: dict[str, Literal["-", "--", "-."]] = {"unsupervised": "-", "supervised": "--", "all": "-."}
_CLASS_NAMES = {"all": "all classes, supervised"}


def ap_by_split(table: pd.DataFrame) -> Figure | None:
    """Draw every metric of every method with its interval: directions across, classes down.

    Args:
        table: of `lib.opmask.table2.split_table`.
    """
    table = _ours(table)
    if table.empty:
        return None
    directions = _directions(table)
    figure, panels = plt.subplots(
        2,
        len(directions),
        figsize=(WIDTH, FLAT * 1.75),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    metrics = list(dict.fromkeys(table["metric"]))
    methods = [method for method in ROWS if (table["method"] == method).any()]
    places = np.arange(len(metrics))
    for row, classes in enumerate(CLASSES):
        for column, direction in enumerate(directions):
            axes = panels[row][column]
            part = table[(table["classes"] == classes) & (table["direction"] == direction)]
            for shift, method in zip(_shifts(len(methods)), methods, strict=True):
                values = part[part["method"] == method].set_index("metric").reindex(metrics)
                _bars(axes, places + shift, values, METHOD_COLOURS[method])
            axes.set_xticks(places, [metric_name(metric) for metric in metrics])
            axes.set_title(f"{TITLES[direction]}: {classes}")
            axes.grid(axis="x", visible=False)
        panels[row][0].set_ylabel("mask AP, points")
    panels[0][0].set_ylim(bottom=0)
    handles = [handle(METHOD_COLOURS[method], NAMES[method]) for method in methods]
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def gains(table: pd.DataFrame) -> Figure | None:
    """Draw OPMask minus baseline per metric with its paired interval, and the paper's gain.

    Args:
        table: of `lib.opmask.table2.split_table`.
    """
    part = _ours(table)
    part = part[part["method"] == DIFFERENCE]
    if part.empty:
        return None
    directions = _directions(part)
    figure, panels = plt.subplots(
        1, len(directions), figsize=(WIDTH, FLAT * 1.12), sharey=True, squeeze=False
    )
    metrics = list(dict.fromkeys(part["metric"]))
    places = np.arange(len(metrics))[::-1]
    for axes, direction in zip(panels[0], directions, strict=True):
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


def ambiguity(table: pd.DataFrame) -> Figure | None:
    """Draw Table 1: AP of ambiguous and of other instances, and the paper's.

    Args:
        table: of `lib.opmask.table1.table1`.
    """
    rows = table[table["metric"] == "AP"]
    if rows.empty:
        return None
    directions = list(dict.fromkeys(rows["direction"]))
    figure, panels = plt.subplots(
        1, len(directions), figsize=(WIDTH, FLAT), sharey=True, squeeze=False
    )
    places = np.arange(len(AMBIGUITY))
    for axes, direction in zip(panels[0], directions, strict=True):
        of = rows[rows["direction"] == direction]
        for shift, method in zip(_shifts(len(METHODS)), METHODS, strict=True):
            values = of[of["method"] == method].set_index("group").loc[list(AMBIGUITY)]
            _bars(axes, places + shift, values, METHOD_COLOURS[method])
            look = hollow() | {"edgecolor": METHOD_COLOURS[method]}
            axes.scatter(places + shift, values["paper"], marker="D", s=30, zorder=2, **look)
        axes.set_xticks(places, ["ambiguous", "not ambiguous"])
        axes.set(xlim=(-0.5, len(places) - 0.5), title=TITLES[direction])
        axes.grid(axis="x", visible=False)
    panels[0][0].set_ylabel("mask AP, points")
    panels[0][0].set_ylim(bottom=0)
    handles = [handle(METHOD_COLOURS[method], NAMES[method]) for method in METHODS]
    paper = handle("none", "paper B (COCO, R50)", marker="D", **hollow("marker"))
    figure.legend(handles=[*handles, paper], loc="outside upper right", ncols=3)
    return figure


def per_class(frame: pd.DataFrame) -> Figure | None:
    """Draw each class's AP of baseline and OPMask, one column per direction.

    Classes are sorted by gain within the unsupervised and the supervised ones; those without an
    instance are left out.

    Args:
        frame: of `lib.opmask.table2.per_class_table`.
    """
    directions = list(dict.fromkeys(frame["direction"]))
    if not directions:
        return None
    shown = frame.dropna(subset=list(METHODS))
    tallest = shown.groupby("direction").size().max() if len(shown) else 1
    figure, panels = plt.subplots(
        1,
        len(directions),
        figsize=(WIDTH, 1.0 + 0.2 * (tallest + 2)),
        sharex=True,
        squeeze=False,
    )
    for axes, direction in zip(panels[0], directions, strict=True):
        _classes(axes, shown[shown["direction"] == direction])
        axes.set(xlabel="mask AP, points", title=TITLES[direction])
    highest = float(np.nan_to_num(shown[list(METHODS)].to_numpy()).max(initial=0))
    panels[0][0].set_xlim(-2, max(1.04 * highest, 10))  # not stretched where all AP are next to 0
    handles = [handle(COLOURS[method], NAMES[method]) for method in METHODS]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def _classes(axes: Axes, rows: pd.DataFrame) -> None:
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
        labels += list(zip(y, part["name"].map(plain), strict=True))
        place += len(part) + 1.4
    axes.set_yticks([y for y, _ in labels], [name for _, name in labels], fontsize=8.5)
    axes.set_ylim(place - 0.6, -0.8)


def mask_iou(frame: pd.DataFrame) -> Figure | None:
    """Draw the share of ground-truth boxes whose mask reaches an IoU, over that IoU.

    Args:
        frame: of `lib.opmask.further_tables.masks_on_boxes_frame`.
    """
    directions = list(dict.fromkeys(frame["direction"]))
    if not directions:
        return None
    figure, panels = plt.subplots(
        1, len(directions), figsize=(WIDTH, FLAT), sharey=True, squeeze=False
    )
    for axes, direction in zip(panels[0], directions, strict=True):
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
    figure.legend(handles=_pairs_legend(), loc="outside upper right", ncols=4, columnspacing=1.2)
    return figure


def cam_iou(frame: pd.DataFrame) -> Figure | None:
    """Draw the mean mask IoU of class activation maps on true boxes, over the threshold.

    Args:
        frame: of `lib.opmask.cam_iou.iou_frame`.
    """
    splits = list(dict.fromkeys(frame["trained"]))
    if not splits:
        return None
    figure, panels = plt.subplots(1, len(splits), figsize=(WIDTH, FLAT), sharey=True, squeeze=False)
    for axes, split in zip(panels[0], splits, strict=True):
        part = frame[frame["trained"] == split]
        for (method, classes), rows in part.groupby(["method", "classes"], sort=False):
            means = rows.groupby("threshold")["iou"].mean()
            look = {"color": METHOD_COLOURS[str(method)], "linestyle": _LINES[str(classes)]}
            if method == table3.BOX:
                axes.axhline(means.iloc[0], linewidth=1, **look)
            else:
                axes.plot(means.index, means, marker="o", markersize=3.5, **look)
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="threshold",
            title=f"masks of {table3.MASKS_OF[str(split)]}",
        )
    panels[0][0].set_ylabel("mean IoU with the true mask")
    there = [m for m in table3.NAMES if (frame["method"] == m).any()]
    handles = [
        Line2D([], [], color=METHOD_COLOURS[m], label=table3.NAMES[m]) for m in there
    ] + [
        Line2D([], [], color="#555555", linestyle=line, label=_CLASS_NAMES.get(classes, classes))
        for classes, line in _LINES.items() if (frame["classes"] == classes).any()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper right", ncols=4, columnspacing=1)
    return figure


def ablation(table: pd.DataFrame) -> Figure | None:
    """Draw what each choice changes, compared with the default of its group.

    Args:
        table: of `lib.opmask.ablation.ablation_table`.
    """
    titles = choices.METRICS | {MASK_IOU: "mask IoU on true boxes"}
    return changes(table, choices.GROUPS, titles)


def _ours(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of our runs beside the paper's ResNet-50; a ResNet-101's are in the table."""
    return table[(table["backbone"] != "") & (table["beside"] == "R50")]


def _directions(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["direction"]))


def _shifts(count: int) -> np.ndarray:
    """Return places beside each other around a tick."""
    return (np.arange(count) - (count - 1) / 2) * min(0.28, 0.7 / count)


def _bars(axes: Axes, places: np.ndarray, values: pd.DataFrame, colour: str) -> None:
    axes.vlines(places, values["ci_low"], values["ci_high"], color=colour, linewidth=2.2)
    axes.scatter(places, values["ours"], color=colour, s=30, zorder=3)


def _pairs_legend() -> list[Line2D]:
    return [
        Line2D([], [], color=COLOURS[method], linestyle=_LINES[classes],
               label=f"{NAMES[method]}, {classes}")
        for classes in CLASSES for method in METHODS
    ]  # fmt: skip

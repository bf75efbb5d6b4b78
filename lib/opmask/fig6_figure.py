"""The figure of paper B's Fig. 6: AP and what the prior adds, over the classes with masks."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.opmask.fig6 import DIFFERENCE, PLOTTED
from lib.opmask.fig6_tables import SPLIT_NAMES
from lib.opmask.trained import METHODS, NAMES
from lib.pages.drawing import handle, hollow
from lib.pages.style import BLACK, COLOURS, FLAT, WIDTH

PANELS = {
    PLOTTED: "classes without masks",
    "supervised": "classes with masks",
    "all": "all classes",
}
"""Group of classes -> as people read it. With masks of all classes the first is all of them."""


def class_ratio(table: pd.DataFrame) -> Figure:
    """Draw AP of both methods (above) and OPMask's gain (below) at every ratio, with intervals.

    The panels are the groups of classes that are judged. Ratios stand at equal distances, since the
    numbers of classes can be close to each other in small sets.

    Args:
        table: of `lib.opmask.fig6_tables.with_paper`.
    """
    splits = table.drop_duplicates("split")
    every = int(table.loc[table["classes"] == "all", "judged"].max())
    ticks = [
        f"{row['classes_with_masks']} of {every}\n{SPLIT_NAMES[row['split']]}"
        for row in splits.to_dict("records")
    ]
    at = {split: place for place, split in enumerate(splits["split"])}
    figure, panels = plt.subplots(
        2, len(PANELS), figsize=(WIDTH, FLAT * 1.7), sharex=True, sharey="row", squeeze=False,
        height_ratios=[1.25, 1],
    )  # fmt: skip
    for column, (group, title) in enumerate(PANELS.items()):
        part = table[table["classes"] == group]
        above, below = panels[0][column], panels[1][column]
        for shift, method in zip((-0.09, 0.09), METHODS, strict=True):
            rows = part[part["method"] == method]
            places = rows["split"].map(at) + shift
            _intervals(above, places, rows, COLOURS[method])
            if group == "all":  # elsewhere the points are of different classes
                above.plot(places, rows["ours"], color=COLOURS[method], linewidth=1)
        gains = part[part["method"] == DIFFERENCE]
        places = gains["split"].map(at)
        below.scatter(places + 0.16, gains["paper"], marker="D", s=30, zorder=2, **hollow())
        _intervals(below, places, gains, BLACK)
        below.axhline(0, color="black", linewidth=1)
        above.set_title(title)
        below.set_xticks(list(at.values()), ticks, fontsize=8)
        below.set_xlim(-0.5, len(at) - 0.5)
        for axes in (above, below):
            axes.grid(axis="x", visible=False)
    if PLOTTED in set(table["classes"]) and "all" in at:
        panels[0][0].annotate(
            "all classes", (at["all"], 0), xytext=(0, 4), textcoords="offset points",
            xycoords=("data", "axes fraction"), ha="center", fontsize=8,
        )  # fmt: skip
    panels[0][0].set_ylabel("mask AP, points")
    panels[0][0].set_ylim(bottom=0)
    panels[1][0].set_ylabel("OPMask − baseline")
    panels[1][1].set_xlabel("classes with masks")
    handles = [handle(COLOURS[method], NAMES[method]) for method in METHODS]
    paper = handle("none", "gain in paper B (COCO, R50)", marker="D", **hollow("marker"))
    figure.legend(handles=[*handles, paper], loc="outside upper right", ncols=3)
    return figure


def _intervals(axes: Axes, places: Any, rows: pd.DataFrame, colour: str) -> None:
    axes.vlines(places, rows["ci_low"], rows["ci_high"], color=colour, linewidth=2.2)
    axes.scatter(places, rows["ours"], color=colour, s=34, zorder=3)

"""What the figures of paper B draw alike: methods in their colours, intervals beside each other."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.pages.style import BLACK, COLOURS, GREEN, GREY, SKY

METHOD_COLOURS = {
    "mask_rcnn": GREY,
    "baseline": COLOURS["baseline"],
    "gt_boxes": SKY,
    "opmask": COLOURS["opmask"],
    "class_specific": GREEN,
    "faster_rcnn": GREY,
    "box": BLACK,
}
LINES: dict[str, Literal["-", "--", "-."]] = {"unsupervised": "-", "supervised": "--", "all": "-."}
"""Classes -> style of a line."""


def shifts(count: int) -> np.ndarray:
    """Return places beside each other around a tick, [count]."""
    return (np.arange(count) - (count - 1) / 2) * min(0.28, 0.7 / count)


def bars(axes: Axes, places: Any, values: pd.DataFrame, colour: str, *, size: int = 30) -> None:
    """Draw values with their intervals (ours, ci_low, ci_high) as points on upright lines."""
    axes.vlines(places, values["ci_low"], values["ci_high"], color=colour, linewidth=2.2)
    axes.scatter(places, values["ours"], color=colour, s=size, zorder=3)


def heading(figure: Figure, text: str) -> None:
    """Write a heading over the left of a figure of pictures."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")

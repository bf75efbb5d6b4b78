"""Figure of what masks cost: the fast method beside GrabCut on the whole image."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lib.pages.style import COLOURS, FLAT, WIDTH

METHODS = {"exact": COLOURS["baseline"], "fast": COLOURS["ours"]}
"""The methods and their colours."""

EDGES = (32, 64, 128, 256)
"""Edges of the sizes of boxes: square root of the area, pixels."""

PIXELS = FuncFormatter(lambda side, _: f"{side:g}")


def seconds_by_size(boxes: pd.DataFrame) -> Figure:
    """Draw what each mask costs by the size of its box.

    Args:
        boxes: columns ``box_area`` (pixels), ``exact_seconds`` and ``fast_seconds``.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, FLAT * 1.1))
    draw_seconds(axes, boxes)
    return figure


def draw_seconds(axes: Axes, boxes: pd.DataFrame) -> None:
    """Draw `seconds_by_size` as one panel of a figure."""
    side = np.sqrt(boxes["box_area"])
    bins = np.digitize(side, EDGES)
    for method, colour in METHODS.items():
        times = boxes[f"{method}_seconds"] * 1000
        axes.scatter(side, times, s=12, color=colour, alpha=0.35, linewidth=0)
        medians = pd.DataFrame({"side": side, "times": times}).groupby(bins).median()
        (line,) = axes.plot(medians["side"], medians["times"], color=colour, marker="o")
        line.set(markeredgecolor="white", label=f"{method} (line: medians)")
    axes.set(xscale="log", yscale="log", ylabel="milliseconds per box, one core")
    axes.set_xlabel("square root of the box area, pixels")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PIXELS)
        axis.set_minor_formatter("")
    axes.set_xticks([x for x in (4, 8, 16, *EDGES, 512, 1024) if side.min() < x < side.max()])
    axes.set_title("What a mask costs")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 2.5)  # room for the legend
    axes.legend(loc="upper left", ncols=2, columnspacing=1.2)

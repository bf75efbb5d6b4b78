"""What several figures draw alike: numbers with intervals, the papers' numbers, boxes and masks."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from lib.pages.style import COLOURS


def metric_name(metric: str) -> str:
    """Return a metric as the papers typeset it."""
    base, _, index = metric.partition("_")
    index = index or base[2:]
    return rf"AP$_\mathrm{{{index}}}$" if index else "AP"


def hollow(prefix: str = "") -> dict[str, Any]:
    """Return the look of the papers' numbers, a hollow diamond.

    Args:
        prefix: ``marker`` for lines and legends; nothing for scatter plots.
    """
    return {
        f"{prefix}facecolor": "white",
        f"{prefix}edgecolor": COLOURS["paper"],
    } | ({"markeredgewidth": 1.6} if prefix else {"linewidth": 1.6})


def intervals(
    axes: Axes,
    places: Any,
    rows: pd.DataFrame,
    colour: ColorType | Sequence[ColorType],
    *,
    columns: Sequence[str] = ("ours", "ci_low", "ci_high"),
    upright: bool = False,
    paper: bool = False,
) -> None:
    """Draw numbers with their intervals, each row in its place, and beside them the paper's.

    Args:
        axes: where to.
        places: of the rows, on the axis that has no numbers.
        rows: with ``columns`` and, for the paper's numbers, ``paper``.
        colour: of all rows, or of each.
        columns: the numbers, and the two ends of their intervals.
        upright: numbers go up; else to the right.
        paper: whether to draw the paper's.
    """
    value, low, high = (rows[column] for column in columns)
    lines = axes.vlines if upright else axes.hlines
    lines(places, low, high, color=colour, linewidth=2.2)
    given = (
        {"color": colour, "s": 34, "zorder": 3},
        {"marker": "D", "s": 34, "zorder": 2, **hollow()},
    )
    drawn = [(value, given[0]), *([(rows["paper"], given[1])] if paper else [])]
    for numbers, look in drawn:
        axes.scatter(*((places, numbers) if upright else (numbers, places)), **look)


def beside_each_other(
    axes: Axes,
    rows: pd.DataFrame,
    category: str,
    order: Sequence[str],
    *,
    series: str,
    colours: Mapping[str, str],
    upright: bool = True,
    paper: bool = False,
) -> None:
    """Draw :func:`intervals` of several series, beside each other at each category.

    Args:
        axes: where to; the categories are at 0, 1, ...
        rows: of one panel.
        category: column of the categories.
        order: the categories; one without a row stays empty.
        series: column of the series.
        colours: the series that are drawn, with their colours.
        upright: numbers go up; else to the right.
        paper: whether to draw the paper's numbers.
    """
    shifts = (np.arange(len(colours)) - (len(colours) - 1) / 2) * min(0.28, 0.7 / len(colours))
    for shift, (name, colour) in zip(shifts, colours.items(), strict=True):
        own = rows[rows[series] == name].set_index(category).reindex(list(order))
        intervals(axes, np.arange(len(order)) + shift, own, colour, upright=upright, paper=paper)


def handle(colour: str, label: str, marker: str = "o", **look: Any) -> Line2D:
    """Return a legend's entry for points."""
    return Line2D([], [], color=colour, marker=marker, linestyle="none", label=label, **look)


def size_labels(edges: Sequence[float]) -> list[str]:
    """Return the names of the bins between some edges, the last of which may be infinite."""
    return [
        f"≥ {low:g}" if math.isinf(high) else f"{low:g}–{high:g}" for low, high in pairwise(edges)
    ]


def box_area(box: Sequence[float]) -> float:
    """Return the area of a box, xyxy."""
    x1, y1, x2, y2 = box
    return (x2 - x1) * (y2 - y1)


def square_around(box: Sequence[float], side: int, width: int, height: int) -> tuple[int, int, int]:
    """Return left, top and side of a square around a box, inside an image if it fits.

    Args:
        box: xyxy, pixels.
        side: of the square, if the image is as large.
        width: of the image.
        height: of the image.
    """
    side = min(side, max(width, height))
    middles = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = (
        round(min(max(middle - side / 2, 0), max(size - side, 0)))
        for middle, size in zip(middles, (width, height), strict=True)
    )
    return left, top, side


def draw_box(axes: Axes, box: Sequence[float], *lines: tuple[str, float]) -> None:
    """Draw a box (xyxy, pixels) once for each of some lines, a colour and a width."""
    x1, y1, x2, y2 = box
    for colour, width in lines:
        axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=colour, linewidth=width)


def outline(
    axes: Axes, mask: np.ndarray, corner: tuple[float, float], *lines: tuple[str, float]
) -> None:
    """Draw the outline of a mask (bool [H, W]) once for each of some lines, colour and width.

    Args:
        axes: where to.
        mask: closed at its edges, so that a mask that is cut is outlined there too.
        corner: x and y of its upper left corner.
        lines: to draw.
    """
    if not mask.any():
        return
    ys, xs = (np.r_[0, np.arange(n) + 0.5, n] + start for n, start in
              zip(mask.shape, corner[::-1], strict=True))  # fmt: skip
    for colour, width in lines:
        axes.contour(xs, ys, np.pad(mask, 1), levels=[0.5], colors=colour, linewidths=width)


def overlay(picture: np.ndarray, mask: np.ndarray, colour: str = COLOURS["mask"]) -> np.ndarray:
    """Return a picture (uint8 [H, W, 3]) with the mask (bool [H, W]) laid over it in a colour."""
    result = picture.astype(np.float32)
    tint = np.asarray(to_rgb(colour), dtype=np.float32) * 255
    result[mask] = 0.45 * result[mask] + 0.55 * tint
    return result.round().astype(np.uint8)


def draw_masks(axes: Axes, picture: np.ndarray, objects: Sequence[tuple[np.ndarray, str]]) -> None:
    """Draw masks over a picture, large ones first, each with an outline.

    Args:
        axes: where to.
        picture: uint8 [H, W, 3].
        objects: mask, bool [H, W], and colour of each.
    """
    shown = picture
    for mask, colour in sorted(objects, key=lambda entry: -int(entry[0].sum())):
        shown = overlay(shown, mask, colour)
        padded = np.pad(mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        shown[mask & ~inner] = 255
    axes.imshow(shown, interpolation="lanczos")
    axes.axis("off")

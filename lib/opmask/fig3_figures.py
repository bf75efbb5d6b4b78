"""Paper B's Fig. 3, drawn: mask AP of each class over its overlap."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from lib.data.categories import canonical
from lib.opmask.fig3_regression import Fit, band
from lib.opmask.overlap import NAMED, Definition
from lib.opmask.predictions import METHODS, NAMES
from lib.pages.drawing import handle
from lib.pages.style import BLACK, COLOURS, FLAT, GREY, WIDTH, plain

_MARKERS = {True: "o", False: "^"}
_KINDS = {True: "VOC class", False: "other class"}
_AXES: dict[Definition, str] = {
    "all_pairs": "mean box IoU, all pairs",
    "other_class_pairs": "mean box IoU, pairs with other classes",
    "nearest": "mean box IoU with the nearest other",
    "overlapping_pairs": "mean box IoU, overlapping pairs",
    "image_mean": "mean box IoU, per image first",
    "inside": "share of its box in another's",
}
# Where a name may stand beside its point, in points of type: alignment and offset.
_SPOTS = [(ha, va, x, y) for x, ha in ((7, "left"), (-7, "right"), (0, "center"))
          for y, va in ((0, "center"), (6, "bottom"), (-6, "top")) if x or y]  # fmt: skip


def regressions(
    frame: pd.DataFrame, lines: Sequence[Fit], definition: Definition, *, named: int = 4
) -> Figure:
    """Draw AP over overlap for both methods, with line, 95 % band, n, slope, p and r.

    Named are the classes that gain most, as in the paper's figure, and those that its text names.

    Args:
        frame: from :func:`lib.opmask.fig3.class_frame`; the band is of its means over seeds.
        lines: of both methods.
        definition: of the overlap in ``frame``.
        named: how many classes with the largest gain to name.
    """
    used = frame.dropna(subset=["overlap", *METHODS])
    most = set(used.nlargest(named, "gain")["name"])
    most |= {name for name in used["name"] if canonical(name) in NAMED}
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, FLAT * 1.3), sharex=True, sharey=True)
    for axes, method, found in zip(panels, METHODS, lines, strict=True):
        colour = COLOURS[method]
        places = np.linspace(used["overlap"].min(), used["overlap"].max(), 60)
        line = band(used["overlap"], used[method], places)
        axes.fill_between(
            line["overlap"], line["low"], line["high"], color=colour, alpha=0.16, lw=0
        )
        axes.plot(line["overlap"], line["mean"], color=colour)
        for of_voc, part in used.groupby(used["of_voc"] == 1):
            look = {"s": 30, "color": colour, "edgecolor": "white", "linewidth": 0.5}
            axes.scatter(part["overlap"], part[method], marker=_MARKERS[bool(of_voc)], **look)
        axes.set(xlabel=_AXES[definition])
        numbers = f"n = {found.n}, slope {number(found.slope)} per 0.01\n"
        axes.text(
            0, 1.01, numbers + f"{p_value(found.p)}, r = {number(found.r)}", fontsize=9,
            transform=axes.transAxes, va="bottom",
        )  # fmt: skip
        axes.set_title(NAMES[method], pad=30)
    panels[0].set_ylabel("mask AP without masks, points")
    top = used[list(METHODS)].to_numpy().max()
    panels[0].set_ylim(-0.04 * max(top, 1), 1.08 * max(top, 1))  # the band may leave the panel
    handles = [handle(GREY, _KINDS[k], marker=_MARKERS[k]) for k in (True, False)]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # names shall not move what they were placed by
    for axes, method in zip(panels, METHODS, strict=True):
        _name_points(axes, used, method, most)
    return figure


def number(value: float) -> str:
    """Return a number of a figure's text: one decimal, two below 1, with a true minus."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.{2 if abs(value) < 1 else 1}f}".replace("-", "−")


def p_value(p: float) -> str:
    """Return a p-value as papers write it: ``p = .003``, ``p < .001``."""
    if not math.isfinite(p):
        return "p: –"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def _name_points(axes: Axes, used: pd.DataFrame, method: str, names: set[str]) -> None:
    """Write names beside their points, each at the first spot where it hides the least."""
    points = axes.transData.transform(used[["overlap", method]].to_numpy(dtype=float))
    taken: list[Bbox] = []
    frame = axes.get_window_extent()
    for row, place in zip(used.to_dict("records"), points, strict=True):
        if row["name"] not in names:
            continue
        texts = []
        for ha, va, x, y in _SPOTS:
            text = axes.annotate(
                plain(row["name"]), (row["overlap"], row[method]), xytext=(x, y), fontsize=8.5,
                textcoords="offset points", ha=ha, va=va, zorder=5,
                path_effects=[withStroke(linewidth=2.4, foreground="white")],
            )  # fmt: skip
            texts.append((text, text.get_window_extent()))
        costs = [_cost(box, taken, points, frame) for _, box in texts]
        best = costs.index(min(costs))
        for position, (text, box) in enumerate(texts):
            if position == best:
                taken.append(box)
                axes.plot(*axes.transData.inverted().transform(place), "o", ms=7, mfc="none",
                          mec=BLACK, mew=0.9, zorder=4)  # fmt: skip
            else:
                text.remove()


def _cost(box: Bbox, taken: Sequence[Bbox], points: np.ndarray, frame: Bbox) -> float:
    """Return how bad a place for a name is: names and the border weigh more than points."""
    outside = not (frame.x0 <= box.x0 and box.x1 <= frame.x1)
    outside |= not (frame.y0 <= box.y0 and box.y1 <= frame.y1)
    inside = (points > [box.x0 - 2, box.y0 - 2]) & (points < [box.x1 + 2, box.y1 + 2])
    return 20 * sum(box.overlaps(other) for other in taken) + 50 * outside + inside.all(1).sum()

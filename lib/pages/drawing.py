"""What several figures draw alike: metric names, the papers' numbers, masks, shares of masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lib.pages.mask_gallery import overlay
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


def handle(colour: str, label: str, marker: str = "o", **look: Any) -> Line2D:
    """Return a legend's entry for points."""
    return Line2D([], [], color=colour, marker=marker, linestyle="none", label=label, **look)


def share_curve(axes: Axes, values: Sequence[float] | np.ndarray, **look: Any) -> None:
    """Draw which share of some values, all in 0..1, is at least x, over x."""
    places = np.r_[0, np.sort(values), 1]
    share = np.r_[1, np.arange(len(values), -1, -1) / len(values)]
    axes.step(places, share, where="pre", **look)


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

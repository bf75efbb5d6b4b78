"""The Enhanced-FPN (paper A, Figs. 3 and 4): how each of its readings joins the pyramid's maps.

The readings are those of :mod:`lib.models.enhanced_fpn`, and its modules are what costs weights.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.hybridnet.ablation import FPN
from lib.models.config import FpnKind
from lib.models.enhanced_fpn import extra_block
from lib.pages.style import BLUE, GREY, RED, WIDTH

KINDS: tuple[FpnKind, ...] = (
    "plain", "direct", "backbone", "lateral", "bottom_up", "dense", "control",
)  # fmt: skip
CHANNELS = 256
"""Channels of every map in the papers, the backbone's bottom map included."""

LEVELS = (2, 3, 4, 5)
DOWN, SAME, POINTWISE = "3×3, stride 2", "3×3", "1×1"

_COLUMNS = {"C": 0.15, "L": 0.85, "P": 0.0, "S": 1.5, "U": 1.85, "N": 2.6}
_MARKS: dict[str, dict[str, Any]] = {
    DOWN: {"marker": "s", "color": RED},
    SAME: {"marker": "s", "color": BLUE},
    POINTWISE: {"marker": "o", "color": BLUE},
}
"""How a convolution is drawn on its way."""


class Way(NamedTuple):
    """A way from one map to another; several ways into one map are added up there.

    Maps are named by what they are, and by their level k, whose stride is 2^k: P (the FPN's), C
    (the backbone's), N (what comes out), L (a 1x1 convolution of C), S and U (sums between them).
    """

    source: str
    target: str
    convolution: str = ""
    length: int = 0


def ways(kind: FpnKind) -> list[Way]:
    """Return how a reading joins the maps."""
    if kind == "plain":
        return [Way(f"P{k}", f"N{k}") for k in LEVELS]
    if kind == "lateral":
        return [
            Way("C2", "L2", POINTWISE, 1), Way("U5", "U4"), Way("U4", "U3"),
            *(Way("L2", f"U{k}", DOWN, k - 2) for k in LEVELS[1:]),
            *(Way(f"P{k}", f"N{k}") for k in LEVELS),
            *(Way(f"U{max(k, 3)}", f"N{k}", SAME, 1) for k in LEVELS),
        ]  # fmt: skip
    found = [Way("P2", "N2")]
    for k in LEVELS[1:]:
        total = f"S{k}"
        found += [Way(f"P{k}", total), Way(total, f"N{k}", SAME, 1)]
        if kind in ("direct", "dense", "backbone"):
            found.append(Way("C2" if kind == "backbone" else "P2", total, DOWN, k - 2))
        if kind == "bottom_up" or (kind == "dense" and k > 3):
            found.append(Way(f"N{k - 1}" if k > 3 else "P2", total, DOWN, 1))
        if kind == "control":
            found.append(Way(f"P{k}", total, SAME, k - 2))
    return found


def fpn_variants() -> Figure:
    """Draw each kind of feature pyramid: its maps, the ways between them, and what it costs.

    Levels go up, strides 4 (level 2) to 32; ways that begin at the bottom map are red.
    """
    figure, panels = plt.subplots(2, 4, figsize=(WIDTH, 5.4))
    for axes, kind in zip(panels.flat, KINDS, strict=False):
        _draw(axes, ways(kind))
        axes.set_title(FPN[kind] + " (default)" * (kind == "direct"), fontsize=9.5)
        block = extra_block(kind, CHANNELS, bottom_channels=CHANNELS)
        weights = sum(p.numel() for p in block.parameters())
        cost = f"+{weights / 1e6:.1f} M weights" if weights else "no weights added"
        axes.text(1.3, 0.28, cost, ha="center", va="center", fontsize=8.5)
    for axes in panels.flat:
        axes.axis("off")
    _legend(panels[1][3])
    return figure


def _draw(axes: Axes, found: Sequence[Way]) -> None:
    axes.set(xlim=(-0.45, 3.05), ylim=(0.0, 5.4))
    symbols: dict[str, Any] = {}
    look: dict[str, Any]
    for name in dict.fromkeys(name for way in found for name in (way.source, way.target)):
        x, y = _place(name)
        look = {"ha": "center", "va": "center", "zorder": 3, "fontsize": 8}
        if name[0] in "CPN":
            red = name == "C2" or any(_climbs(way) for way in found if way.source == name)
            box = {"boxstyle": "square,pad=0.35", "edgecolor": RED if red else "black",
                   "facecolor": "#fbe3d3" if red else "white"}  # fmt: skip
            symbols[name] = axes.text(x, y, name, bbox=box, **look).get_bbox_patch()
        else:
            text = "+" if sum(way.target == name for way in found) > 1 else "  "
            box = {"boxstyle": "circle,pad=0.1", "edgecolor": "black", "facecolor": "white"}
            symbols[name] = axes.text(x, y, text, bbox=box, **look).get_bbox_patch()
    for number, way in enumerate(found):
        bend = 0.35 * any(way[:2] == other[:2] for other in found[:number])
        colour = RED if _climbs(way) else GREY
        start, end = np.array(_place(way.source)), np.array(_place(way.target))
        axes.annotate(
            "", tuple(end), tuple(start), zorder=1,
            arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "mutation_scale": 8,
                        "connectionstyle": f"arc3,rad={-bend}", "shrinkA": 2, "shrinkB": 2,
                        "patchA": symbols[way.source], "patchB": symbols[way.target]},
        )  # fmt: skip
        x, y = end - start
        middle = (start + end) / 2 + bend * np.array([-y, x])
        for t in np.linspace(0.1, 0.9, way.length + 2)[1:-1]:
            spot = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
            look = {"markersize": 4.6, "zorder": 2, "markeredgecolor": "white"}
            axes.plot(*spot, **look, **_MARKS[way.convolution])


def _climbs(way: Way) -> bool:
    """Return whether a way leads from a map of the lowest level to a higher one."""
    return way.source[0] in "CPL" and way.source[1] < way.target[1]


def _place(name: str) -> tuple[float, float]:
    """Return where a map's middle is; C2 and what is made of it lie below the pyramid."""
    kind, level = name[0], int(name[1:])
    if kind in "CL":
        return _COLUMNS[kind], 1.0
    return _COLUMNS[kind], level - 0.5 if kind == "U" else level


def _legend(axes: Axes) -> None:
    handles = [
        Line2D([], [], linestyle="none", markersize=6, label=f"convolution {name}", **look)
        for name, look in _MARKS.items()
    ]
    handles.append(Line2D([], [], color=RED, linewidth=1.2, label="from the bottom map"))
    handles.append(Line2D([], [], color=GREY, linewidth=1.2, label="any other way"))
    axes.legend(handles=handles, loc="center left", fontsize=8, handlelength=1.4)
    text = "C: backbone's map\nP: FPN's map\nN: what comes out\nwhere ways meet: sum"
    axes.text(0.06, 0.06, text, fontsize=8, va="bottom", transform=axes.transAxes)

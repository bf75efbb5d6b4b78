"""Enhanced-FPN and its variants, drawn from the modules themselves.

What is drawn is what :mod:`lib.hybridnet.fpn_graph` reads off a model, not what was meant.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lib.hybridnet.ablation import FPN
from lib.hybridnet.fpn_graph import LEVELS, Connection, connections
from lib.models.backbones import small_fpn
from lib.models.config import FpnKind
from lib.pages.style import BLUE, GREY, RED, WIDTH

KINDS: tuple[FpnKind, ...] = (
    "plain", "direct", "backbone", "lateral", "bottom_up", "dense", "control",
)  # fmt: skip
DEFAULT: FpnKind = "direct"
CHANNELS = 256
"""Channels of every map in the papers, the backbone's bottom map included."""

_COLUMNS = {"C": 0.15, "L": 0.85, "P": 0.0, "S": 1.5, "U": 1.85, "N": 2.6}
_HALF_WIDTH, _HALF_HEIGHT, _RADIUS = 0.3, 0.24, 0.16
_BOXES = "CPN"
_MARKS: dict[str, dict[str, Any]] = {
    "3x3/s2": {"marker": "s", "color": RED},
    "3x3": {"marker": "s", "color": BLUE},
    "1x1": {"marker": "o", "color": BLUE},
}
"""How a convolution is drawn on its way."""

_NAMES = {"3x3/s2": "3×3, stride 2", "3x3": "3×3", "1x1": "1×1"}


def fpn_variants() -> Figure:
    """Draw each kind of feature pyramid: its maps, the ways between them, and what it costs.

    Levels go up, strides 4 (level 2) to 32; ways that begin at the bottom map are red.
    """
    figure, panels = plt.subplots(2, 4, figsize=(WIDTH, 5.4))
    for axes in panels.flat:
        axes.axis("off")
    for axes, kind in zip(panels.flat, KINDS, strict=False):
        pyramid = small_fpn(
            channels=(CHANNELS, 8, 8, 8), blocks=(1, 1, 1, 1), fpn_channels=CHANNELS, fpn=kind
        )
        block = pyramid.fpn.extra_blocks
        _draw(axes, connections(pyramid))
        axes.set_title(FPN[kind] + (" (default)" if kind == DEFAULT else ""), fontsize=9.5)
        weights = sum(p.numel() for p in block.parameters()) if block is not None else 0
        axes.text(1.3, 0.28, _cost(weights), ha="center", va="center", fontsize=8.5)
    _legend(panels[1][3])
    return figure


def _draw(axes: Axes, found: Sequence[Connection]) -> None:
    """Draw one graph into a panel."""
    boxes = [f"{kind}{level}" for kind in "PN" for level in LEVELS]
    maps = dict.fromkeys([*boxes, *(name for c in found for name in (c.source, c.target))])
    drawn: set[tuple[str, str]] = set()
    for connection in found:
        ends = connection.source, connection.target
        _way(axes, connection, bend=0.35 if ends in drawn else 0.0)
        drawn.add(ends)
    climbing = {c.source for c in found if _climbs(c)}
    for name in maps:
        x, y = _place(name)
        if name[0] in _BOXES:
            edge, face = (
                (RED, "#fbe3d3") if name in climbing or name == "C2" else ("black", "white")
            )
            corner = (x - _HALF_WIDTH, y - _HALF_HEIGHT)
            axes.add_patch(
                Rectangle(
                    corner, 2 * _HALF_WIDTH, 2 * _HALF_HEIGHT,
                    facecolor=face, edgecolor=edge, linewidth=1, zorder=3,
                )
            )  # fmt: skip
            axes.text(x, y, name, ha="center", va="center_baseline", fontsize=8, zorder=4)
        else:
            axes.scatter(x, y, s=95, facecolor="white", edgecolor="black", linewidth=0.9, zorder=3)
            if sum(c.target == name for c in found) > 1:
                axes.scatter(x, y, s=34, marker="+", color="black", linewidth=1, zorder=4)
    axes.set(xlim=(-0.45, 3.05), ylim=(0.0, 5.4))


def _climbs(connection: Connection) -> bool:
    """Return whether a way leads from a map of the lowest level to a higher one."""
    return connection.source[0] in "CPL" and connection.source[1] < connection.target[1]


def _way(axes: Axes, connection: Connection, *, bend: float) -> None:
    """Draw an arrow with a mark for every convolution on it."""
    start, end = (np.array(_place(n)) for n in (connection.source, connection.target))
    normal = np.array([start[1] - end[1], end[0] - start[0]]) / np.hypot(*(end - start))
    middle = (start + end) / 2 + normal * bend * 2
    t = np.linspace(0, 1, 201)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    outside = ~(_covered(curve, connection.source) | _covered(curve, connection.target))
    curve = curve[outside]
    colour = RED if _climbs(connection) else GREY
    axes.plot(*curve.T, color=colour, linewidth=1.2, zorder=1)
    axes.annotate(
        "", curve[-1], curve[-12], zorder=1,
        arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0,
                    "mutation_scale": 8, "linewidth": 1.2},
    )  # fmt: skip
    count = len(connection.convolutions)
    for number, convolution in enumerate(connection.convolutions, start=1):
        place = curve[round(len(curve) * number / (count + 1)) - 1]
        axes.plot(*place, markersize=4.6, zorder=2, markeredgecolor="white", **_MARKS[convolution])


def _place(name: str) -> tuple[float, float]:
    """Return where a map's middle is; C2 and what is made of it lie below the pyramid."""
    kind, level = name[0], int(name[1:])
    if kind in "CL":
        return _COLUMNS[kind], 1.0
    return _COLUMNS[kind], level - 0.5 if kind == "U" else level


def _covered(points: np.ndarray, name: str) -> np.ndarray:
    """Return which points lie under a map's symbol, bool [N]."""
    offset = np.abs(points - _place(name))
    if name[0] in _BOXES:
        return np.asarray((offset < [_HALF_WIDTH + 0.03, _HALF_HEIGHT + 0.03]).all(axis=1))
    return np.asarray(np.hypot(*offset.T) < _RADIUS)


def _cost(weights: int) -> str:
    return f"+{weights / 1e6:.1f} M weights" if weights else "no weights added"


def _legend(axes: Axes) -> None:
    """Say what the symbols mean."""
    handles = [
        Line2D([], [], linestyle="none", markersize=6, label=f"convolution {_NAMES[name]}", **look)
        for name, look in _MARKS.items()
    ]
    handles.append(Line2D([], [], color=RED, linewidth=1.2, label="from the bottom map"))
    handles.append(Line2D([], [], color=GREY, linewidth=1.2, label="any other way"))
    axes.legend(handles=handles, loc="center left", fontsize=8, handlelength=1.4)
    text = "C: backbone's map\nP: FPN's map\nN: what comes out\nwhere ways meet: sum"
    axes.text(0.06, 0.06, text, fontsize=8, va="bottom", transform=axes.transAxes)

"""Ablations, as tables and drawn: what each setting reaches, and how it differs from its default.

The first setting of a group is its default; the others are compared with it in the same resamples
of the images. All tables are tidy and in points of 100.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.metrics.seeds import Measured
from lib.pages.comparison import NUMBERS, difference, numbers
from lib.pages.drawing import intervals
from lib.pages.style import BLUE, WIDTH

MASK_IOU = "mask_IoU"
"""Mean mask IoU on the true boxes, since it varies less than an AP."""

HEADS = {MASK_IOU: "mask IoU", "AP_ambiguous": "AP amb."}
"""Metric -> as :func:`side_by_side` calls it, where that differs."""

COLUMNS = (
    "group", "setting", "is_default", "metric", "ours", "ci_low", "ci_high",
    "difference", "diff_low", "diff_high", "p", "detectable", "seeds",
)  # fmt: skip
"""Columns of :func:`compare`."""

ROW = 0.235
"""Height of a line of a figure that is read like a table, inches."""

_LONG = 40  # letters of a default that are too many for a title


class Judged(NamedTuple):
    """One setting of an ablation; the first of a group is its default.

    Attributes:
        group: what is varied.
        setting: the value that it has here.
        scores: by metric of the table.
    """

    group: str
    setting: str
    scores: Mapping[str, Measured]


def compare(judged: Iterable[Judged]) -> pd.DataFrame:
    """Return what each setting reaches, and its paired difference from the default of its group.

    Args:
        judged: the settings, group after group, defaults first. Metrics that the default has no
            score of are left out.

    Returns:
        Columns :data:`COLUMNS`; the difference of a default is NaN. ``seeds`` are those of the
        difference where there is one.
    """
    defaults: dict[str, Judged] = {}
    lines = []
    for one in judged:
        default = defaults.setdefault(one.group, one)
        for metric, score in one.scores.items():
            if metric not in default.scores:
                continue
            place = (one.group, one.setting, one is default, metric)
            ours, change = numbers(score), dict.fromkeys(NUMBERS, math.nan)
            change["seeds"] = ours.pop("seeds")
            if one is not default:
                change = difference(score - default.scores[metric])
            lines.append((*place, *ours.values(), *(change[name] for name in NUMBERS)))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def side_by_side(table: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    """Return one line per setting for people: its seeds, each metric, and beside it what changed.

    Args:
        table: from :func:`compare`.
        groups: group -> as people read it.
    """
    lines = []
    for (group, setting), part in table.groupby(["group", "setting"], sort=False):
        is_first = part["is_default"].iloc[0]  # the group named once is easier to read
        line: dict[str, Any] = {"what": groups[str(group)] if is_first else "", "setting": setting}
        line["seeds"] = part["seeds"].max()
        for row in part.to_dict("records"):
            name = HEADS.get(row["metric"], row["metric"])
            line |= {name: row["ours"], f"Δ {name}": row["difference"]}
        lines.append(line)
    return pd.DataFrame(lines)


def changes(
    table: pd.DataFrame, groups: Mapping[str, str], titles: Mapping[str, str]
) -> Figure | None:
    """Draw what each setting changes, compared with the default of its group.

    Args:
        table: from :func:`compare`.
        groups: group -> as people read it.
        titles: the metrics to draw -> as people read them; a panel each.

    Returns:
        The figure; None if there is nothing to compare.
    """
    parts = {g: part for g, part in table.groupby("group", sort=False) if len(part) > 1}
    shown: dict[str, list[str]] = {}
    for group, part in parts.items():
        default = part.loc[part["is_default"], "setting"].iloc[0]
        title = f"{groups[str(group)]}, compared with: "
        others = dict.fromkeys(part.loc[~part["is_default"], "setting"])
        shown[title + (default if len(default) < _LONG else "the settings in use")] = list(others)
    lines = sum(len(settings) + 1 for settings in shown.values())
    if lines == len(shown):
        return None
    figure, panels = plt.subplots(
        1, len(titles), figsize=(WIDTH, 0.9 + ROW * lines), sharey=True, squeeze=False
    )
    places = sections(panels[0], shown)
    for axes, (metric, title) in zip(panels[0], titles.items(), strict=True):
        of_metric = [part[part["metric"] == metric] for part in parts.values()]
        _panel(axes, of_metric, places, title)
    return figure


def _panel(
    axes: Axes, parts: Sequence[pd.DataFrame], places: Sequence[np.ndarray], title: str
) -> None:
    for part, y in zip(parts, places, strict=True):
        rows = part[~part["is_default"]]
        if rows.empty:
            continue
        intervals(axes, y, rows, BLUE, columns=("difference", "diff_low", "diff_high"))
        axes.vlines(0, y[0] - 0.5, y[-1] + 0.5, color="black", linewidth=1)
    axes.grid(axis="y", visible=False)
    axes.set_title(title.replace(": ", ":\n").replace(" on ", "\non "), fontsize=10)
    axes.set_xlabel("change, points")


def sections(panels: Sequence[Axes], titles: Mapping[str, Sequence[str]]) -> list[np.ndarray]:
    """Name the lines of a figure that is read like a table, and return where they are, [N] each.

    The title of a section runs across all panels, which show nothing behind it.

    Args:
        panels: beside each other, with one y axis; the lines are named at the first of them.
        titles: title of a section, on a line of its own -> its lines.
    """
    first = panels[0]
    ticks: list[tuple[float, str]] = []
    places: list[np.ndarray] = []
    top = 0.0
    for title, lines in titles.items():
        for axes in panels:  # above the grid and the zero line
            axes.axhspan(top - 0.5, top + 0.5, color="white", linewidth=0, zorder=2.5)
        first.text(
            0, top, title, fontsize=9, fontweight="bold", va="center",
            transform=first.get_yaxis_transform(), in_layout=False, zorder=4,
        )  # fmt: skip
        y = top + 1 + np.arange(len(lines))
        ticks += list(zip(y, lines, strict=True))
        places.append(y)
        top += len(lines) + 1
    first.set_zorder(1)  # its titles reach into the other panels
    first.patch.set_visible(False)
    first.set_yticks([y for y, _ in ticks], [text for _, text in ticks])
    first.set_ylim(top - 0.4, -0.5)
    for axes in panels:
        axes.spines["left"].set_visible(False)  # it would cut through the titles
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
    return places

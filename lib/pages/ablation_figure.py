"""The figure of an ablation: what each setting changes, group after group, read like a table."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.pages.style import BLUE, WIDTH

ROW = 0.235
"""Height of a line of a figure that is read like a table, inches."""

_LONG = 40  # letters of a default that are too many for a title


def changes(
    table: pd.DataFrame, groups: Mapping[str, str], titles: Mapping[str, str]
) -> Figure | None:
    """Draw what each setting changes, compared with the default of its group.

    Args:
        table: of `lib.pages.ablation.compare`.
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
        axes.hlines(y, rows["diff_low"], rows["diff_high"], color=BLUE, linewidth=2.2)
        axes.scatter(rows["difference"], y, color=BLUE, s=26, zorder=3)
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

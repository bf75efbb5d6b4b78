"""Figures of paper A's results: Table 2, differences, what the switches change, mask IoU.

A method keeps its colour throughout. The paper's numbers are hollow diamonds.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.report.drawing import handle, hollow, metric_name, share_curve
from lib.report.hybrid_ablation import GROUPS, MASK_IOU
from lib.report.hybrid_runs import NAMES
from lib.report.hybrid_tables import LESS, TABLE2_METHODS, readable
from lib.report.style import BLUE, COLOURS, GREEN, PINK, WIDTH

METHOD_COLOURS = {
    "baseline": COLOURS["baseline"],
    "small_branch": PINK,
    "large_branch": COLOURS["large"],
    "hybrid": BLUE,
    "pixel_level": GREEN,
}
METRICS = {
    "AP": "all sizes",
    "AP_S": "below 64×64",
    "AP_L": "from 64×64",
}
"""Metrics of paper A's Table 2 -> which instances they are of."""

_TITLES = {metric: f"{metric_name(metric)}: {sizes}" for metric, sizes in METRICS.items()}
_ROW = 0.235
"""Height of a line of a figure that is read like a table, inches."""


def branches(table: pd.DataFrame) -> Figure:
    """Draw Table 2: every method's AP, by size, with its interval and the paper's number.

    Args:
        table: of `lib.report.hybrid_tables.table2`.
    """
    places = np.arange(len(TABLE2_METHODS))[::-1]
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH, 0.9 + 0.34 * len(places)), sharey=True)
    for axes, (metric, title) in zip(panels, _TITLES.items(), strict=True):
        rows = table[table["metric"] == metric].set_index("method").loc[list(TABLE2_METHODS)]
        colours = [METHOD_COLOURS[method] for method in TABLE2_METHODS]
        axes.hlines(places, rows["ci_low"], rows["ci_high"], color=colours, linewidth=2.4)
        axes.scatter(rows["ours"], places, color=colours, s=38, zorder=3)
        axes.scatter(rows["paper"], places, marker="D", s=34, zorder=2, **hollow())
        axes.margins(x=0.08)
        axes.set(xlim=(0, None), ylim=(-0.6, len(places) - 0.4), xlabel="mask AP, points")
        axes.set_title(title, fontsize=10)
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(places, [NAMES[method] for method in TABLE2_METHODS])
    _paper_legend(figure)
    return figure


def differences(table: pd.DataFrame) -> Figure:
    """Draw the differences that paper A claims, with paired intervals and the paper's numbers.

    Args:
        table: of `lib.report.hybrid_tables.table2`.
    """
    claimed = table[table["method"].str.contains(LESS) & table["paper"].notna()]
    sections = {
        title: claimed[claimed["metric"] == metric]
        for metric, title in _TITLES.items()
        if (claimed["metric"] == metric).any()
    }
    lines = len(claimed) + len(sections)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + _ROW * lines))
    places = _sections(axes, {t: [readable(m) for m in r["method"]] for t, r in sections.items()})
    for rows, y in zip(sections.values(), places, strict=True):
        colours = [METHOD_COLOURS[method.split(LESS)[0]] for method in rows["method"]]
        axes.hlines(y, rows["ci_low"], rows["ci_high"], color=colours, linewidth=2.4)
        axes.scatter(rows["ours"], y, color=colours, s=38, zorder=3)
        axes.scatter(rows["paper"], y, marker="D", s=34, zorder=2, **hollow())
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel("difference in mask AP, points (right of 0: as the paper says)")
    _paper_legend(figure)
    return figure


def ablation(table: pd.DataFrame) -> Figure | None:
    """Draw what each choice changes, compared with the default of its group.

    Args:
        table: of `lib.report.hybrid_ablation.ablation_table`.

    Returns:
        The figure; None if there is nothing to compare.
    """
    groups = {g: part for g, part in table.groupby("group", sort=False) if len(part) > 1}
    shown: dict[str, list[str]] = {}
    for group, part in groups.items():
        default = part.loc[part["is_default"], "setting"].iloc[0]
        title = f"{GROUPS[str(group)]}, compared with: "
        others = dict.fromkeys(part.loc[~part["is_default"], "setting"])
        shown[title + (default if len(default) < 40 else "the settings in use")] = list(others)
    lines = sum(len(settings) + 1 for settings in shown.values())
    if lines == len(shown):
        return None
    titles = _TITLES | {MASK_IOU: "mask IoU on true boxes"}
    figure, panels = plt.subplots(1, 4, figsize=(WIDTH, 0.9 + _ROW * lines), sharey=True)
    places = _sections(panels[0], shown)
    panels[0].set_zorder(1)  # titles reach into the other panels
    panels[0].patch.set_visible(False)
    for axes, (metric, title) in zip(panels, titles.items(), strict=True):
        for part, y in zip(groups.values(), places, strict=True):
            rows = part[(part["metric"] == metric) & ~part["is_default"]]
            if rows.empty:
                continue
            axes.hlines(y, rows["diff_low"], rows["diff_high"], color=BLUE, linewidth=2.2)
            axes.scatter(rows["difference"], y, color=BLUE, s=26, zorder=3)
            axes.vlines(0, y[0] - 0.5, y[-1] + 0.5, color="black", linewidth=1)
        axes.grid(axis="y", visible=False)
        axes.set_title(title.replace(": ", ":\n").replace(" on ", "\non "), fontsize=10)
        axes.set_xlabel("change, points")
    return figure


def mask_iou(frame: pd.DataFrame) -> Figure:
    """Draw the share of ground-truth boxes whose mask reaches an IoU, over that IoU, by size.

    Args:
        frame: of `lib.report.hybrid_details.masks_on_boxes_frame`.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 0.42 * WIDTH), sharey=True)
    for axes, size in zip(panels, ("small", "large"), strict=True):
        part = frame[frame["size"] == size]
        for method, rows in part.groupby("method", sort=False):
            values = rows["iou"].to_numpy()
            share_curve(axes, values, color=METHOD_COLOURS[str(method)])
        count = part["annotation_id"].nunique()
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="mask IoU", title=f"{size} ({count:,} boxes)")
    panels[0].set_ylabel("share of boxes with this IoU or more")
    handles = [
        Line2D([], [], color=METHOD_COLOURS[method], label=NAMES[method])
        for method in dict.fromkeys(frame["method"])
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def _sections(axes: Axes, sections: dict[str, list[str]]) -> list[np.ndarray]:
    """Name the lines of a figure that is read like a table, and return where they are, [N] each.

    Each section has its title on a line of its own.
    """
    ticks: list[tuple[float, str]] = []
    places: list[np.ndarray] = []
    top = 0.0
    for title, lines in sections.items():
        axes.text(
            0, top, title, fontsize=9, fontweight="bold", va="center",
            transform=axes.get_yaxis_transform(), in_layout=False,
        )  # fmt: skip
        y = top + 1 + np.arange(len(lines))
        ticks += list(zip(y, lines, strict=True))
        places.append(y)
        top += len(lines) + 1
    axes.set_yticks([y for y, _ in ticks], [text for _, text in ticks])
    axes.set_ylim(top - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    return places


def _paper_legend(figure: Figure) -> None:
    ours = handle(BLUE, "ours, 95 % interval")
    paper = handle("none", "paper A (VOC 2012, ResNet-50)", marker="D", **hollow("marker"))
    figure.legend(handles=[ours, paper], loc="outside upper right", ncols=2)

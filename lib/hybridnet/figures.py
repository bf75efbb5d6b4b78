"""Figures of paper A's results: Table 2, differences, what the switches change.

A method keeps its colour throughout. The paper's numbers are hollow diamonds.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.hybridnet.ablation import GROUPS
from lib.hybridnet.predictions import NAMES, READINGS, readable
from lib.hybridnet.table2 import METHODS
from lib.pages.ablation import MASK_IOU, ROW, changes, sections
from lib.pages.comparison import LESS
from lib.pages.drawing import handle, hollow, intervals, metric_name
from lib.pages.style import BLACK, BLUE, COLOURS, GREEN, PINK, WIDTH

METHOD_COLOURS = {
    "rectangle": BLACK,
    "baseline": COLOURS["baseline"],
    "small_branch": PINK,
    "large_branch": COLOURS["large"],
    "hybrid": BLUE,
    "pixel_level": GREEN,
}
METHOD_COLOURS |= {reading: METHOD_COLOURS[method] for reading, method in READINGS.items()}
METRICS = {
    "AP": "all sizes",
    "AP_S": "below 64×64",
    "AP_L": "from 64×64",
}
"""Metrics of paper A's Table 2 -> which instances they are of."""

_TITLES = {metric: f"{metric_name(metric)}: {sizes}" for metric, sizes in METRICS.items()}


def branches(table: pd.DataFrame) -> Figure:
    """Draw Table 2: every method's AP, by size, with its interval and the paper's number.

    Args:
        table: of `lib.hybridnet.table2.table2`.
    """
    methods = [method for method in METHODS if (table["method"] == method).any()]
    places = np.arange(len(methods))[::-1]
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH, 0.9 + 0.34 * len(places)), sharey=True)
    for axes, (metric, title) in zip(panels, _TITLES.items(), strict=True):
        rows = table[table["metric"] == metric].set_index("method").loc[methods]
        colours = [METHOD_COLOURS[method] for method in methods]
        intervals(axes, places, rows, colours, paper=True)
        axes.margins(x=0.08)
        axes.set(xlim=(0, None), ylim=(-0.6, len(places) - 0.4), xlabel="mask AP, points")
        axes.set_title(title, fontsize=10)
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(places, [NAMES[method] for method in methods])
    _paper_legend(figure)
    return figure


def differences(table: pd.DataFrame) -> Figure:
    """Draw the differences that paper A claims, with paired intervals and the paper's numbers.

    Args:
        table: of `lib.hybridnet.table2.table2`.
    """
    claimed = table[table["method"].str.contains(LESS) & table["paper"].notna()]
    titled = {
        title: claimed[claimed["metric"] == metric]
        for metric, title in _TITLES.items()
        if (claimed["metric"] == metric).any()
    }
    lines = len(claimed) + len(titled)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + ROW * lines))
    places = sections([axes], {t: [readable(m) for m in r["method"]] for t, r in titled.items()})
    for rows, y in zip(titled.values(), places, strict=True):
        colours = [METHOD_COLOURS[method.split(LESS)[0]] for method in rows["method"]]
        intervals(axes, y, rows, colours, paper=True)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel("difference in mask AP, points (right of 0: as the paper says)")
    _paper_legend(figure)
    return figure


def ablation(table: pd.DataFrame) -> Figure | None:
    """Draw what each choice changes, compared with the default of its group.

    Args:
        table: of `lib.hybridnet.ablation.ablation_table`.

    Returns:
        The figure; None if there is nothing to compare.
    """
    return changes(table, GROUPS, _TITLES | {MASK_IOU: "mask IoU on true boxes"})


def _paper_legend(figure: Figure) -> None:
    ours = handle(BLUE, "ours, 95 % interval")
    paper = handle("none", "paper A (VOC 2012, ResNet-50)", marker="D", **hollow("marker"))
    figure.legend(handles=[ours, paper], loc="outside upper right", ncols=2)

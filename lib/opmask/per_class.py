"""Paper B, class by class: mask AP of the baseline and of OPMask."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.opmask.predictions import CLASSES, METHODS, NAMES, SETTINGS, TITLES, Models, Results, pairs
from lib.opmask.table2 import SPLITS
from lib.pages.drawing import handle
from lib.pages.style import COLOURS, WIDTH, plain


def per_class_table(results: Results, models: Models) -> pd.DataFrame:
    """Return mask AP of every class of both methods, per direction of Table 2.

    Returns:
        Columns direction, classes, label, name, instances, baseline, opmask; AP in points, NaN of
        a class without an instance.
    """
    columns = ["direction", "classes", "label", "name", "instances", *METHODS]
    frames = [pd.DataFrame(columns=columns)]
    there = pairs(models)
    for direction in (SETTINGS[split] for split in SPLITS if SETTINGS[split] in there):
        of = there[direction]
        frame = results[of["opmask"].variant].per_class[["label", "name", "instances"]].copy()
        for method in METHODS:
            frame[method] = 100 * results[of[method].variant].per_class["AP"]
        given = frame["label"].isin(of["opmask"].supervised)
        frame.insert(0, "classes", given.map({True: "supervised", False: "unsupervised"}))
        frame.insert(0, "direction", direction)
        frames.append(frame)
    return pd.concat(frames[1:] or frames, ignore_index=True)


def per_class_figure(table: pd.DataFrame) -> Figure | None:
    """Draw each class's AP of baseline and OPMask, one column per direction.

    Classes are sorted by gain within the unsupervised and the supervised ones; those without an
    instance are left out.

    Args:
        table: from :func:`per_class_table`.
    """
    directions = list(dict.fromkeys(table["direction"]))
    if not directions:
        return None
    shown = table.dropna(subset=list(METHODS))
    tallest = shown.groupby("direction").size().max() if len(shown) else 1
    figure, panels = plt.subplots(
        1, len(directions), figsize=(WIDTH, 1.0 + 0.2 * (tallest + 2)), sharex=True, squeeze=False
    )
    for axes, direction in zip(panels[0], directions, strict=True):
        _classes(axes, shown[shown["direction"] == direction])
        axes.set(xlabel="mask AP, points", title=TITLES[direction])
    highest = float(np.nan_to_num(shown[list(METHODS)].to_numpy()).max(initial=0))
    panels[0][0].set_xlim(-2, max(1.04 * highest, 10))  # not stretched where all AP are next to 0
    handles = [handle(COLOURS[method], NAMES[method]) for method in METHODS]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def _classes(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(gain=rows["opmask"] - rows["baseline"])
    labels: list[tuple[float, str]] = []
    place = 0.0
    for classes in CLASSES:
        part = rows[rows["classes"] == classes].sort_values(["gain", "name"], ascending=False)
        axes.text(
            0.01, place - 0.1, classes, color=COLOURS[classes], fontsize=9,
            fontweight="bold", va="center", transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        y = place + 1 + np.arange(len(part))
        axes.hlines(y, part["baseline"], part["opmask"], color="#c4c4c4", linewidth=2)
        for method in METHODS:
            axes.scatter(part[method], y, color=COLOURS[method], s=26, zorder=3)
        labels += list(zip(y, part["name"].map(plain), strict=True))
        place += len(part) + 1.4
    axes.set_yticks([y for y, _ in labels], [name for _, name in labels], fontsize=8.5)
    axes.set_ylim(place - 0.6, -0.8)

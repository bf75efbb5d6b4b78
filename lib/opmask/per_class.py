"""Paper B, class by class: mask AP of the baseline and of OPMask."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.opmask.predictions import (
    CLASSES,
    METHODS,
    NAMES,
    SETTINGS,
    TITLES,
    Models,
    Results,
    mean_per_class,
    pairs,
)
from lib.opmask.table2 import SPLITS
from lib.pages.ablation import sections
from lib.pages.drawing import handle
from lib.pages.style import COLOURS, WIDTH, plain


def per_class_table(results: Results, models: Models) -> pd.DataFrame:
    """Return mask AP of every class of both methods, per direction of Table 2.

    Returns:
        Columns direction, classes, label, name, instances, baseline, opmask, seeds (the fewest of
        both methods); AP in points, the mean over seeds, NaN of a class without an instance.
    """
    columns = ["direction", "classes", "label", "name", "instances", *METHODS, "seeds"]
    frames = [pd.DataFrame(columns=columns)]
    there = pairs(models)
    for direction in (SETTINGS[split] for split in SPLITS if SETTINGS[split] in there):
        of = there[direction]
        judged = {method: results[of[method].variant] for method in METHODS}
        one = next(iter(judged["opmask"].values()))
        frame = one.per_class[["label", "name", "instances"]].copy()
        for method in METHODS:
            frame[method] = frame["label"].map(mean_per_class(judged[method]))
        frame["seeds"] = min(len(runs) for runs in judged.values())
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
    shown = shown.assign(gain=shown["opmask"] - shown["baseline"])
    shown = shown.sort_values(["gain", "name"], ascending=False)
    tallest = shown.groupby("direction").size().max() if len(shown) else 1
    figure, panels = plt.subplots(
        1, len(directions), figsize=(WIDTH, 1.0 + 0.2 * (tallest + 2)), sharex=True, squeeze=False
    )
    for axes, direction in zip(panels[0], directions, strict=True):
        rows = shown[shown["direction"] == direction]
        parts = [rows[rows["classes"] == classes] for classes in CLASSES]
        names = {
            c: part["name"].map(plain).tolist() for c, part in zip(CLASSES, parts, strict=True)
        }
        for y, part in zip(sections([axes], names), parts, strict=True):
            axes.hlines(y, part["baseline"], part["opmask"], color="#c4c4c4", linewidth=2)
            for method in METHODS:
                axes.scatter(part[method], y, color=COLOURS[method], s=26, zorder=3)
        axes.set(xlabel="mask AP, points", title=TITLES[direction])
    highest = float(np.nan_to_num(shown[list(METHODS)].to_numpy()).max(initial=0))
    panels[0][0].set_xlim(-2, max(1.04 * highest, 10))  # not stretched where all AP are next to 0
    handles = [handle(COLOURS[method], NAMES[method]) for method in METHODS]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure

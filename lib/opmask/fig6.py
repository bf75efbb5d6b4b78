"""Fig. 6 of paper B: AP over the number of classes with masks, and what the prior adds at each.

Paper B trains both methods with the masks of 20 (VOC), 40, 60 (non-VOC) and all 80 classes, and
states that OPMask is better "across all class splits, including the fully supervised setup". A
point is judged on the classes that had no masks; with masks of all classes none are left, and that
point is of all classes. So the points of one line are of different classes: the line is no curve of
what further masks are worth, and only the two methods at one point can be compared.
``made`` is everywhere what :func:`ratios` returns, ``table`` what :func:`ratio_table` returns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.metrics.bootstrap import Interval
from lib.metrics.claims import Claims, Observation
from lib.metrics.seeds import Measured, SeedScores, resample_runs, score
from lib.metrics.significance import CONFIDENCE
from lib.opmask.predictions import (
    DIFFERENCE,
    METHODS,
    NAMES,
    SETTINGS,
    TITLES,
    Models,
    Predictions,
    Results,
    backbone,
    pairs,
    variant_of,
)
from lib.pages import comparison
from lib.pages.comparison import Row
from lib.pages.drawing import beside_each_other, handle, hollow, intervals
from lib.pages.style import BLACK, COLOURS, FLAT, WIDTH

SPLITS = {"voc": "VOC", "official_40": "40 list", "non_voc": "non-VOC", "all": "all"}
"""Supervised classes of the paper's ratios (20, 40, 60, 80 of COCO's) -> as people read them."""

VARIANTS = tuple(variant_of(method, split) for split in SPLITS for method in METHODS)
"""The models that the figure is made of."""

PLOTTED = "plotted"
PANELS = {
    PLOTTED: "classes without masks",
    "supervised": "classes with masks",
    "all": "all classes",
}
"""Group of classes -> as people read it. With masks of all classes the first is all of them."""

PAPER = {
    "voc": "B.table2.voc_to_nonvoc.AP.opmask_above_baseline",
    "non_voc": "B.table2.nonvoc_to_voc.AP.opmask_above_baseline",
    "all": "B.fig6.full.gain",
}
"""Split -> claim that has the gain that the paper prints for it; Fig. 6 itself has no numbers."""


@dataclass(frozen=True)
class Ratio:
    """Both methods, trained with the masks of the same classes.

    Attributes:
        split: the supervised classes, one of :data:`SPLITS`.
        labels: of each group of classes that is judged: ``plotted`` (those of the paper's figure),
            ``unsupervised``, ``supervised`` and ``all``.
        scores: mask AP on each group that is not empty, by method.
        models: by method.
    """

    split: str
    labels: dict[str, frozenset[int]]
    scores: dict[str, dict[str, SeedScores]]
    models: dict[str, Predictions]

    @property
    def gain(self) -> SeedScores:
        """What OPMask has over the baseline on the paper's classes, paired."""
        return self.scores[PLOTTED]["opmask"] - self.scores[PLOTTED]["baseline"]


def ratios(models: Models, results: Results, *, resamples: int, seed: int) -> list[Ratio]:
    """Return the class ratios that both methods were trained at, fewest classes with masks first.

    Raises:
        ValueError: if both methods were trained at no ratio.
    """
    there = pairs(models)
    made = [
        _ratio(split, there[SETTINGS[split]], results, resamples=resamples, seed=seed)
        for split in SPLITS
        if SETTINGS[split] in there
    ]
    if not made:
        raise ValueError(
            "At no class ratio were both methods trained, so there is nothing to compare. Train "
            "them with\n  python run_all.py --only 06_train_opmask"
        )
    return sorted(made, key=lambda ratio: len(ratio.labels["supervised"]))


def _ratio(split: str, of: dict[str, Predictions], results: Results, **draws: Any) -> Ratio:
    judged = {method: results[of[method].variant] for method in METHODS}
    drawn = {m: resample_runs(runs, areas=["all"], **draws) for m, runs in judged.items()}
    every = frozenset(next(iter(judged["opmask"].values())).labels)
    supervised = every & of["opmask"].supervised
    labels = {
        PLOTTED: every - supervised or every,
        "unsupervised": every - supervised,
        "supervised": supervised,
        "all": every,
    }
    scores = {
        group: {method: score(drawn[method], "AP", chosen) for method in METHODS}
        for group, chosen in labels.items()
        if chosen
    }
    return Ratio(split, labels, scores, of)


def missing_line(made: Sequence[Ratio]) -> str:
    """Return a sentence on the ratios of the paper that were trained, and those that were not."""
    there = {ratio.split for ratio in made}
    missing = [TITLES[SETTINGS[split]] for split in SPLITS if split not in there]
    line = f"{len(made)} of the paper's {len(SPLITS)} class ratios were run with both methods."
    return line + (f" Left out here: {', '.join(missing)}." if missing else "")


def ratio_table(made: Sequence[Ratio], claims: Claims) -> pd.DataFrame:
    """Return AP and gains over the number of classes with masks, and the gains that are printed.

    Returns:
        Columns split, classes_with_masks, classes (the group judged), judged (its number), method,
        those of :data:`lib.pages.comparison.NUMBERS`, paper; points of 100, NaN for a group without
        an instance.
    """
    lines: list[dict[str, Any]] = []
    for ratio in made:
        for group, scores in ratio.scores.items():
            place = {
                "split": ratio.split,
                "classes_with_masks": len(ratio.labels["supervised"]),
                "classes": group,
                "judged": len(ratio.labels[group]),
            }
            of_ap = {method: {"AP": score} for method, score in scores.items()}
            lines += comparison.rows(place, of_ap, [("opmask", "baseline")])
    columns = ("split", "classes_with_masks", "classes", "judged", "method", *comparison.NUMBERS)
    return comparison.tidy(lines, columns, _printed, claims)


def _printed(row: Row) -> str:
    gain = row["method"] == DIFFERENCE and row["classes"] == PLOTTED
    return PAPER.get(row["split"], "") if gain else ""


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per ratio and group of classes: AP of both methods, and the gain.

    Beside the gain stands from which size on one would have been seen (``detectable``).

    Groups that are the same classes have one line: with masks of all classes there is only ``all``.
    """
    lines = []
    for (split, group), part in table.groupby(["split", "classes"], sort=False):
        if group == PLOTTED or (split == "all" and group != "all"):
            continue
        of = part.set_index("method")
        plotted = group == ("all" if split == "all" else "unsupervised")
        printed = table.loc[(table["split"] == split) & plotted, "paper"]
        lines.append(
            {
                "masks of": SPLITS[str(split)],
                "number": part["classes_with_masks"].iloc[0],
                "judged on": group,
                "classes": part["judged"].iloc[0],
                **of.loc[list(METHODS), "ours"],
                **of.loc[DIFFERENCE, ["ours", "ci_low", "ci_high"]].rename({"ours": "gain"}),
                "would_be_seen": of.loc[DIFFERENCE, "detectable"],
                "seeds": of.loc[DIFFERENCE, "seeds"],
                "paper_gain": printed.max(),
            }
        )
    return pd.DataFrame(lines)


def smallest(gains: Sequence[Measured]) -> Interval:
    """Return the smallest of several gains, with limits to judge "every gain is positive" by.

    That claim holds if each gain's own interval is above zero (an intersection-union test, which
    needs no correction), so the lower limit is the smallest of theirs. It fails if any gain is
    below zero; among several one is so by chance more easily, so the upper limit is the smallest
    one of intervals that are widened for the number of gains (Bonferroni). A bootstrap of the
    smallest gain itself would not do: the smallest of several lies below each, and among gains that
    are all zero such an interval is below zero in about half of all cases.

    Returns:
        The limits are NaN if a gain has no interval, and all is NaN if a gain is unknown.
    """
    wide = 1 - (1 - CONFIDENCE) / len(gains)
    # A gain that is missing leaves the smallest unknown: min, not nanmin.
    return Interval(
        float(np.min([gain.estimate for gain in gains])),
        float(np.min([gain.interval.low for gain in gains])),
        float(np.min([gain.at(wide).high for gain in gains])),
    )


def smallest_p(gains: Sequence[Measured]) -> float:
    """Return the two-sided p-value that goes with the limits of :func:`smallest`.

    If all gains are positive it is the largest of theirs, since each has to be above zero;
    otherwise the smallest of those that are not, times the number of gains. NaN if a gain has none.
    """
    if any(np.isnan(gain.p) for gain in gains):
        return float("nan")
    below = [gain.p for gain in gains if gain.estimate <= 0]
    return min(1.0, len(gains) * min(below)) if below else max(gain.p for gain in gains)


def observations(made: Sequence[Ratio]) -> list[Observation]:
    """Return what the claims of Fig. 6 are judged by.

    That OPMask is better at every ratio is judged only where all of the paper's were trained.
    """
    seen = []
    for ratio in made:
        if ratio.split == "all":
            names = ["B.fig6.full.opmask_above_baseline"]
            if backbone(ratio.models) == "resnet50":
                names.append("B.fig6.full.gain")
            seen += [Observation.of(name, ratio.gain, unit=100) for name in names]
    if len(made) == len(SPLITS):
        gains = [ratio.gain for ratio in made]
        limits = [gain.detectable for gain in gains]  # each has to be found; NaN if one has none
        seen.append(
            Observation(
                "B.fig6.opmask_above_baseline_at_every_ratio",
                *smallest(gains).scaled(100),
                seeds=min(gain.seeds for gain in gains),
                p=smallest_p(gains),
                detectable=100 * float(np.max(limits)),
            )
        )
    return seen


def figure(table: pd.DataFrame) -> Figure:
    """Draw AP of both methods (above) and OPMask's gain (below) at every ratio, with intervals.

    The panels are the groups of classes that are judged. Ratios stand at equal distances, since the
    numbers of classes can be close to each other in small sets.
    """
    splits = table.drop_duplicates("split")
    every = int(table.loc[table["classes"] == "all", "judged"].max())
    ticks = [
        f"{row['classes_with_masks']} of {every}\n{SPLITS[row['split']]}"
        for row in splits.to_dict("records")
    ]
    colours = {method: COLOURS[method] for method in METHODS}
    at = {split: place for place, split in enumerate(splits["split"])}
    drawn, panels = plt.subplots(
        2, len(PANELS), figsize=(WIDTH, FLAT * 1.7), sharex=True, sharey="row", squeeze=False,
        height_ratios=[1.25, 1],
    )  # fmt: skip
    for (group, title), above, below in zip(PANELS.items(), *panels, strict=True):
        part = table[table["classes"] == group]
        beside_each_other(above, part, "split", list(at), series="method", colours=colours)
        for method in METHODS if group == "all" else ():  # elsewhere of different classes
            rows = part[part["method"] == method]
            above.plot(rows["split"].map(at), rows["ours"], color=COLOURS[method], linewidth=1)
        gains = part[part["method"] == DIFFERENCE]
        intervals(below, gains["split"].map(at), gains, BLACK, upright=True, paper=True)
        below.axhline(0, color="black", linewidth=1)
        above.set_title(title)
        below.set_xticks(list(at.values()), ticks, fontsize=8)
        below.set_xlim(-0.5, len(at) - 0.5)
        for axes in (above, below):
            axes.grid(axis="x", visible=False)
    if "all" in at:
        panels[0][0].annotate(
            "all classes", (at["all"], 0), xytext=(0, 4), textcoords="offset points",
            xycoords=("data", "axes fraction"), ha="center", fontsize=8,
        )  # fmt: skip
    panels[0][0].set_ylabel("mask AP, points")
    panels[0][0].set_ylim(bottom=0)
    panels[1][0].set_ylabel("OPMask − baseline")
    panels[1][1].set_xlabel("classes with masks")
    handles = [handle(colour, NAMES[method]) for method, colour in colours.items()]
    paper = handle("none", "gain in paper B (COCO, R50)", marker="D", **hollow("marker"))
    drawn.legend(handles=[*handles, paper], loc="outside upper right", ncols=3)
    return drawn

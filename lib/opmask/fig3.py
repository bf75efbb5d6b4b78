"""Fig. 3 of paper B: what each class's AP has to do with its overlap, and for whom less.

The AP of a class is that of the model that had no masks of it: VOC's classes from non-voc -> voc,
the others from voc -> non-voc. AP is in points of 100, slopes are points per 0.01 of overlap. A
class's AP is the mean over the seeds that all compared models have; how slopes take the chance of
training in is said in :mod:`lib.opmask.fig3_regression`.
``frame`` is everywhere what :func:`class_frame` returns.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lib.data.categories import canonical
from lib.data.overlap import objects
from lib.metrics.bootstrap import Score, resample
from lib.metrics.claims import Observation
from lib.metrics.coco_ap import APResult
from lib.metrics.seeds import FEWEST_SEEDS, over_seeds
from lib.metrics.significance import detectable
from lib.opmask import fig3_regression
from lib.opmask.fig3_regression import FEWEST_CLASSES, Comparison, leave_one_out
from lib.opmask.overlap import NAMED
from lib.opmask.predictions import (
    DIFFERENCE,
    DIRECTIONS,
    METHODS,
    SPLITS,
    Models,
    Predictions,
    Results,
    backbone,
    mean_per_class,
    named,
    pairs,
    shared_seeds,
    variant_of,
)
from lib.pages import tables
from lib.pages.tables import Table

if TYPE_CHECKING:
    from lib.data.coco import CocoSet
    from lib.metrics.claims import Claims

FULL = "baseline.all"
"""The model whose AP says how hard a class is when its masks are known."""

PAPER_CLASSES = 80
"""COCO's, of which the paper's regression is."""

OUTCOMES = {**{method: method for method in METHODS}, DIFFERENCE: "gain"}
"""Method, or difference of both -> column of :func:`class_frame`."""

VARIANTS = (*(variant_of(m, split) for m in METHODS for split in (*SPLITS, "list")), FULL)
"""The models that the regression and its controls are made of; a profile has some of them."""

REGRESSION = (
    "method", "classes", "seeds", "slope", "ci_low", "ci_high", "p", "paper_p", "r", "spearman",
    "spearman_p",
)  # fmt: skip
"""Columns of :func:`regression_table` that a page has room for."""

INFLUENCE = ("method", "slope", "p", "most_influential", "slope_without", "p_without")
"""Those that say what the class that matters most does to the slope."""

THREE_DECIMALS = (
    "p", "spearman_p", "p_without", "paper_p", "baseline_p", "opmask_p", "spread"
)  # fmt: skip


def judged_pairs(models: Models) -> dict[str, dict[str, Predictions]]:
    """Return the directions that both methods were trained in: direction -> method -> model."""
    there = pairs(models)
    return {d: there[d] for d in (*DIRECTIONS.values(), "list") if d in there}


def compared(models: Models) -> Models:
    """Return the models of :func:`judged_pairs`, by variant."""
    return {m.variant: m for pair in judged_pairs(models).values() for m in pair.values()}


def class_frame(
    labels: "CocoSet", overlap: pd.DataFrame, models: Models, results: Results
) -> pd.DataFrame:
    """Return one row per class: its overlap, its AP without masks by method, and other properties.

    Args:
        labels: the set that the overlap was measured on.
        overlap: from :func:`lib.opmask.overlap.mean_overlap`.

    Returns:
        Columns label, name, direction (of the model that the AP is from), instances, overlap,
        baseline, opmask, gain, full (the baseline's AP with masks of all classes; NaN without
        that model), log_instances, log_side (of the boxes), of_voc. Classes that had masks in
        every model are left out; AP is NaN for a class without a validation instance.
    """
    frame = overlap.copy()
    frame.insert(2, "direction", "")
    for column in (*METHODS, "full"):
        frame[column] = np.nan

    seeds = shared_seeds(compared(models))

    def ap(variant: str) -> pd.Series:
        return frame["label"].map(mean_per_class({s: results[variant][s] for s in seeds}))

    for direction, pair in judged_pairs(models).items():
        supervised = frame["label"].isin(pair["opmask"].supervised)
        new = (frame["direction"] == "") & ~supervised
        frame.loc[new, "direction"] = direction
        for method in METHODS:
            frame[method] = frame[method].where(~new, ap(pair[method].variant))
    if FULL in results:
        frame["full"] = frame["label"].map(mean_per_class(results[FULL]))
    frame["gain"] = frame["opmask"] - frame["baseline"]
    frame["log_instances"] = np.log(frame["instances"].where(frame["instances"] > 0))
    frame["log_side"] = np.log(frame["label"].map(_mean_sides(labels)))
    frame["of_voc"] = frame["label"].isin(labels.categories.split("voc")).astype(float)
    return frame[frame["direction"] != ""].reset_index(drop=True)


def compare(
    frame: pd.DataFrame, models: Models, results: Results, *, resamples: int, seed: int
) -> Comparison:
    """Compare how both methods' AP depends on overlap, over classes and seeds.

    Raises:
        ValueError: as :func:`lib.opmask.fig3_regression.fit`.
    """
    there = judged_pairs(models)
    aps = {
        method: np.array(
            [
                [
                    100 * results[there[direction][method].variant][n].select([label]).value("AP")
                    for label, direction in zip(frame["label"], frame["direction"], strict=True)
                ]
                for n in shared_seeds(compared(models))
            ]
        )
        for method in METHODS
    }
    return fig3_regression.compare(
        frame["overlap"], *(aps[method] for method in METHODS), resamples=resamples, seed=seed
    )


def _mean_sides(labels: "CocoSet") -> "pd.Series[float]":
    """Return each class's mean box side (square root of the area), by label."""
    some = objects(labels)
    boxes = np.array([x.box for x in some], dtype=float).reshape(-1, 4)
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return pd.Series(sides).groupby([x.label for x in some]).mean()


def left_out_line(frame: pd.DataFrame) -> str:
    """Return how many classes the regression has, and which it cannot have, as a sentence."""
    usable = frame.dropna(subset=["overlap", *METHODS])
    line = f"{len(usable)} classes have an overlap and an AP of both methods."
    for column, why in (("overlap", "nothing to overlap with"), ("opmask", "no validation image")):
        names = frame.loc[frame[column].isna(), "name"].tolist()
        line += f" Left out, with {why}: {', '.join(names)}." if names else ""
    return line


def missing_line(frame: pd.DataFrame, found: Comparison, results: Results) -> str:
    """Return what is missing for a conclusion on slopes: classes, and how steep one had to be.

    Args:
        found: the comparison of both methods.
        results: from which the classes' AP are.
    """
    one = next(iter(next(iter(results.values())).values())).per_class.set_index("label")
    labels = frame.loc[frame[["overlap", *METHODS]].notna().all(axis=1), "label"]
    counts, base = one.loc[labels, "instances"], found.lines[0]
    line = (
        f"The paper has {PAPER_CLASSES} classes; here are {base.n}, with {counts.min():,} to "
        f"{counts.max():,} validation objects each."
    )
    if found.seeds < FEWEST_SEEDS:
        return f"{line} One training of each model decides nothing."
    steep, flatter = detectable(base.se, base.freedom), found.flatter.detectable
    return (
        f"{line} Judged alone, the baseline's slope would be found in 80 of 100 such studies from "
        f"{steep:.2g} points per 0.01 on, and that OPMask's is flatter from {flatter:.2g} on: "
        "less needs more classes."
    )


def regression_table(frame: pd.DataFrame, found: Comparison, claims: "Claims") -> pd.DataFrame:
    """Return the regressions of both methods and of their difference, one line each.

    Args:
        found: the comparison of both methods.

    Returns:
        Columns method, classes, slope, se, ci_low, ci_high (t), boot_low, boot_high (bootstrap
        over classes), p, seeds, paper_p, r, spearman, spearman_p, most_influential (the class whose
        absence changes the slope most; empty if none does), slope_without, p_without (of the mean
        over seeds).
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    drawn = dict(zip(OUTCOMES, (*found.slopes, found.resampled), strict=True))
    lines = dict(zip(OUTCOMES, (*found.lines, found.difference), strict=True))
    used = frame.dropna(subset=["overlap", *METHODS])
    rows = []
    for method, column in OUTCOMES.items():
        row = {"method": method, "seeds": found.seeds, **lines[method]._asdict()}
        row |= {"boot_low": drawn[method].low, "boot_high": drawn[method].high}
        row |= {"paper_p": expected.get(f"B.fig3.{method}.p_value"), **_influence(used, column)}
        rows.append(row)
    columns = [
        "method", "classes", "slope", "se", "ci_low", "ci_high", "boot_low", "boot_high", "p",
        "seeds", "paper_p", "r", "spearman", "spearman_p", "most_influential", "slope_without",
        "p_without",
    ]  # fmt: skip
    table = pd.DataFrame(rows).rename(columns={"n": "classes", "low": "ci_low", "high": "ci_high"})
    return table[columns].astype({"paper_p": float})


def _influence(used: pd.DataFrame, column: str) -> dict[str, Any]:
    names = ("most_influential", "slope_without", "p_without")
    if len(used) <= FEWEST_CLASSES:
        return dict(zip(names, ("", np.nan, np.nan), strict=True))
    most = leave_one_out(used, column).iloc[0]
    if most["change"] == 0:  # all APs are the same
        most["name"] = ""
    return dict(zip(names, most[["name", "slope", "p"]], strict=True))


def comparison_table(found: Comparison) -> pd.DataFrame:
    """Return the tests of the difference between the slopes, one line each.

    Columns test, estimate, ci_low, ci_high, p.
    """
    difference = found.difference
    rows = [
        ("slope of the gain over overlap, t test", difference.slope, difference.low,
         difference.high, difference.p),
        ("the same, bootstrap over classes", *found.resampled, np.nan),
        ("how much flatter: |baseline's slope| − |OPMask's|, bootstrap",
         *found.flatter.interval, found.flatter.p),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["test", "estimate", "ci_low", "ci_high", "p"])


def observations(
    frame: pd.DataFrame,
    found: Comparison,
    models: Models,
    results: Results,
    *,
    resamples: int,
    seed: int,
) -> list[Observation]:
    """Return what the claims of Fig. 3 are judged by.

    Numbers that the paper prints for a ResNet-50 are observed with that backbone alone. That the
    baseline's slope is negative rests on the t interval of least squares, since a bootstrap over
    few classes is too sure; that OPMask's is flatter on a bootstrap over classes; and what is said
    of one class on one over images, paired.

    Args:
        found: the comparison of both methods.
    """
    lines, seeds = dict(zip(METHODS, found.lines, strict=True)), found.seeds
    base = lines["baseline"]
    falls = (-base.slope, -base.high, -base.low, seeds, base.p, detectable(base.se, base.freedom))
    seen = [
        Observation("B.fig3.baseline.slope_is_negative", *falls),
        Observation.of("B.fig3.opmask_slope_is_flatter", found.flatter),
    ]
    there = judged_pairs(models)
    printed = backbone(compared(models)) == "resnet50"
    if printed:
        seen += [
            Observation(f"B.fig3.{method}.p_value", lines[method].p, seeds=seeds)
            for method in METHODS
        ]
    for row in frame[frame["name"].map(canonical).isin(NAMED)].to_dict("records"):

        def ap(result: APResult, label: int = row["label"]) -> Score:
            of_class = result.select([label])
            return resample(of_class, areas=["all"], resamples=resamples, seed=seed).score("AP")

        pair = there[row["direction"]]
        without, ours = (over_seeds(results[pair[m].variant], ap) for m in METHODS)
        name = canonical(row["name"])
        scores = {f"{name}.opmask_above_baseline": ours - without}
        if printed:
            scores |= {f"baseline.{name}.AP": without, f"opmask.{name}.AP": ours}
        seen += [
            Observation.of(f"B.fig3.{quantity}", score, unit=100)
            for quantity, score in scores.items()
        ]
    return seen


def show(table: pd.DataFrame, columns: Sequence[str] = ()) -> Table:
    """Return one of these tables to look at: methods by name, small numbers with three decimals.

    Args:
        table: any table of Fig. 3.
        columns: those to show; all by default.
    """
    some = table[list(columns)] if columns else table
    if "method" in some:
        some = some.assign(method=named(some)["method"].str.replace(" ", "\u00a0"))
    return tables.show(some, digits={c: 3 for c in THREE_DECIMALS if c in some})

"""Tables of paper B's Fig. 3: what each class's AP has to do with its overlap, and for whom less.

The AP of a class is that of the run in which it had no masks: VOC's classes from non-voc -> voc,
the others from voc -> non-voc. AP is in points of 100, slopes are points per 0.01 of overlap.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lib.data.categories import canonical
from lib.data.overlap import objects
from lib.metrics.bootstrap import resample
from lib.metrics.claims import Observation
from lib.opmask.fig3 import (
    FEWEST_CLASSES,
    Comparison,
    fit,
    leave_one_out,
)
from lib.opmask.overlap import NAMED
from lib.opmask.trained import (
    DIFFERENCE,
    DIRECTIONS,
    METHODS,
    SPLITS,
    Results,
    Run,
    Runs,
    backbone,
    named,
    pairs,
)

if TYPE_CHECKING:
    from lib.data.coco import CocoSet
    from lib.metrics.claims import Claims

FULL = "baseline.all"
"""The run whose AP says how hard a class is when its masks are known."""

OUTCOMES = {**{method: method for method in METHODS}, DIFFERENCE: "gain"}
"""Method, or difference of both -> column of :func:`class_frame`."""

VARIANTS = (
    *(f"{method}.{split}" for method in METHODS for split in SPLITS),
    *(f"list.{method}" for method in METHODS),
    FULL,
)
"""The runs that the regression and its controls are made of; a profile has some of them."""

_DIRECTIONS = (*DIRECTIONS.values(), "list")


def judged_pairs(runs: Runs) -> dict[str, dict[str, Run]]:
    """Return the directions in which both methods were run: direction -> method -> run."""
    there = pairs(runs)
    return {direction: there[direction] for direction in _DIRECTIONS if direction in there}


def compared(runs: Runs) -> Runs:
    """Return the runs of :func:`judged_pairs`, by variant."""
    return {r.variant: r for pair in judged_pairs(runs).values() for r in pair.values()}


def class_frame(
    labels: "CocoSet", overlap: pd.DataFrame, runs: Runs, results: Results
) -> pd.DataFrame:
    """Return one row per class: its overlap, its AP without masks by method, and other properties.

    Args:
        labels: the set that the overlap was measured on.
        overlap: from :func:`lib.opmask.overlap.mean_overlap`.
        runs: of both methods.
        results: mask AP by variant.

    Returns:
        Columns label, name, direction (of the run that the AP is from), instances, overlap,
        baseline, opmask, gain, full (the baseline's AP with masks of all classes; NaN without
        that run), log_instances, log_side (of the boxes), of_voc. Classes that had masks in every
        run are left out; AP is NaN for a class without a validation instance.
    """
    frame = overlap.copy()
    frame.insert(2, "direction", "")
    for column in (*METHODS, "full"):
        frame[column] = np.nan
    for direction, pair in judged_pairs(runs).items():
        for row, label in enumerate(frame["label"]):
            if not frame.loc[row, "direction"] and label not in pair["opmask"].supervised:
                frame.loc[row, "direction"] = direction
                for method in METHODS:
                    frame.loc[row, method] = _ap(results, pair[method].variant, label)
    if FULL in results:
        frame["full"] = [_ap(results, FULL, label) for label in frame["label"]]
    frame["gain"] = frame["opmask"] - frame["baseline"]
    frame["log_instances"] = np.log(frame["instances"].where(frame["instances"] > 0))
    frame["log_side"] = _log_sides(labels, len(frame))
    voc = labels.categories.split("voc")
    frame["of_voc"] = frame["label"].isin(voc).astype(float)
    return frame[frame["direction"] != ""].reset_index(drop=True)


def left_out_line(frame: pd.DataFrame) -> str:
    """Return how many classes the regression has, and which it cannot have, as a sentence.

    Args:
        frame: from :func:`class_frame`.
    """
    usable = frame.dropna(subset=["overlap", *METHODS])
    line = f"{len(usable)} classes have an overlap and an AP of both methods."
    for column, why in (("overlap", "nothing to overlap with"), ("opmask", "no validation image")):
        names = frame.loc[frame[column].isna(), "name"].tolist()
        line += f" Left out, with {why}: {', '.join(names)}." if names else ""
    return line


def regression_table(frame: pd.DataFrame, found: Comparison, claims: "Claims") -> pd.DataFrame:
    """Return the regressions of both methods and of their difference, one line each.

    Args:
        frame: from :func:`class_frame`.
        found: the comparison of both methods.
        claims: where the paper's p-values come from.

    Returns:
        Columns method, classes, slope, se, ci_low, ci_high (t), boot_low, boot_high (bootstrap
        over classes), p, paper_p, r, spearman, spearman_p, most_influential (the class whose
        absence changes the slope most; empty if none does), slope_without, p_without.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    drawn = dict(zip(OUTCOMES, (*found.slopes, found.resampled), strict=True))
    used = frame.dropna(subset=["overlap", *METHODS])
    rows = []
    for method, column in OUTCOMES.items():
        line = fit(used["overlap"], used[column])
        rows.append(
            {
                "method": method,
                "classes": line.n,
                "slope": line.slope,
                "se": line.se,
                "ci_low": line.low,
                "ci_high": line.high,
                "boot_low": drawn[method].low,
                "boot_high": drawn[method].high,
                "p": line.p,
                "paper_p": expected.get(f"B.fig3.{method}.p_value"),
                "r": line.r,
                "spearman": line.spearman,
                "spearman_p": line.spearman_p,
                **_influence(used, column),
            }
        )
    return pd.DataFrame(rows).astype({"paper_p": float})


def comparison_table(found: Comparison) -> pd.DataFrame:
    """Return the tests of the difference between the slopes, one line each.

    Columns test, estimate, ci_low, ci_high, p.
    """
    difference, williams = found.difference, found.correlations
    rows = [
        ("slope of the gain over overlap, t test", difference.slope, difference.low,
         difference.high, difference.p),
        ("the same, bootstrap over classes", *found.resampled, np.nan),
        ("how much flatter: |baseline's slope| − |OPMask's|, bootstrap", *found.flatter, np.nan),
        (f"correlations with overlap, Williams' t ({williams.df} degrees of freedom)",
         williams.t, np.nan, np.nan, williams.p),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["test", "estimate", "ci_low", "ci_high", "p"])


def observations(
    frame: pd.DataFrame,
    found: Comparison,
    runs: Runs,
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
        frame: from :func:`class_frame`.
        found: the comparison of both methods.
        runs: of both methods.
        results: mask AP by variant.
        resamples: of the bootstrap over images.
        seed: of the resamples.
    """
    used = frame.dropna(subset=["overlap", *METHODS])
    lines = {method: fit(used["overlap"], used[method]) for method in METHODS}
    falls = (-lines["baseline"].slope, -lines["baseline"].high, -lines["baseline"].low)
    seen = [
        Observation("B.fig3.baseline.slope_is_negative", *falls),
        Observation("B.fig3.opmask_slope_is_flatter", *found.flatter),
    ]
    there = judged_pairs(runs)
    printed = backbone(compared(runs)) == "resnet50"
    if printed:
        seen += [Observation(f"B.fig3.{method}.p_value", lines[method].p) for method in METHODS]
    for row in frame[frame["name"].map(canonical).isin(NAMED)].to_dict("records"):
        name = canonical(row["name"])
        drawn = {
            method: resample(
                results[there[row["direction"]][method].variant].select([row["label"]]),
                areas=["all"], resamples=resamples, seed=seed,
            )
            for method in METHODS
        }  # fmt: skip
        gain = (drawn["opmask"].score("AP") - drawn["baseline"].score("AP")).interval.scaled(100)
        seen.append(Observation(f"B.fig3.{name}.opmask_above_baseline", *gain))
        if printed:
            seen += [
                Observation(f"B.fig3.{m}.{name}.AP", *drawn[m].score("AP").interval.scaled(100))
                for m in METHODS
            ]
    return seen


def lines_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return :func:`regression_table` as the page has room for: one interval, no influence."""
    columns = [
        "method", "classes", "slope", "ci_low", "ci_high", "p", "paper_p", "r", "spearman",
        "spearman_p",
    ]  # fmt: skip
    return _readable(table[columns])


def influence_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return of :func:`regression_table` what the class that matters most does to the slope."""
    columns = ["method", "slope", "p", "most_influential", "slope_without", "p_without"]
    return _readable(table[columns])


def controls_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of :func:`lib.opmask.fig3_controls.controls_table` as it is shown."""
    return _readable(table.drop(columns="se"))


def digits(table: pd.DataFrame) -> dict[str, int]:
    """Return which columns of these tables are shown with three decimals: p-values and spreads."""
    three = ("p", "spearman_p", "p_without", "paper_p", "baseline_p", "opmask_p", "spread")
    return {column: 3 for column in three if column in table}


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with methods by name, each on one line."""
    shown = named(table)
    return shown.assign(method=shown["method"].str.replace(" ", "\u00a0"))


def _ap(results: Results, variant: str, label: int) -> float:
    return 100 * results[variant].select([label]).value("AP")


def _log_sides(labels: "CocoSet", count: int) -> np.ndarray:
    """Return the logarithm of each class's mean box side (square root of the area), [K]."""
    some = objects(labels)
    boxes = np.array([x.box for x in some], dtype=float).reshape(-1, 4)
    side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    of = np.array([x.label for x in some], dtype=np.int64) - 1
    totals = np.bincount(of, minlength=count)
    means = np.bincount(of, weights=side, minlength=count) / np.where(totals, totals, np.nan)
    return np.log(means)


def _influence(used: pd.DataFrame, column: str) -> dict[str, Any]:
    names = ("most_influential", "slope_without", "p_without")
    if len(used) <= FEWEST_CLASSES:
        return dict(zip(names, ("", np.nan, np.nan), strict=True))
    most = leave_one_out(used, column).iloc[0]
    if most["change"] == 0:  # all APs are the same
        most["name"] = ""
    return dict(zip(names, most[["name", "slope", "p"]], strict=True))

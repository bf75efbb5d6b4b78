"""The regressions of paper B's Fig. 3: does AP fall with overlap, and less so for one method?

Paper B regresses the mask AP of each class, taken from the run in which it has no masks, on the
class's mean box IoU, for two methods, and compares two p-values: "significant" for the baseline,
"not significant" for OPMask. That is no comparison of the slopes. Here are the paper's regressions
and what a comparison needs. The overlap is the same for both, so the difference of the slopes is
the slope of the difference in AP, and has an ordinary test. "Flatter" is more than a difference:
a slope as steep the other way is not flatter, so it is judged by how much smaller the *size* of the
slope is, with a bootstrap over classes.

Whether a single slope is negative is judged by the t interval of ordinary least squares. The
bootstrap over classes stands beside it, but over few classes its interval is too narrow: of slopes
that are zero it calls about twice as many as it should "not zero" (8 to 20 classes, simulated).
For "flatter" it does so less often than it should.

Of methods that were trained with several seeds the line is that of each class's mean AP over them.
Its residuals hold what training does to one class and not to the next; what it does to all classes
alike, to the slope itself, shows in the slopes of the seeds. So the variance of a slope is that of
least squares plus the variance of the seeds' slopes over their number, with Satterthwaite's degrees
of freedom, as for every other score (:mod:`lib.metrics.seeds`); it errs on the wide side, since
chance of single classes is in both parts. The bootstrap draws classes, the same ones for every
seed, and takes the seeds in likewise.

AP is in points of 100, overlap a fraction of 1, and slopes are points per 0.01 of overlap.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import ArrayLike
from scipy import stats

from lib.metrics.bootstrap import Interval, Score, image_weights
from lib.metrics.seeds import FEWEST_SEEDS, SeedScores, standard_error
from lib.metrics.significance import CONFIDENCE, student_p

PER = 0.01
"""Slopes are per this much of overlap."""

FEWEST_CLASSES = 3
"""With two classes a line passes through both: nothing is left to judge it by."""

SPARE_CLASSES = 2
"""A regression with controls needs more classes than coefficients by more than this."""


class Fit(NamedTuple):
    """An ordinary least squares line of AP over overlap.

    Attributes:
        n: classes.
        slope: points per 0.01 of overlap, with standard error, its degrees of freedom and 95 %
            confidence limits (t).
        intercept: points, at no overlap.
        p: two-sided, that the slope is zero.
        r: Pearson's correlation; NaN if all APs are the same.
        spearman: rank correlation, with its p-value.
    """

    n: int
    slope: float
    se: float
    freedom: float
    low: float
    high: float
    intercept: float
    p: float
    r: float
    spearman: float
    spearman_p: float


@dataclass(frozen=True)
class Comparison:
    """Two methods' regressions on the same overlap.

    Attributes:
        lines: of each method.
        difference: the line of (second - first) AP; its slope is the difference of the slopes.
        resampled: that slope, bootstrap over classes.
        flatter: |first slope| - |second slope|, bootstrap over classes: positive if the second
            method's AP depends less on overlap.
        slopes: of each method, bootstrap over classes; too narrow with few of them.
        seeds: that both methods were trained with.
    """

    lines: tuple[Fit, Fit]
    difference: Fit
    resampled: Interval
    flatter: SeedScores
    slopes: tuple[Interval, Interval]
    seeds: int


def fit(overlap: ArrayLike, ap: ArrayLike) -> Fit:
    """Fit a line; classes where either value is missing are left out.

    Where all APs are the same, the line is flat without any error, and there is no p-value.

    Args:
        overlap: of each class, a fraction of 1, [K].
        ap: of each class, points of 100, [K]; of several seeds [S, K].

    Raises:
        ValueError: if fewer than three classes have both, or all have the same overlap.
    """
    x, *seeds = _usable(overlap, *_by_seed(ap))
    y = np.mean(seeds, axis=0)
    model = _ols(x, y)
    constant = bool(np.ptp(y) == 0)
    ranked = (math.nan, math.nan) if constant else stats.spearmanr(x, y)
    slope = _slope(model, constant=constant)
    if len(seeds) >= FEWEST_SEEDS and slope["se"] > 0:
        slope |= _over_seeds(slope, [float(_ols(x, of).params[1]) for of in seeds], len(x))
    return Fit(
        n=len(x),
        **slope,
        intercept=float(model.params[0]),
        r=math.nan if constant else float(np.corrcoef(x, y)[0, 1]),
        spearman=float(ranked[0]),
        spearman_p=float(ranked[1]),
    )


def band(overlap: ArrayLike, ap: ArrayLike, places: ArrayLike) -> pd.DataFrame:
    """Return the line with its 95 % confidence band, of the mean AP at an overlap.

    Args:
        overlap: of each class, [K].
        ap: of each class, [K].
        places: where to evaluate, fractions of 1.

    Returns:
        Columns overlap, mean, low, high.

    Raises:
        ValueError: as :func:`fit`.
    """
    x, y = _usable(overlap, ap)
    at = np.asarray(places, dtype=float)
    predicted = _ols(x, y).get_prediction(sm.add_constant(at / PER, has_constant="add"))
    limits = predicted.conf_int(alpha=1 - CONFIDENCE)
    mean = predicted.predicted_mean
    return pd.DataFrame({"overlap": at, "mean": mean, "low": limits[:, 0], "high": limits[:, 1]})


def compare(
    overlap: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int,
    seed: int,
) -> Comparison:
    """Compare how two methods' AP depends on overlap, over the classes that both have.

    Args:
        overlap: of each class, [K].
        first: AP of the one method (the baseline), points, [K]; of several seeds [S, K].
        second: AP of the other, of the same seeds.
        resamples: of the bootstrap over classes.
        seed: of the resamples.

    Raises:
        ValueError: as :func:`fit`.
    """
    number = len(_by_seed(first))
    x, *rows = _usable(overlap, *_by_seed(first), *_by_seed(second))
    a, b = np.array(rows[:number]), np.array(rows[number:])
    drawn = bootstrap_slopes(x, *a, *b, resamples=resamples, seed=seed).T
    own = [fit(x, ap).slope for ap in (*a, *b)]

    def over_seeds(of: Callable[[Any, Any], Any]) -> SeedScores:
        pairs = [(s, number + s) for s in range(number)]
        scores = {
            s: Score(float(of(own[s], own[t])), of(drawn[s], drawn[t]), len(x), ("classes", seed))
            for s, t in pairs
        }
        return SeedScores(scores)

    return Comparison(
        lines=(fit(x, a), fit(x, b)),
        difference=fit(x, b - a),
        resampled=over_seeds(lambda base, ours: ours - base).interval,
        flatter=over_seeds(lambda base, ours: np.abs(base) - np.abs(ours)),
        slopes=(
            over_seeds(lambda base, ours: base).interval,
            over_seeds(lambda base, ours: ours).interval,
        ),
        seeds=number,
    )


def bootstrap_slopes(
    overlap: np.ndarray, *aps: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """Return every method's slope in each resample of the classes, [B, M].

    All methods see the same classes. NaN where a resample holds classes of one overlap only.

    Args:
        overlap: of each class, [K], finite.
        aps: AP of each class by method, [K] each, finite.
        resamples: their number, B.
        seed: of the resamples.
    """
    weights = image_weights(len(overlap), resamples=resamples, seed=seed) / len(overlap)
    x = np.asarray(overlap, dtype=float) / PER
    mean = weights @ x
    spread = weights @ x**2 - mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = [(weights @ (x * y) - mean * (weights @ y)) / spread for y in aps]
    slopes = np.stack(columns, axis=1)
    slopes[spread < 1e-9 * np.var(x)] = np.nan
    return slopes


def leave_one_out(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the regression without each of the classes, the most influential first.

    Args:
        frame: one row per class: name, overlap and a column of AP per method.
        method: the column.

    Returns:
        Columns name (the class left out), slope, low, high, p, change (of the slope, by leaving it
        out). Classes without which all have one overlap are missing.

    Raises:
        ValueError: if fewer than four classes have both values, or all have the same overlap.
    """
    used = frame.dropna(subset=["overlap", method]).reset_index(drop=True)
    whole = fit(used["overlap"], used[method]).slope
    rows = []
    for position, name in enumerate(used["name"]):
        rest = used.drop(index=position)
        if len(rest) >= FEWEST_CLASSES and rest["overlap"].nunique() == 1:
            continue
        line = fit(rest["overlap"], rest[method])
        rows.append((name, line.slope, line.low, line.high, line.p, line.slope - whole))
    found = pd.DataFrame(rows, columns=["name", "slope", "low", "high", "p", "change"])
    return found.sort_values("change", key=abs, ascending=False, kind="stable", ignore_index=True)


def controlled(
    frame: pd.DataFrame, outcome: str, controls: Mapping[str, str]
) -> tuple[dict[str, Any] | None, str]:
    """Return the slope of overlap when other properties of the classes are held fixed.

    A control that is the same for all classes is left out.

    Args:
        frame: one row per class: overlap, the outcome, and the controls.
        outcome: column of AP, points.
        controls: column -> as people read it.

    Returns:
        (n, slope, se, freedom, low, high, p) as a dictionary, or None if there are too few classes
        or overlap does not vary beside the controls; and a sentence that says which controls were
        used, or why there is no answer.
    """
    used = frame[["overlap", outcome, *controls]].dropna()
    kept = [column for column in controls if used[column].nunique() > 1]
    names = ", ".join(controls[column] for column in kept) or "none"
    needed = len(kept) + 2 + SPARE_CLASSES
    if len(used) <= needed:
        return None, (
            f"Controls ({names}): {len(used)} classes have all values; with {len(kept) + 2} "
            f"coefficients it takes more than {needed}."
        )
    if used["overlap"].nunique() == 1:
        return None, (
            f"Controls ({names}): the {len(used)} classes that have all values have one overlap, "
            f"{used['overlap'].iloc[0]:g}, so it has no slope."
        )
    design = sm.add_constant(
        np.column_stack([used["overlap"] / PER, *(used[column] for column in kept)]),
        has_constant="add",
    )
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return None, f"Controls ({names}): they and overlap determine one another in these classes."
    y = used[outcome].to_numpy(dtype=float)
    slope = _slope(sm.OLS(y, design).fit(), constant=bool(np.ptp(y) == 0))
    return {"n": len(used), **slope}, f"Controls: {names}; {len(used)} classes."


def _by_seed(ap: ArrayLike) -> np.ndarray:
    return np.atleast_2d(np.asarray(ap, dtype=float))


def _over_seeds(slope: dict[str, float], slopes: Sequence[float], classes: int) -> dict[str, float]:
    """Return a slope with the spread of the seeds' slopes in its error, limits and p."""
    se, freedom = standard_error(slopes, slope["se"] ** 2, freedom=classes - 2)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * se
    at = slope["slope"]
    limits = {"low": at - half, "high": at + half, "p": student_p(at, se, freedom)}
    return {"se": se, "freedom": freedom, **limits}


def _usable(overlap: ArrayLike, *aps: ArrayLike) -> tuple[np.ndarray, ...]:
    columns = [np.asarray(values, dtype=float) for values in (overlap, *aps)]
    finite = np.asarray(np.isfinite(columns).all(axis=0))
    count = int(finite.sum())
    if count < FEWEST_CLASSES:
        raise ValueError(
            f"A regression needs at least {FEWEST_CLASSES} classes with an overlap and an AP; "
            f"here {count} of {len(finite)} have both. Validate on images with more classes."
        )
    if np.ptp(columns[0][finite]) == 0:
        raise ValueError(
            f"All {count} classes have the same overlap, {columns[0][finite][0]:g}: no line can be "
            "fitted. Choose another definition of overlap, or labels with more objects per image."
        )
    return tuple(column[finite] for column in columns)


def _slope(model: Any, *, constant: bool) -> dict[str, float]:
    """Return slope, se, freedom, low, high (t), p of overlap, the column after the constant."""
    names = ("slope", "se", "freedom", "low", "high", "p")
    values: tuple[Any, ...] = (0, 0, model.df_resid, 0, 0, math.nan)
    if not constant:  # rounding would give a slope of 1e-17 with limits that leave zero out
        limits = model.conf_int(1 - CONFIDENCE)[1]
        values = (model.params[1], model.bse[1], model.df_resid, *limits, model.pvalues[1])
    return dict(zip(names, map(float, values), strict=True))


def _ols(x: np.ndarray, y: np.ndarray) -> Any:
    return sm.OLS(y, sm.add_constant(x / PER, has_constant="add")).fit()

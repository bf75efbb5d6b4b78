"""Tests of "there is no difference": p-values, their correction for number, detectable effects.

A p-value here is the other face of an interval: it is below 5 % exactly if the 95 % interval leaves
zero out. So both rest on the same variance and degrees of freedom, or on the same resamples.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE
"""From a p-value below this on, two-sided, something counts as a difference."""

POWER = 0.8
"""How often an effect of the size that :func:`detectable` returns is found significant."""


def student_p(estimate: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of Student's t test that a quantity is zero.

    Args:
        estimate: of the quantity.
        error: its standard error; with 0 nothing is left to chance.
        freedom: degrees of freedom of the error.

    Returns:
        NaN if something is unknown.
    """
    if error == 0:
        return float(estimate == 0) if np.isfinite(estimate) else float("nan")
    return 2 * float(student.sf(abs(estimate) / error, freedom))


def resampled_p(values: np.ndarray) -> float:
    """Return the two-sided p-value that a quantity is zero, from a bootstrap of it.

    It is the level at which one end of the percentile interval is zero. B resamples cannot show
    less than 2 / (B + 1), which is where it ends: with fewer than 40 nothing is below 5 %.

    Args:
        values: the quantity in each resample, [B], finite; at least one.
    """
    ordered, shares = np.sort(values), np.linspace(0, 1, len(values))
    up_to_zero = float(np.interp(0, ordered, shares))  # of values that are zero, the last
    from_zero = float(np.interp(0, -ordered[::-1], shares))
    return float(np.clip(2 * min(up_to_zero, from_zero), 2 / (len(values) + 1), 1))


def detectable(error: float, freedom: float) -> float:
    """Return how large an effect had to be to be found significant with a power of 80 %.

    It is (t(0.975) + t(0.8)) times the standard error, with Student's t of its degrees of freedom:
    the first takes the interval off zero, the second is how far chance may pull back. With two
    degrees of freedom the power is in truth 77 %, with ten or more 80 %. It is that of one test
    alone: how much more a correction asks for depends on what else a family finds.

    Args:
        error: standard error.
        freedom: its degrees of freedom.
    """
    t = student.ppf([1 - LEVEL / 2, POWER], freedom)
    return float(t.sum()) * error


def holm(p: Sequence[float]) -> np.ndarray:
    """Return the p-values of a family, corrected for their number by Holm's step-down.

    With 5 % as the limit of what this returns, one difference or more is found where there is none
    in at most 5 % of families, however the tests depend on each other, if small p-values are as
    rare as they say. Those of three trainings are not, where trainings differ most; how often
    something is found then, :mod:`lib.metrics.simulation` tells.

    Args:
        p: of each test, none NaN, [M].
    """
    from statsmodels.stats.multitest import multipletests  # a slow import

    if not len(p):  # of no test there is nothing to correct
        return np.zeros(0)
    return np.asarray(multipletests(np.asarray(p, dtype=float), method="holm")[1])

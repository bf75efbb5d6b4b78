"""Williams' test: are two correlations equal that share a variable and were seen on the same cases?

Two methods' APs of the same classes are correlated, so their correlations with a third quantity
cannot be compared as if each had its own sample.
"""

import math
from typing import NamedTuple

from scipy import stats

_ROUNDING = 1e-14
"""What is left by rounding of a variance that is zero."""


class WilliamsTest(NamedTuple):
    """Williams' t, its degrees of freedom and its two-sided p-value."""

    t: float
    df: int
    p: float


def williams(r12: float, r13: float, r23: float, *, n: int) -> WilliamsTest:
    """Test whether two dependent correlations that share variable 1 are equal.

    Williams' T2 (E. J. Williams, 1959), which Steiger (Psychological Bulletin 87, 1980, eq. 7)
    recommends over Hotelling's.

    Args:
        r12: correlation of variables 1 and 2.
        r13: of variables 1 and 3.
        r23: of variables 2 and 3.
        n: number of cases.

    Returns:
        t, positive if ``r12`` is the larger, with n - 3 degrees of freedom. NaN with fewer than
        four cases, a missing correlation, variables 2 and 3 that are the same or opposite, or
        variables that determine one another so that nothing varies (such as ``r12 = -r13``).
    """
    if n <= 3 or not all(map(math.isfinite, (r12, r13, r23))) or abs(r23) > 1 - 1e-12:
        return WilliamsTest(math.nan, max(n - 3, 0), math.nan)
    determinant = 1 - r12**2 - r13**2 - r23**2 + 2 * r12 * r13 * r23
    mean = (r12 + r13) / 2
    scale = 2 * (n - 1) / (n - 3) * max(determinant, 0.0) + mean**2 * (1 - r23) ** 3
    if scale < _ROUNDING:
        return WilliamsTest(math.nan, n - 3, math.nan)
    t = (r12 - r13) * math.sqrt((n - 1) * (1 + r23) / scale)
    return WilliamsTest(t, n - 3, float(2 * stats.t.sf(abs(t), n - 3)))

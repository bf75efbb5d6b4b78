"""An audit of the percentages that paper A prints beside Fig. 1 (Sec. 1).

The paper prints a = Iₛ/I, b = Iₛ/S and c = Iₗ/L, and says that r = I/N can reach 30 %. Any three
of the four determine the fourth, because N = S + L::

    S/N = a r / b        L/N = (1 - a) r / c        a r / b + (1 - a) r / c = 1

so three of the numbers can be played against the fourth.
"""

import itertools
from collections.abc import Callable

import pandas as pd

RATIO_HALF_UNIT = 0.00005
"""Half a unit of the last digit printed for the three ratios (for example 55.54 %)."""

RATE_HALF_UNIT = 0.005
"""Half a unit of the last digit printed for the rate (30 %)."""


SYMBOLS = {"a": "Iₛ / I", "b": "Iₛ / S", "c": "Iₗ / L", "r": "I / N", "": "(S + L) / N"}
"""What the letters stand for."""

IMPLIED: dict[str, tuple[str, Callable[..., float]]] = {
    "A.fig1.invalid_rate": ("r", lambda a, b, c: 1 / (a / b + (1 - a) / c)),
    "A.fig1.large_invalid_rate": ("c", lambda a, b, r: (1 - a) * r / (1 - a * r / b)),
    "A.fig1.small_invalid_rate": ("b", lambda a, c, r: a * r / (1 - (1 - a) * r / c)),
    "A.fig1.small_share_of_invalid": ("a", lambda b, c, r: (r - c) / (b - c) * b / r),
    "S/N + L/N": ("", lambda a, b, c, r: a * r / b + (1 - a) * r / c),
}
"""Quantity -> its letter, and what it is by the numbers of the other letters."""


def audit(*, a: float, b: float, c: float, r: float) -> pd.DataFrame:
    """Return, for each three of the four printed numbers, the fourth that they imply.

    Args:
        a: Iₛ/I, the small share of the invalid masks, as printed (a fraction of 1).
        b: Iₛ/S, the invalid share of the small objects.
        c: Iₗ/L, the invalid share of the large objects.
        r: I/N, the invalid share of all, "can reach 30 %".

    Returns:
        One row per number: ``quantity`` (claim id), ``symbol``, ``taken`` (the three others),
        ``printed``, ``implied``, ``implied_low`` and ``implied_high`` (over all values that round
        to the printed three), ``small_share`` (S/N that goes with it), ``agrees`` (whether a value
        that rounds to the printed one is in that range). The last row takes all four: the share of
        the objects that is then accounted for, S/N + L/N, which should be 1.
    """
    units = {"a": RATIO_HALF_UNIT, "b": RATIO_HALF_UNIT, "c": RATIO_HALF_UNIT, "r": RATE_HALF_UNIT}
    printed = {"a": a, "b": b, "c": c, "r": r}
    rows = []
    for quantity, (name, formula) in IMPLIED.items():
        expected = printed.get(name, 1.0)
        taken = [other for other in printed if other != name]
        implied = formula(**{other: printed[other] for other in taken})
        # The formulas are monotone in each number, so the extremes are at the corners.
        corners = [
            formula(
                **{k: printed[k] + sign * units[k] for k, sign in zip(taken, signs, strict=True)}
            )
            for signs in itertools.product((-1, 1), repeat=len(taken))
        ]
        complete = printed | ({name: implied} if name else {})
        half_unit = units.get(name, 0.0)
        rows.append(
            {
                "quantity": quantity,
                "symbol": SYMBOLS[name],
                "taken": ", ".join(SYMBOLS[other] for other in taken),
                "printed": expected,
                "implied": implied,
                "implied_low": min(corners),
                "implied_high": max(corners),
                "small_share": complete["a"] * complete["r"] / complete["b"],
                "agrees": min(corners) - half_unit <= expected <= max(corners) + half_unit,
            }
        )
    return pd.DataFrame(rows)

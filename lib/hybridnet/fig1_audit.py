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


def invalid_rate(a: float, b: float, c: float) -> float:
    """Return I/N from a = Iₛ/I, b = Iₛ/S, c = Iₗ/L."""
    return 1 / (a / b + (1 - a) / c)


def large_invalid_rate(a: float, b: float, r: float) -> float:
    """Return Iₗ/L from a = Iₛ/I, b = Iₛ/S, r = I/N."""
    return (1 - a) * r / (1 - a * r / b)


def small_invalid_rate(a: float, c: float, r: float) -> float:
    """Return Iₛ/S from a = Iₛ/I, c = Iₗ/L, r = I/N."""
    return a * r / (1 - (1 - a) * r / c)


def small_share_of_invalid(b: float, c: float, r: float) -> float:
    """Return Iₛ/I from b = Iₛ/S, c = Iₗ/L, r = I/N."""
    return (r - c) / (b - c) * b / r


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
    everything: Callable[..., float] = lambda a, b, c, r: a * r / b + (1 - a) * r / c  # noqa: E731
    cases: list[tuple[str, str, str, Callable[..., float], float]] = [
        ("A.fig1.invalid_rate", "r", "I / N", invalid_rate, r),
        ("A.fig1.large_invalid_rate", "c", "Iₗ / L", large_invalid_rate, c),
        ("A.fig1.small_invalid_rate", "b", "Iₛ / S", small_invalid_rate, b),
        ("A.fig1.small_share_of_invalid", "a", "Iₛ / I", small_share_of_invalid, a),
        ("S/N + L/N", "", "(S + L) / N", everything, 1.0),
    ]
    rows = []
    for quantity, name, symbol, formula, expected in cases:
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
                "symbol": symbol,
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


SYMBOLS = {"a": "Iₛ / I", "b": "Iₛ / S", "c": "Iₗ / L", "r": "I / N"}
"""What the letters stand for."""

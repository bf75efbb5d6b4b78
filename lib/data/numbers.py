"""Numbers as a JSON file may hold them: which values are numbers, and which are finite.

Python's JSON takes NaN, Infinity, 1e999 and integers of any length; ``true`` and ``"1"`` turn into
numbers all too willingly. None of these is a number of pixels.
"""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np


def is_natural(value: Any, *, zero_allowed: bool) -> bool:
    """Return whether a value is an integer above 0, or 0 where that is allowed; any id is one."""
    return type(value) is int and (value > 0 or zero_allowed)


def are_numbers(row: Any, columns: int) -> bool:
    """Return whether a value is a list or tuple of so many numbers, NaN and infinity included."""
    return (
        isinstance(row, (list, tuple))
        and len(row) == columns
        and all(type(value) in (int, float) for value in row)
    )


def as_array(rows: Sequence[Any], columns: int) -> np.ndarray:
    """Return rows of numbers as float64 [N, columns].

    A row that is not ``are_numbers`` becomes NaN, an integer beyond all floats infinity.
    """
    try:
        if set(map(type, chain.from_iterable(rows))) <= {int, float}:
            array = np.array(rows, dtype=np.float64)
            if array.shape == (len(rows), columns):
                return array
    except (TypeError, ValueError, OverflowError):  # some row is none: row by row, then
        pass
    array = np.full((len(rows), columns), np.nan)
    for i, row in enumerate(rows):
        if are_numbers(row, columns):
            array[i] = [_float(value) for value in row]
    return array


def all_finite(value: Any) -> bool:
    """Return whether a JSON value holds neither NaN nor infinity, which no JSON file may hold."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(all_finite, value.values()))
    if isinstance(value, list):
        return all(map(all_finite, value))
    return True


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf

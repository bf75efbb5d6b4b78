"""Numbers as a JSON file may hold them: which values are numbers, and which are finite.

Python's JSON takes NaN, Infinity, 1e999 and integers of any length; ``true`` and ``"1"`` turn into
numbers all too willingly. None of these is a number of pixels. Where labels are repaired, a text
or a float that is a whole number counts as that number.
"""

import math
import re
import reprlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

DEEPEST = 100
"""Lists and objects in one another that are carried along; a writer could not follow many more."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,40}(\.0*)?")
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 6, 4
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def shown(value: Any) -> str:
    """Return a value as a message shows it: at most a line, however long or deep it is."""
    text = _SHORT.repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def is_natural(value: Any, *, zero_allowed: bool) -> bool:
    """Return whether a value is an integer above 0, or 0 where that is allowed, of 64 bits."""
    return is_integer(value) and (value > 0 or (zero_allowed and value == 0))


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer of 64 bits, as numpy and pycocotools need ids to be."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_key(value: Any) -> bool:
    """Return whether a value can be an id or a name in a file: a number or a text."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def whole(value: Any) -> int | None:
    """Return the integer that a value means (3, 3.0, ``"3"`` and ``"3.0"`` are 3), or None."""
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return None


def number(value: Any) -> float | None:
    """Return the number that a value or a text means, as int where it is whole, or None."""
    if (integer := whole(value)) is not None:
        return integer
    if not isinstance(value, (float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


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


def all_finite(value: Any, deepest: int = DEEPEST) -> bool:
    """Return whether a JSON value can be written: no NaN, no infinity, not nested too deeply."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return deepest > 0 and all(all_finite(v, deepest - 1) for v in inner)
    return True


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf

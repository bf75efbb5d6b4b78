"""Forms in which tools write a mask, and what each means in COCO's own.

What a form means must be beyond doubt: a flat list of coordinates, points as pairs, a part of
fewer than three points beside good ones, run lengths in a list of one, numbers as text or floats.
"""

import ast
import json
import math
from typing import Any

from lib.data.numbers import number, whole

FARTHEST = 100_000.0
"""Pixels up to which a corner of a polygon may lie away; drawing takes memory for each pixel."""


def are_polygons(mask: list[Any]) -> bool:
    """Return whether a list is one of polygons of three points or more, in finite numbers."""
    try:
        return all(len(p) >= 6 and len(p) % 2 == 0 and math.isfinite(sum(p)) for p in mask)
    except (TypeError, OverflowError):
        return False


def is_rle(mask: dict[str, Any]) -> bool:
    """Return whether an object has the fields of run lengths; their sum is not looked at."""
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2:
        return False
    if any(type(side) is not int or not 0 <= side < 2**31 for side in size):
        return False
    if isinstance(counts, list):
        return all(type(c) is int and 0 <= c < 2**32 for c in counts)
    return isinstance(counts, str) and bool(counts)


def mended(mask: Any) -> dict[str, Any] | list[Any] | None:
    """Return what a mask in an unusual form means, as run lengths or polygons; None if unclear.

    Whether run lengths fill the image is left to whoever knows its size.
    """
    if isinstance(mask, str) and mask.strip()[:1] in ("[", "{"):
        try:
            mask = json.loads(mask)
        except (ValueError, RecursionError):
            return None
    if isinstance(mask, list) and len(mask) == 1 and isinstance(mask[0], dict):
        mask = mask[0]
    if isinstance(mask, dict):
        return _run_lengths(mask)
    return _polygons(mask) if isinstance(mask, list) and mask else None


def _run_lengths(mask: dict[str, Any]) -> dict[str, Any] | None:
    size, counts = mask.get("size"), mask.get("counts")
    if isinstance(size, list):
        size = [whole(side) for side in size]
    if isinstance(counts, list):
        counts = [whole(run) for run in counts]
    elif isinstance(counts, str) and counts[:2] in ("b'", 'b"'):  # bytes, printed by Python
        try:
            counts = ast.literal_eval(counts).decode("ascii")
        except (ValueError, SyntaxError):
            return None
    code = {"size": size, "counts": counts}
    return code if is_rle(code) else None


def _polygons(mask: list[Any]) -> list[Any] | None:
    one_flat = not any(isinstance(part, (list, dict)) for part in mask)
    one_of_pairs = len(mask) >= 3 and all(isinstance(p, list) and len(p) == 2 for p in mask)
    parts = [_coordinates(part) for part in ([mask] if one_flat or one_of_pairs else mask)]
    if any(part is None or len(part) % 2 for part in parts):
        return None
    good = [part for part in parts if part and len(part) >= 6]
    return good if good and are_polygons(good) else None


def _coordinates(part: Any) -> list[float] | None:
    """Return a polygon's numbers in one list, whether they come flat, in pairs or wrapped."""
    if isinstance(part, list) and len(part) == 1 and isinstance(part[0], list):
        part = part[0]
    if not isinstance(part, list):
        return None
    if part and all(isinstance(point, list) and len(point) == 2 for point in part):
        part = [value for point in part for value in point]
    values = [number(value) for value in part]
    return None if any(value is None for value in values) else [v for v in values if v is not None]

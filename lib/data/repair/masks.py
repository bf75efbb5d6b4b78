"""Masks of labels: whether they can be used, whether they have a pixel, and where they lie.

Tools write masks in other forms than COCO's. What such a form means must be beyond doubt: a flat
list of coordinates, points as pairs, a part of fewer than three points beside good ones, run
lengths in a list of one, numbers as text or floats.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from lib.data.numbers import number, shown, whole
from lib.data.repair.counts import Repairs
from lib.data.segmentation import compressed, mask_area, run_lengths
from lib.data.validation import ROUNDING, Problem

_CHUNK = 5_000
"""Masks of polygons looked at together."""

_FARTHEST = 100_000.0
"""Pixels up to which a corner of a polygon may lie away; drawing takes memory for each pixel."""

_THICK = 2.0
"""Mean thickness (area by longest side), in pixels, from which a polygon surely has a pixel."""


@dataclass(frozen=True)
class Masks:
    """What was found of masks, by position.

    Attributes:
        problems: kind and detail of those that cannot be used.
        mended: those read as something else than they say.
        boxes: ``xyxy`` in pixels around each usable mask; NaN where it has no pixel.
    """

    problems: dict[int, tuple[str, str]]
    mended: dict[int, Any]
    boxes: dict[int, np.ndarray]


def measure(masks: Mapping[int, Any], sizes: np.ndarray, *, mend: bool) -> Masks:
    """Look at masks.

    Args:
        masks: ``segmentation`` fields that are not empty, by position.
        sizes: (width, height) of the image, for every position [N, 2].
        mend: whether masks in other forms than COCO's are taken for what they mean.
    """
    problems, boxes = _judge(masks, sizes)
    forms = {i: form for i in problems if (form := _mended(masks[i])) is not None} if mend else {}
    still, more = _judge(forms, sizes)
    read = {i: form for i, form in forms.items() if i not in still}
    left = {i: still.get(i, found) for i, found in problems.items() if i not in read}
    return Masks(left, read, boxes | more)


def check_masks(
    annotations: Sequence[Mapping[str, Any]],
    boxes: np.ndarray,
    sizes: np.ndarray,
    bad: Collection[int],
    repairs: Repairs,
    *,
    mend: bool,
) -> tuple[dict[int, Problem], dict[int, Any]]:
    """Find masks that cannot be used, and what takes the place of masks.

    Args:
        annotations: the ``annotations`` of a COCO file.
        boxes: their boxes, ``xyxy`` [N, 4].
        sizes: (width, height) of their images, [N, 2].
        bad: positions that are not looked at.
        repairs: where masks that were mended, are empty, or lie beside their box are counted.
        mend: see ``measure``.

    Returns:
        Problems by position, and by position the masks to take instead of those in the file:
        mended ones, and ``None`` for those that cannot be used or have no pixel.
    """
    masks = {
        i: mask
        for i, annotation in enumerate(annotations)
        if (mask := annotation.get("segmentation")) and i not in bad
    }
    found = measure(masks, sizes, mend=mend)
    where = np.array(list(found.boxes), np.int64)
    around = np.reshape(list(found.boxes.values()), (-1, 4))
    empty = where[np.isnan(around).any(axis=1)].tolist()
    low = np.maximum(around[:, :2], boxes[where, :2])
    high = np.minimum(around[:, 2:], boxes[where, 2:])
    beside = where[(low - high > ROUNDING).any(axis=1)].tolist()
    name = [annotation.get("id") for annotation in annotations]
    for kind, rows in (
        ("mask_form", found.mended),
        ("mask_empty", empty),
        ("mask_beside_box", beside),
    ):
        repairs.add(kind, *(name[i] for i in rows))
    problems = {i: Problem(kind, name[i], text) for i, (kind, text) in found.problems.items()}
    return problems, {**found.mended, **dict.fromkeys([*found.problems, *empty])}


def _judge(
    masks: Mapping[int, Any], sizes: np.ndarray
) -> tuple[dict[int, tuple[str, str]], dict[int, np.ndarray]]:
    """Return what is wrong with masks, and the boxes around the others."""
    problems: dict[int, tuple[str, str]] = {}
    boxes: dict[int, np.ndarray] = {}
    polygons: list[int] = []
    for i, mask in masks.items():
        if isinstance(mask, list) and _are_polygons(mask):
            polygons.append(i)
        elif not isinstance(mask, dict) or not _is_rle(mask):
            problems[i] = ("mask_malformed", f"segmentation {shown(mask)}")
        elif wrong := _wrong_runs(mask, *sizes[i]):
            problems[i] = wrong
        else:
            x, y, width, height = coco_mask.toBbox(compressed(mask, *mask["size"]))
            boxes[i] = np.array([x, y, x + width, y + height] if width else [np.nan] * 4)
    for start in range(0, len(polygons), _CHUNK):
        rows = polygons[start : start + _CHUNK]
        around = _around_polygons([masks[i] for i in rows], sizes[rows])
        boxes.update(zip(rows, around, strict=True))
    return problems, boxes


def _around_polygons(masks: Sequence[list[Any]], sizes: np.ndarray) -> np.ndarray:
    """Return the boxes around masks of polygons of three points or more.

    Only thin polygons, or those that leave their image, are drawn to see if they have a pixel.

    Returns:
        ``xyxy`` in pixels, float64 [N, 4]; NaN where the mask has no pixel in its image, or a
        corner more than ``_FARTHEST`` away.
    """
    parts = list(chain.from_iterable(masks))
    points = np.fromiter(chain.from_iterable(parts), np.float64).reshape(-1, 2)
    ends = np.cumsum([len(part) // 2 for part in parts])
    first = np.r_[0, ends[:-1]]
    low, high = np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = first
    ahead = points[following]
    per_mask = [len(mask) for mask in masks]
    limits = np.repeat(sizes, per_mask, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        cross = points[:, 0] * ahead[:, 1] - ahead[:, 0] * points[:, 1]
        area = np.abs(np.add.reduceat(cross, first)) / 2
        inside = ((low >= -1) & (high <= limits + 1)).all(axis=1)
        sure = inside & (area >= _THICK * (high - low).max(axis=1))
    begins = np.r_[0, np.cumsum(per_mask)[:-1]]
    boxes = np.hstack([np.minimum.reduceat(low, begins), np.maximum.reduceat(high, begins)])
    for i in np.flatnonzero(~np.logical_or.reduceat(sure, begins)).tolist():
        width, height = map(int, sizes[i])
        if np.abs(boxes[i]).max() > _FARTHEST or not mask_area(masks[i], height, width):
            boxes[i] = np.nan
    return boxes


def _wrong_runs(mask: dict[str, Any], width: float, height: float) -> tuple[str, str] | None:
    """Return what is wrong with run lengths in an image of this size."""
    if mask["size"] != [height, width]:
        image = f"{height:g} x {width:g}"
        return "mask_other_size", f"RLE [height, width] {mask['size']}, its image {image}"
    counts, pixels = mask["counts"], math.prod(mask["size"])
    try:
        covered = int(run_lengths(counts).sum()) if isinstance(counts, str) else sum(counts)
    except ValueError:
        return "mask_not_filled", "its counts are no RLE"
    if covered != pixels:
        return "mask_not_filled", f"its runs cover {covered} of {pixels} pixels"
    return None


def _are_polygons(mask: list[Any]) -> bool:
    """Return whether a list is one of polygons of three points or more, in finite numbers."""
    try:
        return all(len(p) >= 6 and len(p) % 2 == 0 and math.isfinite(sum(p)) for p in mask)
    except (TypeError, OverflowError):
        return False


def _is_rle(mask: dict[str, Any]) -> bool:
    """Return whether an object has the fields of run lengths; their sum is not looked at."""
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2:
        return False
    if any(type(side) is not int or not 0 <= side < 2**31 for side in size):
        return False
    if isinstance(counts, list):
        return all(type(c) is int and 0 <= c < 2**32 for c in counts)
    return isinstance(counts, str) and bool(counts)


def _mended(mask: Any) -> dict[str, Any] | list[Any] | None:
    """Return what a mask in an unusual form means, as run lengths or polygons; None if unclear."""
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
    code = {"size": size, "counts": counts}
    return code if _is_rle(code) else None


def _polygons(mask: list[Any]) -> list[Any] | None:
    one_flat = not any(isinstance(part, list) for part in mask)
    one_of_pairs = len(mask) >= 3 and all(isinstance(p, list) and len(p) == 2 for p in mask)
    parts = [_coordinates(part) for part in ([mask] if one_flat or one_of_pairs else mask)]
    if any(part is None or len(part) % 2 for part in parts):
        return None
    good = [part for part in parts if part and len(part) >= 6]
    return good if good and _are_polygons(good) else None


def _coordinates(part: Any) -> list[float] | None:
    """Return a polygon's numbers in one list, whether they come flat or in pairs."""
    if not isinstance(part, list):
        return None
    if part and all(isinstance(point, list) and len(point) == 2 for point in part):
        part = list(chain.from_iterable(part))
    values = [number(value) for value in part]
    return None if any(value is None for value in values) else [v for v in values if v is not None]

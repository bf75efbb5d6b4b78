"""Where polygons lie, for many at once; only thin ones are drawn to see if they have a pixel."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from lib.data.segmentation import mask_area

CHUNK = 5_000
"""Masks looked at together."""

FARTHEST = 100_000.0
"""Pixels up to which a corner of a polygon may lie away; drawing takes memory for each pixel."""

_THICK = 2.0
"""Mean thickness (area by longest side), in pixels, from which a polygon surely has a pixel."""


def polygon_extents(masks: Sequence[list[Any]], sizes: np.ndarray) -> np.ndarray:
    """Return the boxes around masks of polygons.

    Args:
        masks: for each its polygons, of three points or more.
        sizes: (width, height) of their images, [N, 2].

    Returns:
        ``xyxy`` in pixels, float64 [N, 4]; NaN where the mask has no pixel in its image, or a
        corner more than ``FARTHEST`` away.
    """
    steps = range(0, len(masks), CHUNK)
    parts = [_of_polygons(masks[i : i + CHUNK], sizes[i : i + CHUNK]) for i in steps]
    return np.concatenate(parts) if parts else np.zeros((0, 4))


def _of_polygons(masks: Sequence[list[Any]], sizes: np.ndarray) -> np.ndarray:
    parts = list(chain.from_iterable(masks))
    points = np.fromiter(chain.from_iterable(parts), np.float64).reshape(-1, 2)
    ends = np.cumsum([len(part) // 2 for part in parts])
    first = np.r_[0, ends[:-1]]
    low, high = np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)

    following = np.arange(1, len(points) + 1)
    following[ends - 1] = first
    ahead = points[following]
    with np.errstate(over="ignore", invalid="ignore"):
        cross = points[:, 0] * ahead[:, 1] - ahead[:, 0] * points[:, 1]
        area = np.abs(np.add.reduceat(cross, first)) / 2
        per_mask = [len(mask) for mask in masks]
        limits = np.repeat(sizes, per_mask, axis=0)
        inside = ((low >= -1) & (high <= limits + 1)).all(axis=1)
        sure = inside & (area >= _THICK * (high - low).max(axis=1))

    begins = np.r_[0, np.cumsum(per_mask)[:-1]]
    boxes = np.hstack([np.minimum.reduceat(low, begins), np.maximum.reduceat(high, begins)])
    for i in np.flatnonzero(~np.logical_or.reduceat(sure, begins)).tolist():
        width, height = map(int, sizes[i])
        if np.abs(boxes[i]).max() > FARTHEST or not mask_area(masks[i], height, width):
            boxes[i] = np.nan
    return boxes

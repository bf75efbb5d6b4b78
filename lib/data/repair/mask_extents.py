"""Where masks lie, for many at once: run lengths without decoding, polygons drawn only if thin.

COCO's compressed run lengths are text: each run is a little-endian base-32 number, five bits to a
character (from chr(48) on), 32 marking that more follow, the last 16 the sign; from the fourth run
on it is the difference to the run two before. pycocotools reads such a text unchecked, past its
end if the last number is cut off, so texts from files are checked here first. Many texts are read
together as one array, some 20 million characters a second.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from lib.data.segmentation import mask_area

CHUNK = 1_000
"""Masks looked at together; few enough to stay in the processor's cache."""

FARTHEST = 100_000.0
"""Pixels up to which a corner of a polygon may lie away; drawing takes memory for each pixel."""

_THICK = 2.0
"""Mean thickness (area by longest side), in pixels, from which a polygon surely has a pixel."""

_LONGEST = 6
"""Characters of the longest number allowed: more than any picture has pixels."""


def run_extents(
    counts: Sequence[str | Sequence[int]], heights: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many pixels the runs of each mask cover, and where its foreground lies.

    Args:
        counts: compressed run lengths (text) or plain ones (integers).
        heights: of their images, pixels.

    Returns:
        The sum of the runs, int64 [N], which for a whole mask is height x width, -1 where a text
        is no valid RLE; and the tight box, float64 [N, 4] ``xyxy``, NaN where there is no pixel.
    """
    lengths, boxes = np.zeros(len(counts), np.int64), np.full((len(counts), 4), np.nan)
    texts = [i for i, runs in enumerate(counts) if isinstance(runs, str)]
    plain = [i for i, runs in enumerate(counts) if runs and not isinstance(runs, str)]
    sides = np.asarray(heights, np.int64)
    for chosen, read in ((texts, _read), (plain, _join)):
        for at in range(0, len(chosen), CHUNK):
            part = np.array(chosen[at : at + CHUNK])
            runs, first, fine = read([counts[i] for i in part])
            sums = np.add.reduceat(runs, first)
            lengths[part] = np.where(fine, sums, -1)
            boxes[part] = _foreground(runs, first, sides[part])
    return lengths, boxes


def _join(counts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return plain runs as one array, the beginning of each mask's, and that all are fine."""
    first = np.cumsum([0, *map(len, counts[:-1])])
    return np.concatenate([np.asarray(c, np.int64) for c in counts]), first, np.full(len(counts), 1)


def _foreground(runs: np.ndarray, first: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Return the box of every second run of each mask, column after column, [N, 4]."""
    lengths = np.diff(np.r_[first, len(runs)])
    ends = np.cumsum(runs)
    ends -= np.repeat((ends - runs)[first], lengths)
    is_mask = ((np.arange(len(runs)) - np.repeat(first, lengths)) % 2 == 1) & (runs > 0)
    tall = np.repeat(np.maximum(heights, 1), lengths)
    begin_column, begin_row = np.divmod(ends - runs, tall)
    end_column, end_row = np.divmod(ends - 1, tall)
    crosses = begin_column < end_column  # such a run reaches the lower and the upper edge
    none = np.iinfo(np.int64).max
    low = [np.where(is_mask, v, none) for v in (begin_column, np.where(crosses, 0, begin_row))]
    high = [np.where(is_mask, v, -1) for v in (end_column, np.where(crosses, tall - 1, end_row))]
    boxes = np.stack(
        [*(np.minimum.reduceat(v, first) for v in low)]
        + [np.maximum.reduceat(v, first) + 1 for v in high],
        axis=1,
    ).astype(np.float64)
    boxes[~np.logical_or.reduceat(is_mask, first)] = np.nan
    return boxes


def _read(counts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the runs of texts as one array, each text's beginning, and which are valid RLE."""
    # a text that is empty or ends within a number would run into the next one: "0" replaces it
    texts = [text.encode("ascii", "replace") for text in counts]
    whole = np.array([bool(text) and not (text[-1] - 48) & 32 for text in texts])
    texts = [text if fine else b"0" for text, fine in zip(texts, whole, strict=True)]

    codes = np.frombuffer(b"".join(texts), np.uint8) - np.uint8(48)  # below 48 wraps above 63
    ends = np.flatnonzero((codes & 32) == 0)
    starts = np.r_[0, ends[:-1] + 1]
    digits = ends - starts + 1
    values = (codes[starts] & 31).astype(np.int64)
    for place in range(1, min(int(digits.max()), _LONGEST)):
        longer = np.flatnonzero(digits > place)
        values[longer] |= (codes[starts[longer] + place] & 31).astype(np.int64) << (5 * place)
    signed = (codes[ends] & 16) != 0
    values[signed] -= np.int64(1) << (5 * np.minimum(digits[signed], _LONGEST))

    text_ends = np.cumsum([len(text) for text in texts])
    first = np.asarray(np.searchsorted(starts, np.r_[0, text_ends[:-1]]))
    bad = np.add.reduceat(codes > 63, np.r_[0, text_ends[:-1]], dtype=np.int64)
    bad += np.add.reduceat(digits > _LONGEST, first, dtype=np.int64)
    runs = _undo_differences(values, first)
    bad += np.add.reduceat(runs < 0, first, dtype=np.int64)
    return runs, first, whole & (bad == 0)


def _undo_differences(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the runs of texts whose numbers are ``values`` and begin at ``first``.

    Runs 0, 1 and 2 of a text are plain; run i >= 3 adds to run i - 2: two interleaved running
    sums (1, 3, 5, ... and 2, 4, ...), each of which starts afresh in every text.
    """
    lengths = np.diff(np.r_[first, len(values)])
    index = np.arange(len(values)) - np.repeat(first, lengths)
    runs = values.copy()
    for parity in (0, 1):
        chain = np.flatnonzero((index % 2 == parity) & (index > 0))
        sums = np.cumsum(values[chain])
        begins = np.flatnonzero(index[chain] <= 2)
        before = (sums - values[chain])[begins]
        runs[chain] = sums - np.repeat(before, np.diff(np.r_[begins, len(chain)]))
    return runs


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

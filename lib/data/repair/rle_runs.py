"""How many pixels run lengths cover, and where, for many at once, without decoding a mask.

COCO's compressed run lengths are text: each run is a little-endian base-32 number, five bits to a
character (from chr(48) on), 32 marking that more follow, the last 16 the sign; from the fourth run
on it is the difference to the run two before. pycocotools reads such a text unchecked, past its
end if the last number is cut off, so texts from files are checked here first. Many texts are read
together as one array, some 20 million characters a second.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

CHUNK = 1_000
"""Texts read at a time; few enough to stay in the processor's cache."""

_LONGEST = 6
"""Characters of the longest number allowed: more than any picture has pixels."""


def extents(
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

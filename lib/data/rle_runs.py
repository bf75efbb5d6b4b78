"""How many pixels a compressed RLE covers, for many at once, without decoding a mask.

COCO's compressed run lengths are text: each run is a little-endian base-32 number, five bits to a
character (from chr(48) on), 32 marking that more follow, the last 16 the sign; from the fourth run
on it is the difference to the run two before. pycocotools reads such a text unchecked, past its
end if the last number is cut off, so texts from files are checked here first. Many texts are read
together as one array, some 20 million characters a second.
"""

from collections.abc import Sequence

import numpy as np

CHUNK = 1_000
"""Texts read at a time; few enough to stay in the processor's cache."""

_LONGEST = 6
"""Characters of the longest number allowed: more than any picture has pixels."""


def total_lengths(counts: Sequence[str]) -> np.ndarray:
    """Return the sum of the runs of each text, int64 [N]; -1 where the text is no valid RLE.

    The sum of a whole mask's runs is height x width.
    """
    parts = [_lengths(counts[i : i + CHUNK]) for i in range(0, len(counts), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _lengths(counts: Sequence[str]) -> np.ndarray:
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
    first = np.searchsorted(starts, np.r_[0, text_ends[:-1]])
    bad = np.add.reduceat(codes > 63, np.r_[0, text_ends[:-1]], dtype=np.int64)
    bad += np.add.reduceat(digits > _LONGEST, first, dtype=np.int64)
    runs = _undo_differences(values, np.asarray(first))
    bad += np.add.reduceat(runs < 0, first, dtype=np.int64)
    return np.where(whole & (bad == 0), np.add.reduceat(runs, first), -1)


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

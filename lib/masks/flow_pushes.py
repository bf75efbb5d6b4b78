"""Largest flows by pushing excess from pixel to pixel, for grids where it has far to go.

Push-relabel (Goldberg and Tarjan, JACM 1988) up to a largest preflow, which is all that a cut
needs: a pixel's label is a lower bound of its distance, in links with room, from one that lacks,
and excess moves to smaller labels. Labels grow one by one, too slowly where the way is long, so
they are measured anew after every so many steps. Unlike augmenting paths it needs no more where
the terms of single pixels are weak and flow crosses half the picture; where little is lacking, the
measuring costs more than all of `lib.masks.flow_trees`.
"""

import numpy as np
from numba import njit

_FIRST, _NEXT, _PAST = np.uint64(0), np.uint64(1), np.uint64(8)  # of directions
_BACK, _ROW = np.uint64(4), np.uint64(3)  # direction ^ _BACK, pixel << _ROW
_FAR = np.int32(1 << 29)  # label of what reaches no pixel that lacks


def push(
    excess: np.ndarray, capacity: np.ndarray, offsets: np.ndarray, reached: np.ndarray
) -> None:
    """Turn a flow into a largest one.

    Args:
        excess: int64 [N], see `lib.masks.mincut`; changed.
        capacity: int32 [N, 8], what can still flow in each direction; changed.
        offsets: int64 [8], from a pixel to its neighbours; ``offsets[d ^ 4] == -offsets[d]``.
        reached: bool [N], written: whether excess can still come there.
    """
    count = len(excess)
    _push(
        excess,
        capacity.reshape(-1),
        offsets.astype(np.uint64),
        np.empty(count, dtype=np.int32),
        np.empty(count, dtype=np.uint8),
        np.empty(count, dtype=np.uint32),
        np.empty(count, dtype=np.uint32),
        np.zeros(count, dtype=np.bool_),
    )
    _reach(
        excess,
        capacity.reshape(-1),
        offsets.astype(np.uint64),
        reached,
        np.empty(count, dtype=np.uint32),
    )


@njit(cache=True)
def _push(
    excess: np.ndarray,
    capacity: np.ndarray,
    offsets: np.ndarray,
    label: np.ndarray,
    tried: np.ndarray,
    found: np.ndarray,
    queue: np.ndarray,
    queued: np.ndarray,
) -> None:
    """Push until no excess can reach a pixel that lacks.

    ``tried`` is the direction from which on a pixel can still push with its label. ``queue`` is a
    ring of pixels with excess, those with the smallest labels first. Indices are unsigned because
    others are tested for being negative at every access.
    """
    count = excess.shape[0]
    while True:
        waiting = _measure(excess, capacity, offsets, label, found, queue)
        if waiting == 0:
            return
        for i in range(waiting):
            tried[queue[i]] = _FIRST
            queued[queue[i]] = True
        head, tail, steps = 0, waiting if waiting < count else 0, 0
        while waiting > 0 and steps < count:
            pixel = np.uint64(queue[head])
            head = head + 1 if head + 1 < count else 0
            waiting -= 1
            queued[pixel] = False
            left, d = excess[pixel], np.uint64(tried[pixel])
            while left > 0 and label[pixel] < _FAR:
                lower = label[pixel] - 1
                while d < _PAST:
                    room = np.int64(capacity[(pixel << _ROW) + d])
                    other = pixel + offsets[d]
                    if room > 0 and label[other] == lower:
                        amount = min(left, room)
                        capacity[(pixel << _ROW) + d] -= amount
                        capacity[(other << _ROW) + (d ^ _BACK)] += amount
                        left -= amount
                        excess[other] += amount
                        if excess[other] > 0 and not queued[other]:
                            tried[other] = _FIRST
                            queued[other] = True
                            queue[tail] = other
                            tail = tail + 1 if tail + 1 < count else 0
                            waiting += 1
                        if left == 0:
                            break
                    d += _NEXT
                steps += 1
                if left > 0:
                    steps += 1
                    label[pixel] = _smallest(capacity, offsets, label, pixel)
                    d = _FIRST
            excess[pixel], tried[pixel] = left, d
        for i in range(waiting):
            at = head + i if head + i < count else head + i - count
            queued[queue[at]] = False


@njit(cache=True)
def _smallest(
    capacity: np.ndarray, offsets: np.ndarray, label: np.ndarray, pixel: np.uint64
) -> np.int32:
    """Return the smallest label with which a pixel can push, _FAR if it can nowhere."""
    smallest = _FAR
    d = _FIRST
    while d < _PAST:
        if capacity[(pixel << _ROW) + d] > 0:
            smallest = min(smallest, label[pixel + offsets[d]] + np.int32(1))
        d += _NEXT
    return min(smallest, _FAR)


@njit(cache=True)
def _measure(
    excess: np.ndarray,
    capacity: np.ndarray,
    offsets: np.ndarray,
    label: np.ndarray,
    found: np.ndarray,
    queue: np.ndarray,
) -> int:
    """Set labels to distances; queue the pixels whose excess has a way, the nearest first."""
    head, tail, waiting = 0, 0, 0
    for start in range(excess.shape[0]):
        label[start] = _FAR
        if excess[start] < 0:
            label[start] = 0
            found[tail] = start
            tail += 1
    while head < tail:
        pixel = np.uint64(found[head])
        head += 1
        if excess[pixel] > 0:
            queue[waiting] = pixel
            waiting += 1
        d = _FIRST
        while d < _PAST:
            other = pixel + offsets[d]
            if label[other] == _FAR and capacity[(other << _ROW) + (d ^ _BACK)] > 0:
                label[other] = label[pixel] + 1
                found[tail] = other
                tail += 1
            d += _NEXT
    return waiting


@njit(cache=True)
def _reach(
    excess: np.ndarray,
    capacity: np.ndarray,
    offsets: np.ndarray,
    reached: np.ndarray,
    found: np.ndarray,
) -> None:
    """Write where excess can still come."""
    head, tail = 0, 0
    for start in range(excess.shape[0]):
        reached[start] = excess[start] > 0
        if reached[start]:
            found[tail] = start
            tail += 1
    while head < tail:
        pixel = np.uint64(found[head])
        head += 1
        d = _FIRST
        while d < _PAST:
            other = pixel + offsets[d]
            if not reached[other] and capacity[(pixel << _ROW) + d] > 0:
                reached[other] = True
                found[tail] = other
                tail += 1
            d += _NEXT

"""Largest flows by augmenting paths, for grids whose flow lacks little.

Search trees are kept from path to path (Boykov and Kolmogorov, PAMI 2004), but from the source
alone: with a flow to start from most ways are short, and trees from the sink too cost more than
they save. Where flow has far to go, `lib.masks.flow_pushes` is faster.
"""

import numpy as np
from numba import njit

_ROOT, _NOBODY = np.uint64(8), np.uint64(9)  # parents that are no direction
_FIRST, _NEXT, _PAST = np.uint64(0), np.uint64(1), np.uint64(8)  # of directions
_BACK, _ROW = np.uint64(4), np.uint64(3)  # direction ^ _BACK, pixel << _ROW


def augment(
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
    _augment(
        excess,
        capacity.reshape(-1),
        offsets.astype(np.uint64),
        reached,
        np.empty(count, dtype=np.uint8),
        np.zeros(count, dtype=np.int32),
        np.zeros(count, dtype=np.int32),
        np.empty(count, dtype=np.uint32),
        np.zeros(count, dtype=np.bool_),
        np.empty(count, dtype=np.uint32),
    )


@njit(cache=True)
def _augment(
    excess: np.ndarray,
    capacity: np.ndarray,
    offsets: np.ndarray,
    reached: np.ndarray,
    parent: np.ndarray,
    depth: np.ndarray,
    stamp: np.ndarray,
    queue: np.ndarray,
    queued: np.ndarray,
    orphans: np.ndarray,
) -> None:
    """Find a largest flow; in the end ``reached`` says where excess can still come from.

    Trees grow from all pixels with excess; where they touch a pixel that lacks, flow is sent along
    the branch. A pixel's ``parent`` is the direction of the next pixel on the way to its tree's
    root. ``depth`` is its distance from the root as it was at the time ``stamp``. ``queue`` is a
    ring of the pixels at which trees may grow. ``capacity`` is flat, 8 numbers for each pixel.

    It is one function because handing ten arrays to the steps costs a third of the whole time, and
    all indices are unsigned because others are tested for being negative at every access.
    """
    count = excess.shape[0]
    head, tail, waiting = 0, 0, 0
    for root in range(count):
        reached[root] = excess[root] > 0
        parent[root] = _NOBODY
        if reached[root]:
            parent[root] = _ROOT
            depth[root] = 1
            queue[tail] = root
            queued[root] = True
            tail = tail + 1 if tail + 1 < count else 0
            waiting += 1
    now = 0
    while waiting > 0:
        current = np.uint64(queue[head])
        head = head + 1 if head + 1 < count else 0
        waiting -= 1
        queued[current] = False
        d = _FIRST
        while d < _PAST and reached[current]:
            room = np.int64(capacity[(current << _ROW) + d])
            other = current + offsets[d]
            if room == 0 or reached[other]:
                d += _NEXT
                continue
            if excess[other] >= 0:
                reached[other] = True
                parent[other] = d ^ _BACK
                stamp[other] = stamp[current]
                depth[other] = depth[current] + 1
                if not queued[other]:
                    queued[other] = True
                    queue[tail] = other
                    tail = tail + 1 if tail + 1 < count else 0
                    waiting += 1
                d += _NEXT
                continue
            # The other pixel lacks: how much fits through the whole branch
            now += 1
            amount = min(room, -excess[other])
            pixel = current
            while parent[pixel] != _ROOT:
                up = np.uint64(parent[pixel])
                pixel = pixel + offsets[up]
                amount = min(amount, np.int64(capacity[(pixel << _ROW) + (up ^ _BACK)]))
            amount = min(amount, excess[pixel])
            # Send it; pixels whose link from their parent is now full are orphans
            lost = 0
            capacity[(current << _ROW) + d] -= amount
            capacity[(other << _ROW) + (d ^ _BACK)] += amount
            excess[other] += amount
            pixel = current
            while parent[pixel] != _ROOT:
                up = np.uint64(parent[pixel])
                above = pixel + offsets[up]
                capacity[(pixel << _ROW) + up] += amount
                capacity[(above << _ROW) + (up ^ _BACK)] -= amount
                if capacity[(above << _ROW) + (up ^ _BACK)] == 0:
                    parent[pixel] = _NOBODY
                    orphans[lost] = pixel
                    lost += 1
                pixel = above
            excess[pixel] -= amount
            if excess[pixel] == 0:
                parent[pixel] = _NOBODY
                orphans[lost] = pixel
                lost += 1
            # Each orphan gets the parent that is nearest to a root, or leaves the tree
            done = 0
            while done < lost:
                orphan = np.uint64(orphans[done])
                done += 1
                nearest, best = _PAST, 1 << 30
                e = _FIRST
                while e < _PAST:
                    neighbour = orphan + offsets[e]
                    linked = capacity[(neighbour << _ROW) + (e ^ _BACK)] > 0
                    if linked and reached[neighbour] and parent[neighbour] != _NOBODY:
                        # The distance from the root, -1 if the way there ends at an orphan
                        length = 0
                        pixel = neighbour
                        while stamp[pixel] != now:
                            up = np.uint64(parent[pixel])
                            length += 1
                            if up == _ROOT:
                                stamp[pixel] = now
                                depth[pixel] = 1
                                break
                            if up == _NOBODY:
                                length = -1
                                break
                            pixel = pixel + offsets[up]
                        else:
                            length += depth[pixel]
                        if length > 0:
                            if length < best:
                                nearest, best = e, length
                            pixel = neighbour
                            while stamp[pixel] != now:
                                stamp[pixel] = now
                                depth[pixel] = length
                                length -= 1
                                pixel = pixel + offsets[np.uint64(parent[pixel])]
                    e += _NEXT
                if nearest < _PAST:
                    parent[orphan] = nearest
                    stamp[orphan] = now
                    depth[orphan] = best + 1
                    continue
                reached[orphan] = False
                e = _FIRST
                while e < _PAST:
                    neighbour = orphan + offsets[e]
                    if reached[neighbour]:
                        linked = capacity[(neighbour << _ROW) + (e ^ _BACK)] > 0
                        if linked and not queued[neighbour]:
                            queued[neighbour] = True
                            queue[tail] = neighbour
                            tail = tail + 1 if tail + 1 < count else 0
                            waiting += 1
                        if parent[neighbour] == e ^ _BACK:
                            parent[neighbour] = _NOBODY
                            orphans[lost] = neighbour
                            lost += 1
                    e += _NEXT

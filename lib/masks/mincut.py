"""Minimum cuts of 8-connected grids, one after the other with changing terminals.

GrabCut cuts the same grid once a round: the links between pixels stay, and what speaks for
foreground or background at each pixel changes a little. `GridCut` keeps the flow it has found and
continues from it, so that later rounds cost a fraction of the first (Kohli and Torr, "Dynamic graph
cuts", PAMI 2007).

Capacities are whole numbers, hence cuts are exact and the same on every machine. Terminals are kept
as one signed number per pixel, the *excess*: what is left of its link to the source (positive) or
to the sink (negative). Any flow along links that respects their capacities, moved out of the excess
of one end and into that of the other, leaves the set of minimum cuts as it is. That gives the first
round a good start for little: the flow of a grid of half the size, whose pixels are blocks of 2 x 2
and whose links are the sums of those between the blocks, is found first (recursively) and spread
over the fine links. What is left is routed by augmenting paths along search trees that are kept
from path to path (Boykov and Kolmogorov, PAMI 2004), but from the source alone: with a flow to
start from most ways are short, and trees from the sink too cost more than they save.
"""

import math

import numpy as np
from numba import njit

SCALE = 1000
"""Whole units per unit of energy."""

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (-1, 1))
"""Neighbours as (rows, columns); ``(d + 4) % 8`` is the way back."""

_STEPS = np.array(DIRECTIONS, dtype=np.int64)
_COARSEST = 64  # pixels below which a grid is not halved any more
_ROOT, _NOBODY = np.uint64(8), np.uint64(9)  # parents that are no direction
_FIRST, _NEXT, _PAST = np.uint64(0), np.uint64(1), np.uint64(8)  # of directions
_BACK, _ROW = np.uint64(4), np.uint64(3)  # direction ^ _BACK, pixel << _ROW


class GridCut:
    """A grid of pixels with links between neighbours, cut as often as wanted.

    Attributes:
        capacity: int32 [(H + 2) * (W + 2), 8], what can still flow from a pixel in each direction.
            The grid has a frame of one pixel without links. Fill it, through `links`, before the
            first cut.
    """

    def __init__(self, height: int, width: int) -> None:
        """Make a grid without links.

        Args:
            height: rows, at least 1.
            width: columns, at least 1.
        """
        self._shape = height, width
        count = (height + 2) * (width + 2)
        self.capacity = np.zeros((count, len(DIRECTIONS)), dtype=np.int32)
        self._excess = np.zeros(count, dtype=np.int64)
        self._offsets = _STEPS @ np.array([width + 2, 1])
        self._reached = np.zeros(count, dtype=np.bool_)
        self._given: np.ndarray | None = None

    @property
    def links(self) -> np.ndarray:
        """View of ``capacity`` on the pixels alone, [H, W, 8]; write whole units of 1 / SCALE."""
        height, width = self._shape
        return self.capacity.reshape(height + 2, width + 2, -1)[1:-1, 1:-1]

    def foreground(self, gain: np.ndarray) -> np.ndarray:
        """Return the source side of the minimum cut; of several, the one with fewest pixels.

        Args:
            gain: float [H, W], by how much labelling a pixel foreground is cheaper than background.
                Links have the same unit. Values beyond the sum of a pixel's links decide it.

        Returns:
            bool [H, W], where the sum of gains less that of cut links is largest.
        """
        given = np.rint(gain * SCALE).astype(np.int64)
        if self._given is None:
            self._inside(self._excess)[...] += given
            self._start()
        else:
            self._inside(self._excess)[...] += given - self._given
        self._given = given
        self._settle()
        return self._inside(self._reached).copy()

    def _inside(self, values: np.ndarray) -> np.ndarray:
        height, width = self._shape
        return values.reshape(height + 2, width + 2)[1:-1, 1:-1]

    def _start(self) -> None:
        """Take over the flow of the grid of half the size."""
        height, width = self._shape
        if height * width <= _COARSEST:
            return
        coarse = GridCut(math.ceil(height / 2), math.ceil(width / 2))
        _halve(self._excess, self.capacity, height, width, coarse._excess, coarse.capacity, _STEPS)
        before = coarse.capacity.copy()
        coarse._start()
        coarse._settle()
        flow = before - coarse.capacity
        _spread(self._excess, self.capacity, height, width, before, flow, _STEPS)

    def _settle(self) -> None:
        """Turn the flow into a largest one, and the trees into the source side of its cut."""
        count = len(self._excess)
        _push_to_neighbours(self._excess, self.capacity, self._offsets)
        _augment(
            self._excess,
            self.capacity.reshape(-1),
            self._offsets.astype(np.uint64),
            self._reached,
            np.empty(count, dtype=np.uint8),
            np.zeros(count, dtype=np.int32),
            np.zeros(count, dtype=np.int32),
            np.empty(count, dtype=np.uint32),
            np.zeros(count, dtype=np.bool_),
            np.empty(count, dtype=np.uint32),
        )


@njit(cache=True)
def _block_direction(y: int, x: int, dy: int, dx: int) -> int:
    """Return the direction between the blocks of a pixel and its neighbour, -1 within one."""
    rows, columns = ((y + dy) >> 1) - (y >> 1), ((x + dx) >> 1) - (x >> 1)
    if rows == 0:
        return -1 if columns == 0 else (0 if columns == 1 else 4)
    if rows == 1:
        return 1 if columns == 0 else (2 if columns == 1 else 3)
    return 5 if columns == 0 else (6 if columns == -1 else 7)


@njit(cache=True)
def _halve(
    excess: np.ndarray,
    capacity: np.ndarray,
    height: int,
    width: int,
    coarse_excess: np.ndarray,
    coarse_capacity: np.ndarray,
    steps: np.ndarray,
) -> None:
    """Add up pixels and links to those of the grid of half the size."""
    across, coarse_across = width + 2, (width + 1) // 2 + 2
    for y in range(height):
        for x in range(width):
            pixel = (y + 1) * across + x + 1
            block = ((y >> 1) + 1) * coarse_across + (x >> 1) + 1
            coarse_excess[block] += excess[pixel]
            for d in range(8):
                if capacity[pixel, d] > 0:
                    to = _block_direction(y, x, steps[d, 0], steps[d, 1])
                    if to >= 0:
                        coarse_capacity[block, to] += capacity[pixel, d]


@njit(cache=True)
def _spread(
    excess: np.ndarray,
    capacity: np.ndarray,
    height: int,
    width: int,
    total: np.ndarray,
    flow: np.ndarray,
    steps: np.ndarray,
) -> None:
    """Send the flow between blocks along the fine links, in proportion to their capacities."""
    across, coarse_across = width + 2, (width + 1) // 2 + 2
    for y in range(height):
        for x in range(width):
            pixel = (y + 1) * across + x + 1
            block = ((y >> 1) + 1) * coarse_across + (x >> 1) + 1
            for d in range(8):
                if capacity[pixel, d] > 0:
                    to = _block_direction(y, x, steps[d, 0], steps[d, 1])
                    if to >= 0 and flow[block, to] > 0:
                        amount = np.int64(flow[block, to]) * capacity[pixel, d] // total[block, to]
                        other = pixel + steps[d, 0] * across + steps[d, 1]
                        capacity[pixel, d] -= amount
                        capacity[other, (d + 4) & 7] += amount
                        excess[pixel] -= amount
                        excess[other] += amount


@njit(cache=True)
def _push_to_neighbours(excess: np.ndarray, capacity: np.ndarray, offsets: np.ndarray) -> None:
    """Send excess over single links to where it lacks: most flow that is left is that short."""
    for pixel in range(excess.shape[0]):
        for d in range(8):
            if excess[pixel] <= 0:
                break
            if capacity[pixel, d] > 0:
                other = pixel + offsets[d]
                if excess[other] < 0:
                    amount = min(excess[pixel], -excess[other], np.int64(capacity[pixel, d]))
                    capacity[pixel, d] -= amount
                    capacity[other, (d + 4) & 7] += amount
                    excess[pixel] -= amount
                    excess[other] += amount


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

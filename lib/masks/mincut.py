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
over the fine links. What is left to route is local. The rest is done by augmenting paths between
two search trees (Boykov and Kolmogorov, PAMI 2004).
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
_FREE, _SOURCE, _SINK = 0, 1, 2  # trees
_TERMINAL, _NOBODY = 8, 9  # parents that are no direction


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
        self._tree = np.zeros(count, dtype=np.uint8)
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
        return self._inside(self._tree) == _SOURCE

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
        """Turn the flow into a largest one, and the trees into the two sides of its cut."""
        count = len(self._excess)
        _push_to_neighbours(self._excess, self.capacity, self._offsets)
        _augment(
            self._excess,
            self.capacity,
            self._offsets,
            self._tree,
            np.empty(count, dtype=np.uint8),
            np.zeros(count, dtype=np.int32),
            np.zeros(count, dtype=np.int32),
            np.empty(count, dtype=np.int32),
            np.zeros(count, dtype=np.bool_),
            np.empty(count, dtype=np.int32),
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
    tree: np.ndarray,
    parent: np.ndarray,
    depth: np.ndarray,
    stamp: np.ndarray,
    queue: np.ndarray,
    queued: np.ndarray,
    orphans: np.ndarray,
) -> None:
    """Find a largest flow; in the end ``tree`` is _SOURCE where excess can still come from.

    A pixel's ``parent`` is the direction of the next pixel on the way to its tree's root. ``depth``
    is its distance from the root as it was at the time ``stamp``. ``queue`` is a ring of the
    pixels at which trees may grow.

    It is one function because handing ten arrays to the steps costs a third of the whole time.
    """
    count = excess.shape[0]
    head, tail, waiting = 0, 0, 0
    for pixel in range(count):
        tree[pixel] = _FREE
        parent[pixel] = _NOBODY
        if excess[pixel] != 0:
            tree[pixel] = _SOURCE if excess[pixel] > 0 else _SINK
            parent[pixel] = _TERMINAL
            depth[pixel] = 1
            queue[tail] = pixel
            queued[pixel] = True
            tail = tail + 1 if tail + 1 < count else 0
            waiting += 1
    now = 0
    current = -1
    while True:
        # The next pixel at which a tree may grow
        while current < 0 and waiting > 0:
            pixel = queue[head]
            head = head + 1 if head + 1 < count else 0
            waiting -= 1
            queued[pixel] = False
            if tree[pixel] != _FREE:
                current = pixel
        if current < 0:
            return
        # Grow there until the trees touch
        own = tree[current]
        meeting = -1
        for d in range(8):
            other = current + offsets[d]
            back = (d + 4) & 7
            room = capacity[current, d] if own == _SOURCE else capacity[other, back]
            if room <= 0:
                continue
            if tree[other] == _FREE:
                tree[other] = own
                parent[other] = back
                stamp[other] = stamp[current]
                depth[other] = depth[current] + 1
                if not queued[other]:
                    queued[other] = True
                    queue[tail] = other
                    tail = tail + 1 if tail + 1 < count else 0
                    waiting += 1
            elif tree[other] != own:
                meeting = d
                break
            elif stamp[other] <= stamp[current] and depth[other] > depth[current]:
                parent[other] = back  # a shorter way to the root
                stamp[other] = stamp[current]
                depth[other] = depth[current] + 1
        if meeting < 0:
            current = -1
            continue
        now += 1
        start, end, d = current, current + offsets[meeting], meeting
        if own == _SINK:
            start, end, d = end, start, (meeting + 4) & 7
        # How much fits through the whole path
        amount = np.int64(capacity[start, d])
        pixel = start
        while parent[pixel] != _TERMINAL:
            up = parent[pixel]
            pixel += offsets[up]
            amount = min(amount, np.int64(capacity[pixel, (up + 4) & 7]))
        amount = min(amount, excess[pixel])
        pixel = end
        while parent[pixel] != _TERMINAL:
            up = parent[pixel]
            amount = min(amount, np.int64(capacity[pixel, up]))
            pixel += offsets[up]
        amount = min(amount, -excess[pixel])
        # Send it; pixels whose link to their parent is now full are orphans
        lost = 0
        capacity[start, d] -= amount
        capacity[end, (d + 4) & 7] += amount
        pixel = start
        while parent[pixel] != _TERMINAL:
            up = parent[pixel]
            above = pixel + offsets[up]
            capacity[pixel, up] += amount
            capacity[above, (up + 4) & 7] -= amount
            if capacity[above, (up + 4) & 7] == 0:
                parent[pixel] = _NOBODY
                orphans[lost] = pixel
                lost += 1
            pixel = above
        excess[pixel] -= amount
        if excess[pixel] == 0:
            parent[pixel] = _NOBODY
            orphans[lost] = pixel
            lost += 1
        pixel = end
        while parent[pixel] != _TERMINAL:
            up = parent[pixel]
            above = pixel + offsets[up]
            capacity[above, (up + 4) & 7] += amount
            capacity[pixel, up] -= amount
            if capacity[pixel, up] == 0:
                parent[pixel] = _NOBODY
                orphans[lost] = pixel
                lost += 1
            pixel = above
        excess[pixel] += amount
        if excess[pixel] == 0:
            parent[pixel] = _NOBODY
            orphans[lost] = pixel
            lost += 1
        # Each orphan gets the parent of its tree that is nearest to a root, or goes free
        done = 0
        while done < lost:
            orphan = orphans[done]
            done += 1
            own = tree[orphan]
            nearest, best = -1, 1 << 30
            for d in range(8):
                other = orphan + offsets[d]
                if tree[other] != own or parent[other] == _NOBODY:
                    continue
                room = capacity[other, (d + 4) & 7] if own == _SOURCE else capacity[orphan, d]
                if room <= 0:
                    continue
                # The distance from the root, -1 if the way there ends at an orphan
                length = 0
                pixel = other
                while stamp[pixel] != now:
                    up = parent[pixel]
                    length += 1
                    if up == _TERMINAL:
                        stamp[pixel] = now
                        depth[pixel] = 1
                        break
                    if up == _NOBODY:
                        length = -1
                        break
                    pixel += offsets[up]
                else:
                    length += depth[pixel]
                if length < 0:
                    continue
                if length < best:
                    nearest, best = d, length
                pixel = other
                while stamp[pixel] != now:
                    stamp[pixel] = now
                    depth[pixel] = length
                    length -= 1
                    pixel += offsets[parent[pixel]]
            if nearest >= 0:
                parent[orphan] = nearest
                stamp[orphan] = now
                depth[orphan] = best + 1
                continue
            tree[orphan] = _FREE
            for d in range(8):
                other = orphan + offsets[d]
                if tree[other] != own:
                    continue
                room = capacity[other, (d + 4) & 7] if own == _SOURCE else capacity[orphan, d]
                if room > 0 and not queued[other]:
                    queued[other] = True
                    queue[tail] = other
                    tail = tail + 1 if tail + 1 < count else 0
                    waiting += 1
                if parent[other] == (d + 4) & 7:
                    parent[other] = _NOBODY
                    orphans[lost] = other
                    lost += 1
        if tree[current] == _FREE:
            current = -1

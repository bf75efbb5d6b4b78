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
over the fine links. What is then left has short ways and some that cross half the picture: it is
pushed (`lib.masks.flow_pushes`). In later rounds little is left, which is found a way path by path
(`lib.masks.flow_trees`).
"""

import math

import numpy as np
from numba import njit

from lib.masks.flow_pushes import push
from lib.masks.flow_trees import augment

SCALE = 1000
"""Whole units per unit of energy."""

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (-1, 1))
"""Neighbours as (rows, columns); ``(d + 4) % 8`` is the way back."""

_STEPS = np.array(DIRECTIONS, dtype=np.int64)
_COARSEST = 64  # pixels below which a grid is not halved any more


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
            self._find_flow()
        else:
            self._inside(self._excess)[...] += given - self._given
            _push_to_neighbours(self._excess, self.capacity, self._offsets)
            augment(self._excess, self.capacity, self._offsets, self._reached)
        self._given = given
        return self._inside(self._reached).copy()

    def _inside(self, values: np.ndarray) -> np.ndarray:
        height, width = self._shape
        return values.reshape(height + 2, width + 2)[1:-1, 1:-1]

    def _find_flow(self) -> None:
        """Find a largest flow, from that of the grid of half the size."""
        height, width = self._shape
        if height * width > _COARSEST:
            half = GridCut(math.ceil(height / 2), math.ceil(width / 2))
            _halve(self._excess, self.capacity, height, width, half._excess, half.capacity, _STEPS)
            before = half.capacity.copy()
            half._find_flow()
            flow = before - half.capacity
            _spread(self._excess, self.capacity, height, width, before, flow, _STEPS)
        _push_to_neighbours(self._excess, self.capacity, self._offsets)
        push(self._excess, self.capacity, self._offsets, self._reached)


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

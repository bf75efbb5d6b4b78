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
over the fine links. What is then left is found path by path (`lib.masks.grabcut.flow_trees`).
"""

import math
from pathlib import Path

import numpy as np

from lib.compiled import INT, CFile, read, written
from lib.masks.grabcut.flow_trees import augment

SCALE = 1000
"""Whole units per unit of energy."""

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (-1, 1))
"""Neighbours as (rows, columns); ``(d + 4) % 8`` is the way back."""

_STEPS = np.array(DIRECTIONS, dtype=np.int64)
_COARSEST = 64  # pixels below which a grid is not halved any more

_C = CFile(Path(__file__).with_name("cut.c"))
_EXCESS, _CAPACITY, _WAYS = written(np.int64, 1), written(np.int32, 2), read(np.int64, 2)
_halve = _C.function(
    "halve",
    [read(np.int64, 1), read(np.int32, 2), INT, INT, _EXCESS, _CAPACITY, _WAYS],
)
_spread = _C.function(
    "spread",
    [_EXCESS, _CAPACITY, INT, INT, read(np.int32, 2), read(np.int32, 2), _WAYS],
)
_push_to_neighbours = _C.function(
    "push_to_neighbours", [_EXCESS, _CAPACITY, read(np.int64, 1), INT]
)


class GridCut:
    """A grid of pixels with links between neighbours, cut as often as wanted.

    Attributes:
        shape: (H, W).
        capacity: int32 [(H + 2) * (W + 2), 8], what can still flow from a pixel in each direction.
            The grid has a frame of one pixel without links. Fill it before the first cut, with
            whole units of 1 / SCALE (`lib.masks.grabcut.links.fill`).
    """

    def __init__(self, height: int, width: int) -> None:
        """Make a grid without links.

        Args:
            height: rows, at least 1.
            width: columns, at least 1.
        """
        self.shape = height, width
        count = (height + 2) * (width + 2)
        self.capacity = np.zeros((count, len(DIRECTIONS)), dtype=np.int32)
        self._excess = np.zeros(count, dtype=np.int64)
        self._offsets = _STEPS @ np.array([width + 2, 1])
        self._reached = np.zeros(count, dtype=np.bool_)
        self._given: np.ndarray | None = None

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
            self._augment()
        self._given = given
        return self._inside(self._reached).copy()

    def _inside(self, values: np.ndarray) -> np.ndarray:
        height, width = self.shape
        return values.reshape(height + 2, width + 2)[1:-1, 1:-1]

    def _find_flow(self) -> None:
        """Find a largest flow, from that of the grid of half the size."""
        height, width = self.shape
        if height * width > _COARSEST:
            half = GridCut(math.ceil(height / 2), math.ceil(width / 2))
            _halve(self._excess, self.capacity, height, width, half._excess, half.capacity, _STEPS)
            total = half.capacity.copy()
            half._find_flow()
            _spread(self._excess, self.capacity, height, width, total, half.capacity, _STEPS)
        self._augment()

    def _augment(self) -> None:
        _push_to_neighbours(self._excess, self.capacity, self._offsets, len(self._excess))
        augment(self._excess, self.capacity, self._offsets, self._reached)

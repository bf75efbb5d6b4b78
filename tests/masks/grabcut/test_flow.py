from itertools import pairwise, product

import numpy as np
import pytest

from lib.masks.grabcut.cut import DIRECTIONS
from lib.masks.grabcut.flow_trees import augment

HEIGHT, WIDTH = 20, 27
ACROSS = WIDTH + 2
OFFSETS = np.array([dy * ACROSS + dx for dy, dx in DIRECTIONS])


def framed(values: np.ndarray) -> np.ndarray:
    """Values of pixels with a frame of zeros, flat."""
    return np.pad(values, 1).ravel()


def random_flow(seed: int, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Excess, and room as it is amid a flow: not the same in both directions."""
    rng = np.random.default_rng(seed)
    excess = framed(rng.integers(-60, 61, (HEIGHT, WIDTH))).astype(np.int64)
    capacity = np.zeros((len(excess), 8), dtype=np.int32)
    inside = framed(np.ones((HEIGHT, WIDTH), dtype=bool))
    for pixel, d in product(np.flatnonzero(inside), range(8)):
        if inside[pixel + OFFSETS[d]] and rng.random() < share:
            capacity[pixel, d] = rng.integers(0, 40)
    return excess, capacity


def corridor(length: int) -> tuple[np.ndarray, np.ndarray]:
    """All excess at one end of a long way that winds through the grid, all want at the other."""
    excess = np.zeros((HEIGHT + 2) * ACROSS, dtype=np.int64)
    capacity = np.zeros((len(excess), 8), dtype=np.int32)
    rows = [range(WIDTH) if y % 2 == 0 else reversed(range(WIDTH)) for y in range(HEIGHT)]
    way = [(y + 1) * ACROSS + x + 1 for y, row in enumerate(rows) for x in row][:length]
    for a, b in pairwise(way):
        d = int(np.flatnonzero(b - a == OFFSETS)[0])
        capacity[a, d] = capacity[b, d ^ 4] = 9
    excess[way[0]], excess[way[-1]] = 7, -5
    return excess, capacity


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_flow_is_largest_where_nothing_can_leave_what_excess_reaches(share: float) -> None:
    excess, capacity = random_flow(3, share=share)
    left, room = excess.copy(), capacity.copy()
    reached = np.zeros(len(excess), dtype=bool)
    augment(left, room, OFFSETS, reached)
    assert (reached[left > 0]).all() and not (reached[left < 0]).any()
    for d in range(8):
        assert not room[reached & ~np.roll(reached, -OFFSETS[d]), d].any()
    assert left.sum() == excess.sum()
    assert np.array_equal(excess - left, (capacity - room).sum(axis=1))


@pytest.mark.parametrize("length", [2, 40, HEIGHT * WIDTH])
def test_a_way_through_the_whole_grid_is_found(length: int) -> None:
    excess, capacity = corridor(length)
    reached = np.zeros(len(excess), dtype=bool)
    augment(excess, capacity, OFFSETS, reached)
    assert (excess.sum(), excess.min()) == (2, 0)  # 2 of the 7 are left, anywhere on the way
    assert reached.sum() == length  # there is room left for more

from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from lib.masks.grabcut.cut import DIRECTIONS, SCALE, GridCut
from tests.masks.grabcut.grids import links_in

FORWARD = ((0, 1), (1, 0), (1, 1), (1, -1))
Shape = tuple[int, int]
SHAPES = [
    (1, 1),
    (2, 2),
    (8, 8),  # the largest that is not halved
    (8, 9),
    (1, 200),
    (131, 1),
    (24, 19),
]
STRONGEST = 50 * SCALE  # the most that a link weighs in GrabCut
KINDS = ["even", "ties", "sparse", "strong", "scene"]

Links = dict[tuple[int, int], int]


def links_of(height: int, width: int, kind: str, rng: np.random.Generator) -> Links:
    """Weights in whole units by pair of neighbours, numbered row by row, each pair once."""
    found: Links = {}
    scene = np.cumsum(rng.integers(-2, 3, (height, width)), axis=1)
    for y, x in product(range(height), range(width)):
        for dy, dx in FORWARD:
            if y + dy < height and 0 <= x + dx < width:
                weight = {
                    "even": int(rng.integers(0, STRONGEST + 1)),
                    "ties": int(rng.integers(0, 3)) * SCALE,
                    "sparse": int(rng.integers(1, STRONGEST // 2)) * int(rng.random() < 0.4),
                    "strong": int(rng.integers(STRONGEST * 4 // 5, STRONGEST + 1)),
                    "scene": int(
                        STRONGEST * np.exp(-0.4 * (scene[y, x] - scene[y + dy, x + dx]) ** 2)
                    ),
                }[kind]
                found[y * width + x, (y + dy) * width + x + dx] = weight
    return found


def gain_of(height: int, width: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Gains in units of energy."""
    size = (height, width)
    if kind == "ties":
        return rng.integers(-4, 5, size).astype(float)
    if kind == "scene":
        rows, columns = np.mgrid[:height, :width]
        inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(size) / 2.5) ** 2
        return np.round(rng.normal(np.where(inside, 30, -30), 40), 3)
    return np.round(rng.normal(0, {"even": 120, "sparse": 30, "strong": 90}[kind], size), 3)


def grid_with(links: Links, height: int, width: int) -> GridCut:
    grid = GridCut(height, width)
    found = links_in(grid)
    for (a, b), weight in links.items():
        (y, x), (other_y, other_x) = divmod(a, width), divmod(b, width)
        way = DIRECTIONS.index((other_y - y, other_x - x))
        back = DIRECTIONS.index((y - other_y, x - other_x))
        found[y, x, way] = found[other_y, other_x, back] = weight
    return grid


def worth(labels: np.ndarray, gain: np.ndarray, links: Links) -> int:
    """The sum of gains less that of cut links, in whole units."""
    flat = labels.ravel()
    cut = sum(weight for (a, b), weight in links.items() if flat[a] != flat[b])
    return int(np.rint(gain.ravel() * SCALE)[flat].sum()) - cut


def by_maximum_flow(gain: np.ndarray, links: Links) -> tuple[np.ndarray, int]:
    """The smallest source side of a minimum cut, and its worth, found by scipy."""
    whole = np.rint(gain.ravel() * SCALE).astype(int)
    count = len(whole)
    source, sink = count, count + 1
    edges = [(source, p, w) for p, w in enumerate(whole) if w > 0]
    edges += [(p, sink, -w) for p, w in enumerate(whole) if w < 0]
    edges += [(a, b, w) for (a, b), w in links.items()]
    edges += [(b, a, w) for (a, b), w in links.items()]
    rows, columns, weights = np.array(edges, dtype=np.int32).reshape(-1, 3).T
    capacity = csr_array((weights, (rows, columns)), shape=(count + 2, count + 2))
    result = maximum_flow(capacity, source, sink)
    residual = csr_array(capacity - result.flow)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    labels = np.zeros(count + 2, dtype=bool)
    labels[reached] = True
    return labels[:count].reshape(gain.shape), int(whole.clip(0).sum()) - result.flow_value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cuts_are_the_smallest_of_the_minimum_cuts_that_scipy_finds(
    shape: Shape, kind: str
) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        links, gain = links_of(*shape, kind, rng), gain_of(*shape, kind, rng)
        found = grid_with(links, *shape).foreground(gain)
        labels, largest = by_maximum_flow(gain, links)
        assert worth(found, gain, links) == worth(labels, gain, links) == largest
        assert np.array_equal(found, labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 30), (9, 8), (23, 30)], ids=str)
def test_a_later_cut_is_that_of_scipy_too(shape: Shape, kind: str) -> None:
    rng = np.random.default_rng(4)
    links, gain = links_of(*shape, kind, rng), gain_of(*shape, kind, rng)
    grid = grid_with(links, *shape)
    other = gain_of(*shape, kind, rng)
    small = np.round(rng.normal(0, 3, shape), 3)
    part = np.where(rng.random(shape) < 0.2, other, gain)
    zero = np.zeros(shape)
    for given in (gain, gain + small, part, part, -part, zero, 50 * gain, other, zero - 9):
        assert np.array_equal(grid.foreground(given), by_maximum_flow(given, links)[0])

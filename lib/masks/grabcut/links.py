"""What the links between neighbouring pixels weigh: GrabCut's smoothness term, as in OpenCV."""

import math
from pathlib import Path

import numpy as np

from lib.compiled import INT, CFile, read, written
from lib.masks.grabcut.cut import DIRECTIONS, SCALE, GridCut

GAMMA = 50.0
"""The most that a link can weigh, as in OpenCV."""

_STEPS = np.array(DIRECTIONS, dtype=np.int64)
_LARGEST_DIFFERENCE = 3 * 255**2

_C = CFile(Path(__file__).with_name("links.c"))
_IMAGE, _WAYS = [read(np.uint8, 3), INT, INT], read(np.int64, 2)
_sum_of_differences = _C.function("sum_of_differences", [*_IMAGE, _WAYS], returns=INT)
_fill_links = _C.function(
    "fill_links",
    [
        *(*_IMAGE, INT, INT, INT, INT, read(np.int32, 2), INT, _WAYS),
        *(written(np.int32, 2), written(np.float64, 2)),
    ],
)


def link_weights(image: np.ndarray) -> np.ndarray:
    """Return what links weigh by the squared difference of the colours that they join.

    OpenCV: gamma / length * exp(-beta * difference), with beta such that the mean squared
    difference of all neighbours in the image gives exp(-1 / 2), and 0 for an image of one colour.

    Args:
        image: uint8 [H, W, 3], C-contiguous.

    Returns:
        int32 [2, N], whole units of 1 / SCALE, for straight and diagonal links. Larger differences
        weigh what the last one does.
    """
    beta = smoothness(image)
    nothing = math.log(2 * GAMMA * SCALE) / beta if beta > 0 else 0  # from there on less than 1/2
    straight = GAMMA * np.exp(-beta * np.arange(min(math.ceil(nothing), _LARGEST_DIFFERENCE) + 1))
    weights = np.stack([straight, straight / np.sqrt(2)]) * SCALE
    return np.rint(weights).astype(np.int32)


def smoothness(image: np.ndarray) -> float:
    """Return OpenCV's beta: half the inverse of the mean squared difference of neighbours.

    Args:
        image: uint8 [H, W, 3], C-contiguous.

    Returns:
        beta, 0 for an image without differences.
    """
    height, width = image.shape[:2]
    pairs = 4 * width * height - 3 * width - 3 * height + 2
    total = _sum_of_differences(image, height, width, _STEPS)
    return pairs / (2 * total) if total > 0 else 0.0


def fill(grid: GridCut, image: np.ndarray, top: int, left: int, weights: np.ndarray) -> np.ndarray:
    """Write the links inside a rectangle into a grid of its size.

    Args:
        grid: without links yet.
        image: uint8 [H, W, 3], C-contiguous.
        top: first row of the rectangle.
        left: first column.
        weights: see `link_weights`.

    Returns:
        float [h, w], the sum of the links that lead from each pixel out of the rectangle.
    """
    h, w = grid.shape
    outward = np.zeros((h, w))
    place = *image.shape[:2], top, left, h, w
    _fill_links(image, *place, weights, weights.shape[1], _STEPS, grid.capacity, outward)
    return outward / SCALE

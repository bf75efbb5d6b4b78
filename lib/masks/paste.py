"""From a mask within its box to a mask within its image."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

MASK_FROM = 0.5
"""A pixel belongs to a mask from this probability on."""


class Window(NamedTuple):
    """The pixels of an image whose centres lie in a box, and a map's values there."""

    rows: slice
    columns: slice
    values: np.ndarray  # float32 [rows, columns]

    def at_least(self, threshold: float, height: int, width: int) -> np.ndarray:
        """Return the pixels of the image with this value or more, bool ``[height, width]``."""
        mask = np.zeros((height, width), dtype=bool, order="F")  # as run lengths go: fast to encode
        mask[self.rows, self.columns] = self.values >= threshold
        return mask


def paste(probability: Tensor, box: Tensor, height: int, width: int) -> np.ndarray:
    """Return the mask that a probability map within a box stands for.

    Outside the box nothing is set; see :func:`sample` for what the arguments are.

    Returns:
        bool ``[height, width]``.
    """
    return sample(probability, box, height, width).at_least(MASK_FROM, height, width)


def sample(probability: Tensor, box: Tensor, height: int, width: int) -> Window:
    """Return the values of a probability map within a box, at the pixels of an image.

    The map is sampled at the centres of the image's pixels, without rounding the box, so that
    small masks keep their place and size.

    Args:
        probability: ``[S, S]``, values at the centres of S x S cells that tile the box.
        box: ``[4]`` xyxy, pixels of the image; may reach beyond it.
        height: of the image.
        width: of the image.
    """
    x1, y1, x2, y2 = box.tolist()
    columns, xs = _centres(x1, x2, width)
    rows, ys = _centres(y1, y2, height)
    if not len(xs) or not len(ys):
        return Window(slice(0, 0), slice(0, 0), np.zeros((0, 0), dtype=np.float32))
    grid = np.empty((1, len(ys), len(xs), 2), dtype=np.float32)
    grid[..., 0] = xs
    grid[..., 1] = ys[:, None]
    values = grid_sample(
        probability[None, None].float().cpu(),
        torch.from_numpy(grid),
        padding_mode="border",
        align_corners=False,
    )
    return Window(rows, columns, values[0, 0].numpy())


def _centres(low: float, high: float, size: int) -> tuple[slice, np.ndarray]:
    """Return the pixels whose centres lie between two edges, and where: float32, -1 to 1."""
    first, last = max(math.floor(low), 0), min(math.ceil(high), size)
    if first >= last or low == high:
        return slice(0, 0), np.zeros(0, dtype=np.float32)
    with np.errstate(all="ignore"):  # a box may be too narrow for single precision
        places = (np.arange(first, last, dtype=np.float32) + 0.5 - low) / (high - low) * 2 - 1
    inside = np.flatnonzero(np.abs(places) <= 1)  # without a gap: places ascend
    if not len(inside):
        return slice(0, 0), places[:0]
    begin, end = int(inside[0]), int(inside[-1]) + 1
    return slice(first + begin, first + end), places[begin:end]

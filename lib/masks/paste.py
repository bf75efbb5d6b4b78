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
    """A part of an image and the map's values there; beyond it the map says nothing."""

    rows: slice
    columns: slice
    values: np.ndarray  # float32 [rows, columns]; -inf at pixels whose centre is outside the box

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
    x1, y1, x2, y2 = (float(v) for v in box)
    left, right = max(math.floor(x1), 0), min(math.ceil(x2), width)
    top, bottom = max(math.floor(y1), 0), min(math.ceil(y2), height)
    if left >= right or top >= bottom:
        return Window(slice(0), slice(0), np.zeros((0, 0), dtype=np.float32))
    xs = (torch.arange(left, right) + 0.5 - x1) / (x2 - x1) * 2 - 1
    ys = (torch.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)[None]
    values = grid_sample(
        probability[None, None].float().cpu(), grid, padding_mode="border", align_corners=False
    )
    inside = (ys.abs() <= 1)[:, None] & (xs.abs() <= 1)
    values = values[0, 0].masked_fill(~inside, -math.inf)
    return Window(slice(top, bottom), slice(left, right), values.numpy())

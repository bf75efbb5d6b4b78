"""From a mask within its box to a mask within its image."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

MASK_FROM = 0.5
"""A pixel belongs to a mask from this probability on."""


def paste(probability: Tensor, box: Tensor, height: int, width: int) -> np.ndarray:
    """Return the mask that a probability map within a box stands for.

    The map is sampled at the centres of the image's pixels, without rounding the box, so that
    small masks keep their place and size. Outside the box nothing is set.

    Args:
        probability: ``[S, S]``, values at the centres of S x S cells that tile the box.
        box: ``[4]`` xyxy, pixels of the image; may reach beyond it.
        height: of the image.
        width: of the image.

    Returns:
        bool ``[height, width]``.
    """
    mask = np.zeros((height, width), dtype=bool)
    x1, y1, x2, y2 = (float(v) for v in box)
    left, right = max(math.floor(x1), 0), min(math.ceil(x2), width)
    top, bottom = max(math.floor(y1), 0), min(math.ceil(y2), height)
    if left >= right or top >= bottom:
        return mask
    xs = (torch.arange(left, right) + 0.5 - x1) / (x2 - x1) * 2 - 1
    ys = (torch.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)[None]
    values = grid_sample(
        probability[None, None].float().cpu(), grid, padding_mode="border", align_corners=False
    )
    inside = (ys.abs() <= 1)[:, None] & (xs.abs() <= 1)
    mask[top:bottom, left:right] = ((values[0, 0] >= MASK_FROM) & inside).numpy()
    return mask

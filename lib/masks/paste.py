"""From a mask within its box to a mask within its image."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from pycocotools import mask as coco_mask
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

    def encode(self, threshold: float, height: int, width: int) -> dict[str, Any]:
        """Return the run-length code of ``at_least``, without drawing the rest of the image.

        Returns:
            ``{"size": [height, width], "counts": str}``, as ``lib.masks.rle.encode`` gives it.
        """
        rows, columns = self.values.shape
        # Run lengths go down the columns. A gap after each keeps its runs apart from the next's.
        gapped = np.zeros(1 + columns * (rows + 1), dtype=bool)
        gapped[1:].reshape(columns, rows + 1)[:, :rows] = (self.values >= threshold).T
        column, row = np.divmod(np.flatnonzero(gapped[1:] != gapped[:-1]), rows + 1)
        changes = (column + self.columns.start) * height + row + self.rows.start
        if rows == height:  # the next column follows at once: what touches is one run
            apart = changes[1:-1:2] != changes[2::2]
            changes = changes[np.r_[True, np.repeat(apart, 2), True]] if len(changes) else changes
        ends = np.empty(len(changes) + 2, dtype=np.int64)
        ends[0], ends[1:-1], ends[-1] = 0, changes, height * width
        counts = ends[1:] - ends[:-1]
        counts = counts[:-1] if counts[-1] == 0 else counts
        code = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return {"size": [height, width], "counts": code["counts"].decode("ascii")}


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

"""Mask targets of RoIs straight from run lengths: no mask of a picture's size exists anywhere.

A mask's run lengths say where, along its columns, it begins and ends: a few hundred positions for
an object of COCO. Whether a pixel belongs to it is then the parity of the positions up to the
pixel, found by binary search; all pixels that all RoIs of a batch need are looked up in one search,
on the device that has the positions, without waiting for it. Against decoding masks in the loader,
sending and resizing them and cutting RoIs out, this saves the processor's time and the memory.

A cell of the target belongs to the mask if the mask covers half of it or more, of which a few
pixels in a regular grid are asked. Masks are read in their own resolution: one that is resized with
its picture by nearest neighbours, as torchvision does it, moves by up to half a pixel.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lib.data.segmentation import compressed, run_lengths

SAMPLES = 3
"""Pixels that are asked of a cell along each axis; with an odd number there are no ties."""

TOGETHER = 512
"""RoIs that are cut at a time, which bounds the memory for the pixels' numbers."""


class Runs(NamedTuple):
    """Masks of some pictures' instances as positions at which they begin and end.

    Attributes:
        edges: ``[2, T]`` int64: the number of the instance, ascending, and a position in its
            picture, counted down its columns, ascending within the mask. From each position on the
            mask is what it was not before; an instance without a position has none or an empty one.
        frames: ``[N, 3]`` int64: the height and width of each instance's picture, and 1 if it was
            mirrored after the mask was made, else 0.
    """

    edges: Tensor
    frames: Tensor


def edges_of(segmentation: dict[str, Any] | list[Any], height: int, width: int) -> np.ndarray:
    """Return the positions at which a mask begins and ends, int64 ``[T]``, ascending.

    Args:
        segmentation: compressed or plain run lengths, polygons, or an empty list.
        height: of the picture.
        width: of the picture.

    Raises:
        ValueError: if the run lengths are of another size than the picture.
    """
    if not segmentation:
        return np.zeros(0, np.int64)
    code = compressed(segmentation, height, width)
    runs = run_lengths(code["counts"])
    if list(code["size"]) != [height, width]:
        raise ValueError(
            f"A run-length mask is of size {list(code['size'])} (height, width), its image of "
            f"[{height}, {width}]: the mask belongs to another image or another scale."
        )
    edges = np.cumsum(runs)[:-1]
    # an empty run is two edges at one place, which is none
    return edges if len(runs) < 2 or (runs[1:] > 0).all() else _without_pairs(edges)


def pack(edges: Sequence[np.ndarray], *, height: int, width: int, mirrored: bool = False) -> Runs:
    """Return the masks of one picture.

    Args:
        edges: of each instance, from `edges_of`; empty for one without a mask.
        height: of the picture.
        width: of the picture.
        mirrored: whether the picture, and boxes in it, are mirrored, and the masks are not.
    """
    owners = np.repeat(np.arange(len(edges)), [len(e) for e in edges])
    places = np.concatenate([np.zeros(0, np.int64), *edges])
    frames = torch.tensor([[height, width, int(mirrored)]] * len(edges), dtype=torch.int64)
    return Runs(torch.from_numpy(np.stack([owners, places])), frames.reshape(-1, 3))


def join(parts: Sequence[Runs]) -> Runs:
    """Return the masks of several pictures, in their order, numbered anew."""
    edges, first = [], 0
    for runs in parts:
        owners, places = runs.edges
        edges.append(torch.stack([owners + first, places]))
        first += len(runs.frames)
    return Runs(torch.cat(edges, 1), torch.cat([runs.frames for runs in parts]))


def crop(runs: Runs, rows: Tensor, boxes: Tensor, size: int, *, samples: int = SAMPLES) -> Tensor:
    """Return the part of each RoI's mask that lies in the RoI, resampled and binary.

    Args:
        runs: the masks.
        rows: ``[R]`` int64, the instance of each RoI.
        boxes: ``[R, 4]`` xyxy, in pixels of the mask's picture, mirrored if that is.
        size: side S of the targets.
        samples: of each cell along each axis.

    Returns:
        ``[R, S, S]`` float32, 0 or 1. There is no mask beyond the picture.
    """
    if not len(rows):
        return boxes.new_zeros((0, size, size), dtype=torch.float32)
    stride = (runs.frames[:, 0] * runs.frames[:, 1]).max() + 1
    keys = runs.edges[0] * stride + runs.edges[1]
    steps = (torch.arange(size * samples, device=boxes.device) + 0.5) / (size * samples)
    parts = []
    for row, box in zip(rows.split(TOGETHER), boxes.float().split(TOGETHER), strict=True):
        height, width, mirrored = runs.frames[row, :, None].unbind(1)
        low, high = box[:, :2, None], box[:, 2:, None]
        x, y = (low + (high - low) * steps).floor().long().unbind(1)
        there = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
        x = torch.where(mirrored > 0, width - 1 - x, x)
        first = (row * stride)[:, None, None]
        pixels = first + (x * height)[:, None] + y[:, :, None]
        edges = torch.searchsorted(keys, pixels, right=True) - torch.searchsorted(keys, first)
        inside = (edges % 2 == 1) & there
        cells = inside.view(len(row), size, samples, size, samples)
        parts.append((2 * cells.sum((2, 4)) >= samples**2).float())
    return torch.cat(parts)


def _without_pairs(edges: np.ndarray) -> np.ndarray:
    places, counts = np.unique(edges, return_counts=True)
    return places[counts % 2 == 1]

"""Objects cut out of their scenes, one at a time, for pre-training."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import roi_align

from lib.data.coco import CocoSet
from lib.data.pictures.images import read_image
from lib.seeds import derive

STORED = 96
"""Side, in pixels, of the cut-outs kept in memory."""

CONTEXT = 2.0
"""Side of a stored cut-out over the longer side of its box."""

SHIFT = 0.1
"""A view moves by up to this share of the box's longer side."""

JITTER = 0.15
"""RoIs move and scale by up to this share of the box; their IoU with it stays above one half."""


@dataclass(frozen=True)
class CutOuts:
    """Squares around boxes.

    Attributes:
        pictures: uint8 ``[N, 3, STORED, STORED]`` RGB.
        labels: ``[N]`` int64, 0 for background.
        sides: ``[N, 2]`` float32, width and height of the box in the picture, centred in it.
    """

    pictures: Tensor
    labels: Tensor
    sides: Tensor


@dataclass(frozen=True)
class Views:
    """What the network sees of some cut-outs.

    Attributes:
        images: float32 ``[B, 3, S, S]`` in 0..1.
        boxes: ``[B, 4]`` xyxy in pixels of the views.
        labels: ``[B]`` int64, 0 for background.
    """

    images: Tensor
    boxes: Tensor
    labels: Tensor


def cut_out(coco: CocoSet, *, seed: int) -> CutOuts:
    """Cut out every object of a set, and half as many patches of background.

    Args:
        coco: the training set; crowd regions are left out.
        seed: what the places of the patches derive from.

    Raises:
        ValueError: if the set has no boxes.
    """
    pictures, labels, sides = [], [], []
    for record in coco.images:
        image = read_image(record)
        random = np.random.default_rng(derive(seed, "patches", record.id))
        instances = [i for i in coco.instances(record.id) if not i.iscrowd]
        boxes = np.array([i.box for i in instances]).reshape(-1, 4)
        patches = _background(boxes, image.shape[1], image.shape[0], random)
        for box, label in [*((i.box, i.label) for i in instances), *((p, 0) for p in patches)]:
            x1, y1, x2, y2 = box
            longer = max(x2 - x1, y2 - y1)
            pictures.append(_square(image, np.array(box), CONTEXT * longer))
            labels.append(label)
            sides.append(np.array([x2 - x1, y2 - y1]) / longer * STORED / CONTEXT)
    if not pictures:
        raise ValueError("The training set has no boxes, so there is nothing to pre-train on.")
    return CutOuts(
        torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2),
        torch.tensor(labels),
        torch.tensor(np.array(sides), dtype=torch.float32),
    )


def _background(
    boxes: np.ndarray, width: int, height: int, random: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """Return squares (xyxy) that no box covers by 30 % or more; half as many tries as boxes."""
    patches = []
    for _ in range(len(boxes) // 2):
        side = float(np.exp(random.uniform(np.log(12), np.log(min(width, height) / 2))))
        x, y = random.uniform(0, 1, 2) * (width - side, height - side)
        low = np.maximum((x, y), boxes[:, :2])
        high = np.minimum((x + side, y + side), boxes[:, 2:])
        if ((high - low).clip(0).prod(1) / side**2).max(initial=0) < 0.3:
            patches.append((x, y, x + side, y + side))
    return patches


def _square(image: np.ndarray, box: np.ndarray, side: float) -> np.ndarray:
    """Return the square of the given side around a box's centre, resized to STORED."""
    scale = STORED / side
    shift = STORED / 2 - scale * (box[:2] + box[2:]) / 2
    return cv2.warpAffine(
        image,
        np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]),
        (STORED, STORED),
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def look(cut_outs: CutOuts, chosen: Tensor, *, size: int, generator: torch.Generator) -> Views:
    """Return a random square view of each chosen cut-out.

    A view spans 1 to CONTEXT times the longer side of the box, is moved, and mirrored half of the
    time; a third of the views lose their fine detail, as small objects do.

    Args:
        cut_outs: all cut-outs.
        chosen: ``[B]`` int64, which of them.
        size: side of the views, in pixels.
        generator: source of randomness.
    """
    count = len(chosen)
    longer = STORED / CONTEXT
    side = longer * (1 + (CONTEXT - 1) * torch.rand(count, 1, generator=generator) ** 2)
    centre = STORED / 2 + longer * SHIFT * (2 * torch.rand(count, 2, generator=generator) - 1)
    rois = torch.cat([torch.arange(count)[:, None], centre - side / 2, centre + side / 2], 1)
    pictures = cut_outs.pictures[chosen].float() / 255
    images = roi_align(pictures, rois, (size, size), sampling_ratio=1, aligned=True)
    coarse = torch.rand(count, generator=generator) < 1 / 3
    images[coarse] = interpolate(interpolate(images[coarse], scale_factor=0.4), size=(size, size))
    half = cut_outs.sides[chosen] / 2
    boxes = torch.cat([STORED / 2 - half, STORED / 2 + half], 1)
    boxes = (boxes - (centre - side / 2).repeat(1, 2)) * (size / side)
    mirrored = torch.rand(count, generator=generator) < 0.5
    images[mirrored] = images[mirrored].flip(-1)
    boxes[mirrored, 0::2] = size - boxes[mirrored, 0::2].flip(1)
    return Views(images, boxes, cut_outs.labels[chosen])


def jitter(boxes: Tensor, generator: torch.Generator) -> Tensor:
    """Return RoIs near boxes ``[B, 4]`` xyxy: moved and scaled by up to JITTER of their sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    move, scale = JITTER * (2 * torch.rand(2, *sides.shape, generator=generator) - 1)
    half = sides * (1 + scale) / 2
    centre = centre + move * sides
    return torch.cat([centre - half, centre + half], 1)

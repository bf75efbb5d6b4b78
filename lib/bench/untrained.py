"""Untrained models that are as busy as trained ones, so that speed can be measured without weights.

A random network differs from a trained one in what its parts have to do: its proposals miss the
objects, so the mask branch trains on next to nothing; at test nothing scores high, so there is
nothing to segment; and fixed batch norms whose statistics nobody measured let activations explode.
Here statistics are those of a picture, some of each picture's proposals lie close to its objects,
and at test some proposals are given a class. All of it is done by hooks that any of torchvision's
two-stage detectors takes alike, so models that are compared stay comparable.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.ops import FrozenBatchNorm2d, clip_boxes_to_image

JITTER = 0.1
"""Proposals near objects are moved and scaled by at most this share of the box: IoU stays above
one half, so they count as foreground."""

BACKGROUND, OBJECT = 10.0, 20.0
"""Logits of the class layer at test; all others are 0."""


def settle(backbone: nn.Module, pictures: Tensor) -> None:
    """Set the statistics of fixed batch norms to those of some pictures, layer after layer.

    Args:
        backbone: random, on the pictures' device.
        pictures: ``[N, 3, H, W]``, normalised.
    """

    def measure(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        module.get_buffer("running_mean").copy_(x.mean((0, 2, 3)))
        module.get_buffer("running_var").copy_(x.var((0, 2, 3)))

    norms = [m for m in backbone.modules() if isinstance(m, FrozenBatchNorm2d)]
    handles = [norm.register_forward_pre_hook(measure) for norm in norms]
    with torch.no_grad():
        backbone(pictures)
    for handle in handles:
        handle.remove()


def keep_busy(model: GeneralizedRCNN, *, foreground: int, boxes: Sequence[Sequence[float]]) -> None:
    """Add hooks to an untrained detector that let all its parts work.

    Args:
        model: the detector.
        foreground: in training, as many of a picture's proposals (the objects' own boxes included)
            are close to its objects; of these a quarter of the sampled RoIs at most counts.
        boxes: at test, the boxes of what is detected, xyxy in fractions of the picture.
    """
    to_find = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    counts: list[int] = []

    def propose(
        module: nn.Module, inputs: tuple[Any, ...], output: tuple[list[Tensor], Any]
    ) -> tuple[list[Tensor], Any]:
        proposals, losses = output
        images, targets = inputs[0], inputs[2] if module.training else None
        changed = []
        for row, (own, size) in enumerate(zip(proposals, images.image_sizes, strict=True)):
            if targets is None:
                height, width = size
                near = to_find.to(own) * own.new_tensor([width, height, width, height])
            else:
                truth = targets[row]["boxes"].to(own)
                wanted = max(foreground - len(truth), 0) if len(truth) else 0
                near = clip_boxes_to_image(boxes_near(truth, wanted), size)
            changed.append(torch.cat([near, own])[: max(len(own), len(near))])
        counts[:] = map(len, changed)
        return changed, losses

    def classify(
        module: nn.Module, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor] | None:
        logits, deltas = output
        if module.training or len(logits) != sum(counts):
            return None
        said = torch.zeros_like(logits)
        said[:, 0] = BACKGROUND
        first = 0
        for count in counts:
            rows = torch.arange(min(len(to_find), count), device=logits.device)
            # a class for each, so that none suppresses another
            said[first + rows, 1 + rows % (logits.shape[1] - 1)] = OBJECT
            first += count
        return said, torch.zeros_like(deltas)

    model.rpn.register_forward_hook(propose)
    model.roi_heads.box_predictor.register_forward_hook(classify)


def boxes_near(boxes: Tensor, count: int) -> Tensor:
    """Return ``[count, 4]`` xyxy boxes close to the given ones, ``[N, 4]``, each in turn."""
    chosen = boxes[torch.arange(count, device=boxes.device) % len(boxes)]
    sides = chosen[:, 2:] - chosen[:, :2]
    centres = (chosen[:, 2:] + chosen[:, :2]) / 2 + _jitter(sides) * sides
    sides = sides * (1 + _jitter(sides))
    return torch.cat([centres - sides / 2, centres + sides / 2], 1)


def _jitter(like: Tensor) -> Tensor:
    return (torch.rand_like(like) * 2 - 1) * JITTER

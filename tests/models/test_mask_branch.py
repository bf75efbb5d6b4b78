"""The partially supervised mask loss, against a loop over RoIs and pixels."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lib.models.mask_branch import partial_mask_loss
from tests.fixtures.models import mask_fields
from tests.masks.test_crops import loop_target

SIDE = 6
INSTANCES = 5
SHAPES = [(40, 48), (60, 72), (80, 96)]
"""Of the resized images; their masks are of 40 x 48 pixels."""


def random_batch(seed: int) -> tuple[Tensor, list[Tensor], list[Tensor], list[np.ndarray], list]:
    """Logits, boxes, matches, masks and which of them are to be learnt from, of three images."""
    generator = torch.Generator().manual_seed(seed)
    boxes, matched, masks, known = [], [], [], []
    for (height, width), rois, of_image in zip(SHAPES, (4, 3, 5), (2, 0, 3), strict=True):
        low, high = torch.rand(2, rois, 2, generator=generator).sort(0).values * 0.8
        boxes.append(torch.cat([low, high + 0.1], 1) * torch.tensor([width, height] * 2))
        matched.append(torch.randint(0, INSTANCES, (rois,), generator=generator))
        blocks = torch.rand(INSTANCES, 10, 12, generator=generator) > 0.5
        masks.append(blocks.repeat_interleave(4, 1).repeat_interleave(4, 2).numpy())
        chosen = torch.randperm(INSTANCES, generator=generator)[:of_image].tolist()
        known.append([i in chosen for i in range(INSTANCES)])
    return torch.randn(12, SIDE, SIDE, generator=generator), boxes, matched, masks, known


@pytest.mark.parametrize("seed", range(3))
def test_loss_of_random_batches_equals_a_loop_over_images_rois_and_pixels(seed):
    logits, boxes, matched, masks, known = random_batch(seed)
    total, pixels, roi = 0.0, 0, 0
    for image, shape in enumerate(SHAPES):
        for box, instance in zip(boxes[image] * 40 / shape[0], matched[image], strict=True):
            if known[image][instance]:
                wanted = loop_target(masks[image][instance], box, SIDE)
                for y in range(SIDE):
                    for x in range(SIDE):
                        p = 1 / (1 + math.exp(-float(logits[roi, y, x])))
                        total -= math.log(p if wanted[y][x] else 1 - p)
                        pixels += 1
            roi += 1
    assert 0 < pixels < logits.numel()
    targets = [mask_fields(m, k) for m, k in zip(masks, known, strict=True)]
    loss = float(partial_mask_loss(logits, boxes, matched, targets, SHAPES))
    assert loss == pytest.approx(total / pixels, rel=1e-4)


@pytest.mark.parametrize("any_mask", [True, False])
def test_only_logits_of_rois_with_a_mask_get_a_gradient(any_mask):
    logits, boxes, matched, masks, known = random_batch(0)
    known = [[any_mask and has for has in of_image] for of_image in known]
    targets = [mask_fields(m, k) for m, k in zip(masks, known, strict=True)]
    logits.requires_grad_()
    loss = partial_mask_loss(logits, boxes, matched, targets, SHAPES)
    loss.backward()
    reached = [bool(g.any()) for g in logits.grad]
    assert reached == [k[i] for k, m in zip(known, matched, strict=True) for i in m]
    assert any(reached) == any_mask and (float(loss.detach()) > 0) == any_mask

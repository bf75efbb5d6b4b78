"""The partially supervised mask loss, against a loop over RoIs and pixels."""

import math

import torch

from lib.models.mask_branch import mask_targets, partial_mask_loss

SIZE = 28


def a_batch() -> tuple[torch.Tensor, list, list, list]:
    generator = torch.Generator().manual_seed(0)
    boxes = [torch.tensor([[2.0, 3, 30, 31], [0, 0, 28, 28]]), torch.tensor([[5.0, 5, 40, 45]])]
    matched = [torch.tensor([1, 0]), torch.tensor([0])]
    masks = (torch.rand(1, 64, 64, generator=generator) > 0.5).to(torch.uint8)
    targets = [
        {"masks": masks, "mask_index": torch.tensor([-1, 0])},
        {"masks": masks[:0], "mask_index": torch.tensor([-1])},
    ]
    return torch.randn(3, SIZE, SIZE, generator=generator), boxes, matched, targets


def test_loss_is_the_mean_over_pixels_of_rois_whose_instance_has_a_mask():
    logits, boxes, matched, targets = a_batch()
    loss = partial_mask_loss(logits, boxes, matched, targets)
    wanted = mask_targets(targets[0]["masks"], torch.tensor([0]), boxes[0][:1], SIZE)[0]
    total = 0.0
    for y in range(SIZE):
        for x in range(SIZE):
            p = 1 / (1 + math.exp(-float(logits[0, y, x])))
            total -= math.log(p) if wanted[y, x] else math.log(1 - p)
    assert abs(float(loss) - total / SIZE**2) < 1e-5


def test_logits_of_rois_without_a_mask_get_no_gradient():
    logits, boxes, matched, targets = a_batch()
    logits.requires_grad_()
    partial_mask_loss(logits, boxes, matched, targets).backward()
    assert logits.grad is not None
    assert float(logits.grad[0].abs().sum()) > 0
    assert float(logits.grad[1:].abs().sum()) == 0


def test_no_mask_at_all_gives_zero_loss_that_still_has_a_gradient():
    logits, boxes, matched, targets = a_batch()
    for target in targets:
        target["masks"], target["mask_index"] = target["masks"][:0], target["mask_index"] * 0 - 1
    logits.requires_grad_()
    loss = partial_mask_loss(logits, boxes, matched, targets)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and float(logits.grad.abs().sum()) == 0


def test_targets_of_a_box_as_large_as_the_target_are_the_pixels_of_the_mask():
    masks = (torch.rand(3, 64, 64) > 0.5).to(torch.uint8)
    boxes = torch.tensor([[4.0, 6.0, 4 + SIZE, 6 + SIZE]]).repeat(2, 1)
    targets = mask_targets(masks, torch.tensor([2, 0]), boxes, SIZE)
    assert torch.equal(targets[0], masks[2, 6 : 6 + SIZE, 4 : 4 + SIZE].float())
    assert torch.equal(targets[1], masks[0, 6 : 6 + SIZE, 4 : 4 + SIZE].float())

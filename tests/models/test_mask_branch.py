"""The partially supervised mask loss, against a loop over RoIs and pixels."""

import math

import pytest
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


def loop_target(mask: torch.Tensor, box: list[float], side: int) -> list[list[float]]:
    """The mean of the mask, read bilinearly at evenly spread places in each cell of the box."""
    x1, y1, x2, y2 = box
    height, width = mask.shape
    pixels = mask.tolist()

    def read(x: float, y: float) -> float:
        x, y = min(max(x - 0.5, 0), width - 1), min(max(y - 0.5, 0), height - 1)
        left, top = int(x), int(y)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        over, down = x - left, y - top
        upper = pixels[top][left] * (1 - over) + pixels[top][right] * over
        lower = pixels[bottom][left] * (1 - over) + pixels[bottom][right] * over
        return upper * (1 - down) + lower * down

    wide, high = (x2 - x1) / side, (y2 - y1) / side
    columns, rows = math.ceil(wide), math.ceil(high)
    return [
        [
            sum(
                read(x1 + wide * (i + (c + 0.5) / columns), y1 + high * (j + (r + 0.5) / rows))
                for r in range(rows)
                for c in range(columns)
            )
            / (rows * columns)
            for i in range(side)
        ]
        for j in range(side)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_loss_of_random_batches_equals_a_loop_over_images_rois_and_pixels(seed):
    generator = torch.Generator().manual_seed(seed)
    side = 6
    boxes, matched, targets = [], [], []
    for count, masks in ((4, 2), (3, 0), (5, 3)):
        low, high = torch.rand(2, count, 2, generator=generator).sort(0).values * 30
        boxes.append(torch.cat([low, high + 3], 1))
        index = torch.full((5,), -1)
        index[torch.randperm(5, generator=generator)[:masks]] = torch.arange(masks)
        matched.append(torch.randint(0, 5, (count,), generator=generator))
        blocks = torch.rand(masks, 10, 12, generator=generator) > 0.5
        targets.append(
            {
                "masks": blocks.to(torch.uint8).repeat_interleave(4, 1).repeat_interleave(4, 2),
                "mask_index": index,
            }
        )
    logits = torch.randn(12, side, side, generator=generator)

    total, pixels, roi = 0.0, 0, 0
    for image in range(3):
        for box, instance in zip(boxes[image].tolist(), matched[image].tolist(), strict=True):
            row = int(targets[image]["mask_index"][instance])
            if row >= 0:
                wanted = loop_target(targets[image]["masks"][row], box, side)
                for y in range(side):
                    for x in range(side):
                        p = 1 / (1 + math.exp(-float(logits[roi, y, x])))
                        total -= math.log(p if wanted[y][x] >= 0.5 else 1 - p)
                        pixels += 1
            roi += 1
    assert 0 < pixels < logits.numel()
    loss = float(partial_mask_loss(logits, boxes, matched, targets))
    assert loss == pytest.approx(total / pixels, rel=1e-4)

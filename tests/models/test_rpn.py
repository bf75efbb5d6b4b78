"""Ignored objects: no anchor, no proposal that matches one is sampled, and nothing else moves."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from lib.models.rpn import IGNORED
from tests.fixtures.models import images_and_targets, tiny_model, without_masks


def random_boxes(count: int, generator: torch.Generator) -> Tensor:
    corner = torch.rand(count, 2, generator=generator) * 40
    return torch.cat([corner, corner + 6 + torch.rand(count, 2, generator=generator) * 30], 1)


def a_case(seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Anchors, many of them near objects, and objects, some ignored."""
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(6, generator)
    near = boxes.repeat(12, 1) + torch.randn(72, 4, generator=generator) * 3
    near[:, 2:] = torch.maximum(near[:, 2:], near[:, :2] + 1)
    labels = torch.tensor([1, IGNORED, 2, IGNORED, 3, 1])
    return torch.cat([near, random_boxes(60, generator)]), {"boxes": boxes, "labels": labels}


def naive_labels(anchors: Tensor, boxes: Tensor, ignored: list[bool]) -> list[float]:
    """RPN labels by loops: as if ignored objects did not exist, but for what matches them."""
    iou = box_iou(boxes, anchors).tolist()
    everyone = range(len(boxes))

    def is_best_anchor_of_one(anchor: int, objects: list[int]) -> bool:
        return any(iou[o][anchor] == max(iou[o]) for o in objects)

    labels = []
    for anchor in range(len(anchors)):
        known = [o for o in everyone if not ignored[o]]
        best = max((iou[o][anchor] for o in known), default=0.0)
        label = 1.0 if best >= 0.7 else 0.0 if best < 0.3 else -1.0
        if is_best_anchor_of_one(anchor, known):
            label = 1.0
        match = max(everyone, key=lambda o: iou[o][anchor])
        fair = iou[match][anchor] >= 0.3 or is_best_anchor_of_one(anchor, list(everyone))
        labels.append(-1.0 if ignored[match] and fair and label != 1 else label)
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_anchor_labels_equal_a_loop(seed):
    anchors, target = a_case(seed)
    rpn = tiny_model("faster_rcnn").rpn
    (found,), _ = rpn.assign_targets_to_anchors([anchors], [target])
    wanted = naive_labels(anchors, target["boxes"], (target["labels"] == IGNORED).tolist())
    assert found.tolist() == wanted
    assert {-1.0, 0.0, 1.0} == set(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_sampled_proposals_never_match_an_ignored_object(seed):
    proposals, target = a_case(seed)
    heads = tiny_model("faster_rcnn", rois_per_image=400).roi_heads
    (rois,), (matched,), (labels,), *_ = heads.sample_rois([proposals], [target])
    kept = {tuple(r) for r in rois.tolist()}
    everyone = torch.cat([proposals, target["boxes"]])  # objects are proposals too
    positive = 0
    for proposal in everyone:
        overlaps = box_iou(target["boxes"], proposal[None])[:, 0]
        if overlaps.max() >= 0.5 and target["labels"][overlaps.argmax()] == IGNORED:
            assert tuple(proposal.tolist()) not in kept
        else:
            positive += bool(overlaps.max() >= 0.5)
            assert tuple(proposal.tolist()) in kept or overlaps.max() >= 0.5  # 1/4 positive
    assert 0 < int((labels > 0).sum()) <= positive
    assert bool((labels >= 0).all())
    assert bool((target["labels"][matched[labels > 0]] > 0).all())


@pytest.mark.parametrize("method", ["faster_rcnn", "mask_rcnn"])
@pytest.mark.parametrize("left", ["ignored", "nothing"])
def test_images_with_nothing_to_find_train(method, left):
    images, targets = images_and_targets()
    targets = [without_masks(target, 3 if left == "ignored" else 0) for target in targets]
    for target in targets:
        target["labels"] = torch.full_like(target["labels"], IGNORED)
    model = tiny_model(method).train()
    losses = model(images, targets)
    sum(losses.values()).backward()
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    assert float(losses["loss_box_reg"].detach()) == float(losses["loss_rpn_box_reg"].detach()) == 0
    assert all(p.grad is not None for p in model.parameters())


def test_boxes_stay_exact_in_mixed_precision():
    model = tiny_model("mask_rcnn").train()
    images, targets = images_and_targets()
    seen: dict[str, list[torch.dtype]] = {}
    anchors, samples = model.rpn.assign_targets_to_anchors, model.roi_heads.sample_rois

    def spy_anchors(found, wanted):
        seen["anchors"] = [a.dtype for a in found]
        return anchors(found, wanted)

    def spy_samples(proposals, wanted):
        result = samples(proposals, wanted)
        seen["proposals"] = [p.dtype for p in proposals]
        seen["regression"] = [r.dtype for r in result[3]]
        return result

    model.rpn.assign_targets_to_anchors = spy_anchors
    model.roi_heads.sample_rois = spy_samples
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model(images, targets)
    assert {dtype for dtypes in seen.values() for dtype in dtypes} == {torch.float32}
    assert all(torch.isfinite(value) for value in losses.values())

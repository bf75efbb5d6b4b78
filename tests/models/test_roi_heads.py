"""Detection and masks for instances that may lack masks."""

import torch
from torchvision.models.detection.roi_heads import RoIHeads

from lib.models.sampling import sampled_rows
from lib.models.selection import select_detections
from tests.fixtures.models import (
    CLASSES,
    images_and_targets,
    tiny_model,
    truth_of,
    without_masks,
)


def test_selected_detections_equal_torchvisions():
    model = tiny_model("faster_rcnn").eval()
    heads = model.roi_heads
    heads.score_thresh = 0.1
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, CLASSES + 1, generator=generator)
    deltas = torch.randn(40, 4 * (CLASSES + 1), generator=generator)
    corner = torch.rand(40, 2, generator=generator) * 50
    proposals = [torch.cat([corner, corner + 20], 1)]
    theirs = RoIHeads.postprocess_detections(heads, logits, deltas, proposals, [(64, 80)])
    boxes = heads.box_coder.decode(deltas, proposals)
    boxes[..., 0::2].clamp_(0, 80)
    boxes[..., 1::2].clamp_(0, 64)
    scores = logits.softmax(-1)
    rows, labels = select_detections(
        boxes, scores, score_threshold=0.1, nms_threshold=0.5, limit=heads.detections_per_img
    )
    assert len(rows) > 5
    torch.testing.assert_close(boxes[rows, labels], theirs[0][0])
    torch.testing.assert_close(scores[rows, labels], theirs[1][0])
    assert torch.equal(labels, theirs[2][0])


def test_sampled_rois_are_torchvisions_for_the_same_rows(monkeypatch):
    heads = tiny_model("faster_rcnn").roi_heads
    _, targets = images_and_targets()
    targets = [{**target, "seed": 0} for target in targets]
    targets[1] = without_masks(targets[1], 0)
    corner = torch.rand(2, 40, 2, generator=torch.Generator().manual_seed(0)) * 40
    proposals = list(torch.cat([corner, corner + 15], 2))
    rows: list[torch.Tensor] = []

    def note(*arguments, **named):
        rows[:], foreground = sampled_rows(*arguments, **named)
        return rows, foreground

    monkeypatch.setattr("lib.models.roi_heads.sampled_rows", note)
    *ours, foreground = heads.sample_rois(proposals, targets)
    monkeypatch.setattr(heads, "subsample", lambda _: rows)
    theirs = RoIHeads.select_training_samples(heads, proposals, targets)
    for one, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert foreground == [int((labels > 0).sum()) for labels in ours[2]] and foreground[0] > 0


def test_prior_is_all_that_opmask_and_the_baseline_differ_in():
    baseline, opmask = tiny_model("mask_rcnn"), tiny_model("opmask")
    assert baseline.state_dict().keys() == opmask.state_dict().keys()
    images, targets = images_and_targets()
    for model in (baseline, opmask):
        model.eval()
    truth = truth_of(targets)
    without = torch.cat(baseline.masks_on_boxes(images, truth))
    with_prior = torch.cat(opmask.masks_on_boxes(images, truth))
    assert not torch.equal(without, with_prior)
    opmask.roi_heads.mask_branch.prior = None
    torch.testing.assert_close(torch.cat(opmask.masks_on_boxes(images, truth)), without)

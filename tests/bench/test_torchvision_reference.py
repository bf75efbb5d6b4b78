"""torchvision's Mask R-CNN as its reference trains it: the network, the samples, the step."""

import numpy as np
import pytest
import torch
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FrozenBatchNorm2d

from lib.bench.torchvision_reference import (
    ReferenceLearner,
    ReferenceSet,
    build_reference,
    reference_loader,
)
from lib.data.coco import CocoSet
from lib.masks.rle import decode
from lib.models.backbones import lite0_fpn


def tiny_reference() -> MaskRCNN:
    torch.manual_seed(0)
    sizes = {"min_size": 64, "max_size": 96, "box_batch_size_per_image": 16}
    anchors = AnchorGenerator(((16,), (32,), (64,), (128,)), ((0.5, 1.0, 2.0),) * 4)
    backbone = lite0_fpn(fpn_channels=8)
    return MaskRCNN(backbone, num_classes=91, rpn_anchor_generator=anchors, **sizes)


def test_the_network_is_torchvisions_own_with_fixed_norms_and_two_stages_that_do_not_learn():
    with torch.device("meta"):
        ours = build_reference(min_size=800, max_size=1333)
        theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    shapes = {name: p.shape for name, p in theirs.named_parameters()}
    state = {name: t.shape for name, t in ours.state_dict().items()}
    assert {name: state[name] for name in shapes} == shapes
    learning = {n for n, p in ours.named_parameters() if p.requires_grad}
    assert not any(n.startswith(("backbone.body.conv1", "backbone.body.layer1")) for n in learning)
    assert any(n.startswith("backbone.body.layer2") for n in learning)
    norms = [m for m in ours.backbone.body.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(norms) == 53
    assert ours.transform.min_size == theirs.transform.min_size
    assert ours.transform.max_size == theirs.transform.max_size
    assert ours.roi_heads.fg_bg_sampler.batch_size_per_image == 512


def test_a_mirrored_sample_is_the_mirror_image_of_the_plain_one(drawn: CocoSet):
    samples = ReferenceSet(drawn, seed=0)
    seen = [samples[0, position] for position in range(12)]
    plain = next(s for s in seen if torch.equal(s[0], seen[0][0]))
    other = next(s for s in seen if not torch.equal(s[0], seen[0][0]))
    size = plain[0].shape[-2:]
    objects = drawn.instances(drawn.images[0].id)
    truth = np.stack([decode(thing.segmentation, *size) for thing in objects])
    assert any(np.array_equal(sample[1]["masks"], truth) for sample in (plain, other))
    assert torch.equal(other[0], plain[0].flip(-1))
    assert torch.equal(other[1]["masks"], plain[1]["masks"].flip(-1))
    width = plain[0].shape[-1]
    assert torch.equal(other[1]["boxes"][:, 0], width - plain[1]["boxes"][:, 2])
    assert torch.equal(other[1]["boxes"][:, 1], plain[1]["boxes"][:, 1])


def test_a_step_learns_and_tells_its_losses(drawn: CocoSet):
    cpu = torch.device("cpu")
    learner = ReferenceLearner(tiny_reference().train(), cpu, amp=False)
    before = {n: p.detach().clone() for n, p in learner.model.named_parameters()}
    batches = reference_loader(drawn, batch_size=2, workers=0, seed=0)
    losses = [learner.step(*next(batches), i).losses for i in range(2)]
    assert {"loss", "loss_mask", "loss_objectness"} <= losses[0].keys()
    parts = sum(value for name, value in losses[0].items() if name != "loss")
    assert losses[0]["loss"] == pytest.approx(parts)
    assert any(not torch.equal(p, before[n]) for n, p in learner.model.named_parameters())

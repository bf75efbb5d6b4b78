"""The parts of an RPN for GPUs."""

import torch
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead

from lib.models.rpn_head import SingleAnchors, SingleHead, SteadyMatcher
from tests.fixtures.waits import waits

SIZES = (((16,), (32,)), ((0.5, 1.0, 2.0),) * 2)


def features(kind: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 8, 24, 32), (2, 8, 12, 16)]
    return [torch.randn(shape, generator=generator).to(kind) for shape in shapes]


def test_anchors_are_torchvisions_in_single_precision_for_features_of_any_type():
    images = ImageList(torch.zeros(2, 3, 96, 128), [(90, 128), (96, 100)])
    expected = AnchorGenerator(*SIZES)(images, features(torch.float32))
    for kind in (torch.float32, torch.bfloat16):
        found = SingleAnchors(*SIZES)(images, features(kind))
        assert [x.dtype for x in found] == [torch.float32] * 2
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_head_has_torchvisions_weights_and_says_the_same_in_single_precision():
    torch.manual_seed(0)
    theirs, ours = RPNHead(8, 3), SingleHead(8, 3)
    ours.load_state_dict(theirs.state_dict())
    given = features(torch.float32)
    for found, expected in zip(ours(given), theirs(given), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_under_autocast_convolutions_are_half_and_outputs_single():
    torch.manual_seed(0)
    head, kinds = SingleHead(8, 3), []
    head.conv.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, deltas = head(features(torch.bfloat16))
    assert set(kinds) == {torch.bfloat16}
    assert {x.dtype for x in (*logits, *deltas)} == {torch.float32}
    sum(x.sum() for x in (*logits, *deltas)).backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())


def test_anchors_are_matched_as_torchvision_does_without_waiting():
    generator = torch.Generator().manual_seed(0)
    settings = {"high_threshold": 0.7, "low_threshold": 0.3, "allow_low_quality_matches": True}
    for objects in (1, 2, 7):
        for _ in range(20):
            quality = (torch.rand(objects, 50, generator=generator) * 12).round() / 12  # with ties
            quality[0] *= 0.4  # an object without a good anchor
            expected = Matcher(**settings)(quality)
            assert torch.equal(SteadyMatcher(**settings)(quality), expected)
    assert waits(lambda: SteadyMatcher(**settings)(quality)) == {}
    assert waits(lambda: Matcher(**settings)(quality)) != {}

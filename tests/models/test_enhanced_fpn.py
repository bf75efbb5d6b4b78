"""Enhanced-FPN: sizes, ways for gradients, sizes of the variants, and what they compute."""

from collections import OrderedDict
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, relu
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork

from lib.models.backbones import FeaturePyramid, lite0_fpn
from lib.models.config import FpnKind
from lib.models.enhanced_fpn import EnhancedFPN, extra_block
from lib.models.lite0 import Lite0, load

ENHANCED = [kind for kind in get_args(FpnKind) if kind != "plain"]
CHANNELS, BOTTOM = 6, 5


def a_block(kind: FpnKind, *, bottom: int = BOTTOM) -> EnhancedFPN:
    """A block with arbitrary weights: the initial ones hide mistakes, being nearly the identity."""
    torch.manual_seed(0)
    block = EnhancedFPN(kind, CHANNELS, bottom_channels=bottom)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    return block


def some_maps(channels: int, *, height: int = 3, width: int = 2, seed: int = 1) -> list[Tensor]:
    """Maps of strides 4, 8, 16 and 32 for an image of 32 height x 32 width."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, channels, height * scale, width * scale, generator=generator)
        for scale in (8, 4, 2, 1)
    ]


def run(block: EnhancedFPN, p: list[Tensor], c: list[Tensor]) -> list[Tensor]:
    maps, names = block(list(p), c, ["0", "1", "2", "3"])
    assert names == ["0", "1", "2", "3", "pool"]
    return maps


@torch.no_grad()
@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (8, 16, 32)], ids=["four", "three"])
@pytest.mark.parametrize("kind", get_args(FpnKind))
def test_maps_have_their_strides_for_every_size_that_the_transform_makes(kind, strides):
    pyramid = lite0_fpn(fpn_channels=4, fpn=kind)
    if len(strides) == 4:
        stages = {f"layer{n + 1}": str(n) for n in range(4)}
        widths = list(Lite0.channels)
        last = extra_block(kind, 4, bottom_channels=widths[0])
        pyramid = FeaturePyramid(Lite0(), stages, widths, 4, last)
    transform = GeneralizedRCNNTransform([64], 160, [0.0] * 3, [1.0] * 3).eval()
    sizes = set()
    for height, width in [(1, 1), (31, 33), (64, 80), (97, 41), (500, 333), (7, 23), (8, 99)]:
        batch, _ = transform([torch.rand(3, height, width)])
        padded = tuple(batch.tensors.shape[-2:])
        sizes.add(padded)
        maps = pyramid(batch.tensors)
        assert list(maps) == [*map(str, range(len(strides))), "pool"]
        for level, stride in zip(maps.values(), strides, strict=False):
            assert level.shape == (1, 4, padded[0] // stride, padded[1] // stride)
        assert maps["pool"].shape[-2:] == tuple(-(-side // 64) for side in padded)
    assert len(sizes) > 4


def conv(x: Tensor, module: nn.Conv2d, stride: int = 1) -> Tensor:
    return conv2d(x, module.weight, module.bias, stride, padding=module.weight.shape[-1] // 2)


def follow(x: Tensor, chain: nn.Module, *, stride: int = 2) -> Tensor:
    for module in chain.modules():
        if isinstance(module, nn.Conv2d):
            x = relu(conv(x, module, stride))
    return x


def naive(block: EnhancedFPN, p: list[Tensor], c2: Tensor) -> list[Tensor]:
    """N2 to N5 by the formulas of the docstring, level by level."""
    p2, p3, p4, p5 = p
    parts = block.connections
    out, kind = parts.outputs, block.kind
    if kind == "lateral":
        bottom = conv(c2, parts.bottom)
        u5 = follow(bottom, parts.chains[2])
        u4 = follow(bottom, parts.chains[1]) + interpolate(u5, scale_factor=2.0)
        u3 = follow(bottom, parts.chains[0]) + interpolate(u4, scale_factor=2.0)
        u2 = interpolate(u3, scale_factor=2.0)
        return [a + conv(u, o) for a, u, o in zip(p, (u2, u3, u4, u5), out, strict=True)]
    if kind in ("bottom_up", "dense"):
        n3 = conv(p3 + follow(p2, parts.steps[0]), out[0])
        s4 = p4 + follow(n3, parts.steps[1])
        n4 = conv(s4 + follow(p2, parts.chains[0]) if kind == "dense" else s4, out[1])
        s5 = p5 + follow(n4, parts.steps[2])
        n5 = conv(s5 + follow(p2, parts.chains[1]) if kind == "dense" else s5, out[2])
        return [p2, n3, n4, n5]
    sources = {"direct": [p2] * 3, "backbone": [c2] * 3, "control": [p3, p4, p5]}[kind]
    stride = 1 if kind == "control" else 2
    levels = zip(p[1:], sources, parts.chains, out, strict=True)
    return [p2, *(conv(a + follow(s, chain, stride=stride), o) for a, s, chain, o in levels)]


@pytest.mark.parametrize("kind", ENHANCED)
def test_maps_are_what_the_formulas_say(kind):
    block = a_block(kind)
    p, c = some_maps(CHANNELS), some_maps(BOTTOM, seed=2)
    wanted = naive(block, p, c[0])
    *found, pooled = run(block, p, c)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(pooled, found[-1][..., ::2, ::2])


def test_lateral_equals_an_fpn_that_takes_the_bottom_map_in_at_its_laterals():
    torch.manual_seed(0)
    c = some_maps(BOTTOM, seed=2)
    fpn = FeaturePyramidNetwork([BOTTOM] * 4, CHANNELS)
    block = a_block("lateral")
    for own, theirs in zip(block.connections.outputs, fpn.layer_blocks, strict=True):
        own.weight.data.copy_(theirs[0].weight)
        own.bias.data.zero_()
    plain = fpn(OrderedDict(zip("0123", c, strict=True)))
    found = run(block, list(plain.values()), c)[:4]
    bottom = block.connections.bottom(c[0])
    merged: list[Tensor] = []
    for index in (3, 2, 1, 0):
        lateral = fpn.inner_blocks[index](c[index])
        if index > 0:
            lateral = lateral + block.connections.chains[index - 1](bottom)
        if merged:
            lateral = lateral + interpolate(merged[0], scale_factor=2.0)
        merged.insert(0, lateral)
    for one, layer, map_ in zip(found, fpn.layer_blocks, merged, strict=True):
        torch.testing.assert_close(one, layer(map_))


def parameters(kind: FpnKind, channels: int, bottom: int) -> int:
    block = EnhancedFPN(kind, channels, bottom_channels=bottom)
    return sum(p.numel() for p in block.parameters())


def test_control_has_exactly_as_many_weights_as_the_variant_that_it_controls():
    for channels, bottom in [(64, 32), (256, 256)]:
        assert parameters("control", channels, bottom) == parameters("direct", channels, bottom)
    assert parameters("backbone", 256, 256) == parameters("direct", 256, 256)


@pytest.mark.parametrize("kind", ENHANCED)
def test_new_block_keeps_most_of_the_maps_and_learns_at_once(kind):
    torch.manual_seed(0)
    plain = lite0_fpn()
    load(plain.body)
    pyramid = lite0_fpn(fpn=kind)
    pyramid.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(2, 3, 128, 160)
    before, after = plain(images), pyramid(images)
    for name in before:
        difference = (after[name] - before[name]).detach().norm()
        share = float(difference / before[name].detach().norm())
        assert share < (0.8 if kind in ("backbone", "lateral") else 0.1)
    assert not torch.equal(after["2"], before["2"])
    sum(m.square().sum() for m in after.values()).backward()
    for parameter in pyramid.fpn.extra_blocks.parameters():
        assert float(parameter.grad.abs().sum()) > 0

"""The connections that are read off a pyramid, against the structure of each kind."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from lib.hybridnet.fpn_graph import Connection, connections
from lib.models.backbones import FeaturePyramid, small_fpn
from lib.models.config import FpnKind

DOWN = "3x3/s2"

INPUTS: dict[FpnKind, list[set[str]]] = {  # of N2, N3, N4 and N5
    "plain": [{"P2"}, {"P3"}, {"P4"}, {"P5"}],
    "control": [{"P2"}, {"P3"}, {"P4"}, {"P5"}],
    "direct": [{"P2"}, {"P3", "P2"}, {"P4", "P2"}, {"P5", "P2"}],
    "backbone": [{"P2"}, {"P3", "C2"}, {"P4", "C2"}, {"P5", "C2"}],
    "bottom_up": [{"P2"}, {"P3", "P2"}, {"P4", "N3"}, {"P5", "N4"}],
    "dense": [{"P2"}, {"P3", "P2"}, {"P4", "N3", "P2"}, {"P5", "N4", "P2"}],
    "lateral": [{"P2", "U3"}, {"P3", "U3"}, {"P4", "U4"}, {"P5", "U5"}],
}


def pyramid(kind: FpnKind) -> FeaturePyramid:
    return small_fpn(channels=(4, 4, 4, 4), fpn_channels=4, fpn=kind)


def inputs_of(target: str, found: list[Connection]) -> set[str]:
    """The maps that an output is made of, looking through its own sum."""
    direct = {c.source for c in found if c.target == target}
    own = direct & {f"S{target[1:]}"}
    return (direct - own) | {c.source for c in found if c.target in own}


@pytest.mark.parametrize("kind", get_args(FpnKind))
def test_every_output_has_exactly_the_inputs_of_its_kind(kind):
    found = connections(pyramid(kind))
    assert [inputs_of(f"N{level}", found) for level in (2, 3, 4, 5)] == INPUTS[kind]


@pytest.mark.parametrize("kind", get_args(FpnKind))
def test_each_convolution_of_the_block_is_on_one_connection(kind):
    block = pyramid(kind).fpn.extra_blocks
    convolutions = sum(isinstance(m, nn.Conv2d) for m in block.modules())
    assert sum(len(c.convolutions) for c in connections(pyramid(kind))) == convolutions


def test_connections_follow_the_module_not_its_name():
    changed = pyramid("direct")
    changed.fpn.extra_blocks.connections.chains[2] = nn.Conv2d(4, 4, 9, stride=8, padding=4)
    assert Connection("P2", "S5", ("9x9/s8",)) in connections(changed)


class _Product(ExtraFPNBlock):
    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        return [torch.mul(results[0], results[0]), *results[1:]], names


def test_what_is_no_connection_is_an_error():
    other = pyramid("plain")
    other.fpn.extra_blocks = _Product()
    with pytest.raises(ValueError, match=r"mul.* cannot be drawn"):
        connections(other)

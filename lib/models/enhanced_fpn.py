"""Enhanced-FPN (paper A, Sec. 2.3) as an extra block on torchvision's FPN, and what it may mean.

The paper names the aim (a shorter way from the bottom map to the high levels) and the material
("conv m x m / s n" and a ReLU), but gives the structure in a drawing alone and no code. Each
reading is a kind of its own. P2 to P5 are the FPN's maps (strides 4 to 32), C2 is the backbone's
map of stride 4, N2 to N5 are what comes out. A chain of level k is k - 2 convolutions 3x3 of stride
2, each with a ReLU: it takes a map of stride 4 to the stride of level k. A pyramid that begins at
stride 8 has the same connections, from its own bottom map, and one level fewer.

- ``direct``, the default reading: N2 = P2, N_k = conv3(P_k + chain_k(P2)). Every level is one
  branch away from the bottom map, whereas in PANet the top is three away.
- ``backbone``: the same, from C2, before anything was merged into it.
- ``bottom_up``: PANet (Liu et al., 2018): N2 = P2, N_k = conv3(P_k + chain_3(N_{k-1})).
- ``dense``: both: N_k = conv3(P_k + chain_3(N_{k-1}) + chain_k(P2)). At level 3 the two connections
  are the same one.
- ``lateral``: injected where the FPN takes in the backbone's maps, so that all that it merges
  inherits it; see :class:`Lateral`.
- ``control``: no connection, but exactly as many weights as ``direct``: each chain runs on its own
  level, with stride 1. It tells structure from size.

A model may start from a detector with a plain FPN, so every kind starts close to its P maps: output
convolutions start as the identity, and a connection adds a twentieth of the size of the map that it
comes from (from P2, the maps then differ by 5 %; Lite0's C2 is larger than its normalised P2, so
that ``backbone`` changes them by 40 % and ``lateral`` by 70 %). A ReLU behind weights of zero would
never learn.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool
from torchvision.ops.misc import Conv2dNormActivation

from lib.models.config import FpnKind

CONNECTION_SCALE = 0.05
"""Size of what a connection adds at first, relative to the map that it comes from."""


def chain(in_channels: int, channels: int, *, length: int, stride: int = 2) -> nn.Sequential:
    """Return ``length`` convolutions 3x3, each with a ReLU, that start small (not zero).

    A stride of 2 maps ``[N, in, H, W]`` to ``[N, channels, H / 2^length, W / 2^length]``, rounded
    up as the strided convolutions of the backbone do it, so that the sizes always agree.
    """
    widths = [in_channels, *[channels] * (length - 1)]
    layers = nn.Sequential(
        *(Conv2dNormActivation(w, channels, 3, stride, norm_layer=None) for w in widths)
    )
    convolutions = [m for m in layers.modules() if isinstance(m, nn.Conv2d)]
    for convolution in convolutions:
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        _no_bias(convolution)
    convolutions[-1].weight.data.mul_(CONNECTION_SCALE)
    return layers


def output(channels: int) -> nn.Conv2d:
    """Return a 3x3 convolution that starts as the identity."""
    convolution = nn.Conv2d(channels, channels, 3, padding=1)
    nn.init.dirac_(convolution.weight)
    _no_bias(convolution)
    return convolution


class Direct(nn.Module):
    """N_k = conv3(P_k + chain_k(source)): the kinds ``direct``, ``backbone`` and ``control``.

    From C2, the first convolution of a chain takes its channels as they are. A 1x1 projection
    before it would add a layer to the way that is to be short; so ``backbone`` differs from
    ``direct`` in the source alone (and for a ResNet, whose C2 has 256 channels, has as many
    weights).

    Args:
        channels: of every pyramid level.
        source_channels: of the map that the connections come from.
        above: levels above the bottom one: three of P2 to P5.
        source: ``p2`` or ``c2``, the bottom map of the FPN or of the backbone, or ``own``, each
            level's own map, with stride 1.
    """

    def __init__(
        self, channels: int, source_channels: int, *, above: int, source: Literal["p2", "c2", "own"]
    ) -> None:
        super().__init__()
        stride = 1 if source == "own" else 2
        self.source = source
        self.chains = nn.ModuleList(
            chain(source_channels, channels, length=n + 1, stride=stride) for n in range(above)
        )
        self.outputs = nn.ModuleList(output(channels) for _ in range(above))

    def forward(self, p: Sequence[Tensor], c2: Tensor) -> list[Tensor]:
        """Return N2 to N5 of P2 to P5, each ``[N, channels, H, W]`` of its level."""
        bottom = p[0] if self.source == "p2" else c2
        sources = p[1:] if self.source == "own" else [bottom] * len(self.chains)
        levels = zip(self.outputs, p[1:], self.chains, sources, strict=True)
        return [p[0], *(out(level + branch(source)) for out, level, branch, source in levels)]


class BottomUp(nn.Module):
    """N_k = conv3(P_k + chain_3(N_{k-1})), PANet's bottom-up path."""

    def __init__(self, channels: int, *, above: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(chain(channels, channels, length=1) for _ in range(above))
        self.outputs = nn.ModuleList(output(channels) for _ in range(above))

    def forward(self, p: Sequence[Tensor], c2: Tensor) -> list[Tensor]:
        """Return N2 to N5."""
        n = [p[0]]
        for level, step, out in zip(p[1:], self.steps, self.outputs, strict=True):
            n.append(out(level + step(n[-1])))
        return n


class Dense(BottomUp):
    """N_k = conv3(P_k + chain_3(N_{k-1}) + chain_k(P2)); at level 3, where N_{k-1} is P2, once."""

    def __init__(self, channels: int, *, above: int) -> None:
        super().__init__(channels, above=above)
        self.chains = nn.ModuleList(
            chain(channels, channels, length=n + 1) for n in range(1, above)
        )

    def forward(self, p: Sequence[Tensor], c2: Tensor) -> list[Tensor]:
        """Return N2 to N5."""
        n = [p[0], self.outputs[0](p[1] + self.steps[0](p[0]))]
        for level, step, branch, out in zip(
            p[2:], self.steps[1:], self.chains, self.outputs[1:], strict=True
        ):
            n.append(out(level + step(n[-1]) + branch(p[0])))
        return n


class Lateral(nn.Module):
    """The bottom map injected at the laterals, before the top-down pass.

    An extra block sees the maps P alone. But the FPN's output convolutions are linear, so adding
    D_k = chain_k(L2) to the lateral of every level k > 2 (L2, the bottom lateral, is C2 through a
    1x1 convolution) is the same as adding conv3(U_k) to P_k, with U_5 = D_5,
    U_k = D_k + upsample(U_{k+1}) and U_2 = upsample(U_3): what the top-down pass makes of them.
    Here conv3 is a convolution of its own instead of the FPN's, and so is the 1x1.
    """

    def __init__(self, channels: int, bottom_channels: int, *, above: int) -> None:
        super().__init__()
        self.bottom = nn.Conv2d(bottom_channels, channels, 1)
        nn.init.kaiming_normal_(self.bottom.weight, nonlinearity="linear")
        _no_bias(self.bottom)
        self.chains = nn.ModuleList(chain(channels, channels, length=n + 1) for n in range(above))
        self.outputs = nn.ModuleList(output(channels) for _ in range(above + 1))

    def forward(self, p: Sequence[Tensor], c2: Tensor) -> list[Tensor]:
        """Return N2 to N5."""
        lateral = self.bottom(c2)
        u = [self.chains[-1](lateral)]
        for level, branch in zip(p[-2:0:-1], list(self.chains)[-2::-1], strict=True):
            u.insert(0, branch(lateral) + _upsample(u[0], level))
        u.insert(0, _upsample(u[0], p[0]))
        return [level + out(x) for level, out, x in zip(p, self.outputs, u, strict=True)]


class EnhancedFPN(ExtraFPNBlock):
    """The enhanced maps of strides 4 to 32, and the max-pooled fifth, "pool" (stride 64).

    Args:
        kind: how the bottom map is connected, see the module's docstring; not ``plain``.
        channels: of every pyramid level.
        bottom_channels: of C2.
        levels: of the pyramid without "pool".

    Raises:
        ValueError: if ``kind`` is ``plain``, which needs no such block.
    """

    def __init__(
        self, kind: FpnKind, channels: int, *, bottom_channels: int, levels: int = 4
    ) -> None:
        super().__init__()
        if kind == "plain":
            raise ValueError("A plain FPN has no enhanced block: use LastLevelMaxPool.")
        self.kind: FpnKind = kind
        self.connections = _connections(kind, channels, bottom_channels, levels - 1)
        self.pool = LastLevelMaxPool()

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        """Return N2 to N5 and "pool", and the names of all.

        Args:
            results: P2 to P5, ``[N, channels, H, W]`` each.
            x: C2 to C5, the backbone's maps.
            names: of the levels.
        """
        return self.pool(self.connections(results, x[0]), x, names)


def extra_block(
    kind: FpnKind, channels: int, *, bottom_channels: int, levels: int = 4
) -> ExtraFPNBlock:
    """Return what follows an FPN: max pooling alone for ``plain``, else an Enhanced-FPN."""
    if kind == "plain":
        return LastLevelMaxPool()
    return EnhancedFPN(kind, channels, bottom_channels=bottom_channels, levels=levels)


def _connections(kind: FpnKind, channels: int, bottom_channels: int, above: int) -> nn.Module:
    if kind == "direct":
        return Direct(channels, channels, above=above, source="p2")
    if kind == "backbone":
        return Direct(channels, bottom_channels, above=above, source="c2")
    if kind == "control":
        return Direct(channels, channels, above=above, source="own")
    if kind == "bottom_up":
        return BottomUp(channels, above=above)
    if kind == "dense":
        return Dense(channels, above=above)
    return Lateral(channels, bottom_channels, above=above)


def _upsample(x: Tensor, like: Tensor) -> Tensor:
    """Return ``x`` in the size of ``like``, by nearest neighbour, as torchvision's FPN does."""
    return interpolate(x, size=like.shape[-2:], mode="nearest")


def _no_bias(convolution: nn.Conv2d) -> None:
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)

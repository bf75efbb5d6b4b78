"""Which maps a feature pyramid connects, and through which convolutions: read off the module.

The block that follows the FPN is traced with ``torch.fx``, so a figure drawn from the result shows
what runs, not what was meant.
"""

import operator
from dataclasses import dataclass
from math import log2

from torch import Tensor, fx, nn
from torch.nn.functional import interpolate, max_pool2d
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

LEVELS = (2, 3, 4, 5)


@dataclass(frozen=True)
class Connection:
    """A way from one map to another, with no junction between them.

    Maps are named by what they are, and by their level k, whose stride is 2^k:

    - ``P2`` to ``P5`` and ``C2`` to ``C5``: what goes in, from the FPN and from the backbone
    - ``N2`` to ``N5``: what comes out
    - ``S3``: the sum that N3 is made of by convolutions alone
    - ``L2``: C2 through a 1x1 convolution
    - ``U3``: any other map that is a sum or that is used more than once

    Attributes:
        source: the map that the way leaves.
        target: the map that it enters; several ways into one map are added up there.
        convolutions: those on the way, in order, such as ``("3x3/s2", "3x3")``, where ``/s2`` is a
            stride of 2. ReLUs are left out, and so is upsampling to the level of the target.
    """

    source: str
    target: str
    convolutions: tuple[str, ...]


class _Separate(nn.Module):
    """A block as a function of its eight maps, each of them an argument of its own."""

    def __init__(self, block: ExtraFPNBlock) -> None:
        super().__init__()
        self.block = block

    def forward(  # noqa: PLR0917 - tracing needs each map by name
        self,
        p2: Tensor,
        p3: Tensor,
        p4: Tensor,
        p5: Tensor,
        c2: Tensor,
        c3: Tensor,
        c4: Tensor,
        c5: Tensor,
    ) -> list[Tensor]:
        names = [str(level) for level in LEVELS]
        maps, _ = self.block([p2, p3, p4, p5], [c2, c3, c4, c5], names)
        return maps[: len(LEVELS)]


def connections(pyramid: BackboneWithFPN) -> list[Connection]:
    """Return all connections of the block that follows a pyramid's FPN, in the order it runs.

    A P map that comes out as it is has a connection without convolutions. The max-pooled fifth
    level, the same for all blocks, is left out.

    Raises:
        ValueError: if the block does something that is no connection of maps.
    """
    graph = _Graph(fx.symbolic_trace(_Separate(pyramid.fpn.extra_blocks)))
    junctions = [node for node in graph.nodes if graph.is_junction(node)]
    found = []
    for node in junctions:
        for start, convolutions in graph.ways_into(node):
            found.append(Connection(graph.name(start), graph.name(node), convolutions))
    for level, node in zip(LEVELS, graph.outputs, strict=True):
        if node.op == "placeholder":
            found.append(Connection(graph.name(node), f"N{level}", ()))
    return found


Way = tuple[fx.Node, tuple[str, ...]]


class _Graph:
    """A traced block as maps (nodes) and ways between junctions."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self.modules = dict(traced.named_modules())
        *before, end = traced.graph.nodes
        self.outputs: list[fx.Node] = list(end.args[0])
        self.nodes = [node for node in before if self._is_map(node)]

    def is_junction(self, node: fx.Node) -> bool:
        """Return whether ways start or end here; a sum that only feeds a sum is part of that."""
        if node.op == "placeholder" or node in self.outputs:
            return True
        users = [user for user in node.users if self._is_map(user)]
        return len(users) > 1 or (_is_sum(node) and not _is_sum(users[0]))

    def ways_into(self, node: fx.Node) -> list[Way]:
        """Return the ways that end at a junction."""
        if node.op == "placeholder":
            return []
        return [self._before(node)] if not _is_sum(node) else self._terms(node)

    def name(self, node: fx.Node) -> str:
        """Return a junction's name; see :class:`Connection`."""
        if node.op == "placeholder":
            return node.name.upper()
        level = self._level(node)
        if node in self.outputs:
            return f"N{level}"
        if _is_sum(node):
            ends = [out for out in self.outputs if out.op == "call_module"]
            return f"{'S' if any(self._before(out)[0] is node for out in ends) else 'U'}{level}"
        start, convolutions = self._before(node)
        return f"{'L' if start.name[0] == 'c' and convolutions == ('1x1',) else 'U'}{level}"

    def _is_map(self, node: fx.Node) -> bool:
        if node.op in ("placeholder", "call_module") or node.target in (interpolate, operator.add):
            return True
        if node.op == "output" or node.target in (getattr, operator.getitem, max_pool2d):
            return False
        raise ValueError(f"A feature pyramid with {node.target} in it cannot be drawn.")

    def _terms(self, node: fx.Node) -> list[Way]:
        """Return the ways into a sum, those into sums that are part of it included."""
        ways: list[Way] = []
        for term in node.all_input_nodes:
            part = _is_sum(term) and not self.is_junction(term)
            ways += self._terms(term) if part else [self._way(term)]
        return ways

    def _way(self, node: fx.Node) -> Way:
        """Return the way to a map, from itself if it is a junction."""
        return (node, ()) if self.is_junction(node) else self._before(node)

    def _before(self, node: fx.Node) -> Way:
        """Return the way to a map that is no sum from the last junction before it."""
        start, convolutions = self._way(node.all_input_nodes[0])
        module = self._convolution(node)
        if module is None:
            return start, convolutions
        stride = f"/s{module.stride[0]}" if module.stride[0] > 1 else ""
        return start, (*convolutions, f"{module.kernel_size[0]}x{module.kernel_size[1]}{stride}")

    def _level(self, node: fx.Node) -> int:
        """Return k of a map of stride 2^k."""
        if node.op == "placeholder":
            return int(node.name[1:])
        if node.target is interpolate:  # to the size of a map: size = getattr(map, "shape")[-2:]
            (size,) = [n for n in node.all_input_nodes if n.target is operator.getitem]
            return self._level(size.all_input_nodes[0].all_input_nodes[0])
        module = self._convolution(node)
        smaller = int(log2(module.stride[0])) if module is not None else 0
        return self._level(node.all_input_nodes[0]) + smaller

    def _convolution(self, node: fx.Node) -> nn.Conv2d | None:
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        return module if isinstance(module, nn.Conv2d) else None


def _is_sum(node: fx.Node) -> bool:
    return node.target is operator.add

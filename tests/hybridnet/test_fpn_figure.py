"""The drawn readings of the Enhanced-FPN are what the modules do."""

import pytest
import torch

from lib.hybridnet.fpn_figure import KINDS, LEVELS, fpn_variants, ways
from lib.models.enhanced_fpn import extra_block
from lib.pages.style import use_style


def reached_from(kind: str, target: str) -> set[str]:
    """Return the maps (p2 to p5, c2) that a drawn map is made of."""
    sources = {way.source for way in ways(kind) if way.target == target}
    return {target} if not sources else set().union(*(reached_from(kind, s) for s in sources))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_is_connected_in_the_module_and_nothing_else(kind: str) -> None:
    torch.manual_seed(0)
    sizes = {f"P{k}": 2 ** (6 - k) for k in LEVELS} | {f"C{k}": 2 ** (6 - k) for k in LEVELS}
    maps = {name: torch.rand(1, 4, n, n, requires_grad=True) for name, n in sizes.items()}
    block = extra_block(kind, 4, bottom_channels=4)
    given = [[maps[f"{letter}{k}"] for k in LEVELS] for letter in "PC"]
    for parameter in block.parameters():
        torch.nn.init.uniform_(parameter)  # no ReLU is closed
    found, _ = block(*given, [str(k) for k in LEVELS])
    for k, out in zip(LEVELS, found, strict=False):
        gradients = torch.autograd.grad(
            out.sum(), list(maps.values()), allow_unused=True, retain_graph=True
        )
        used = {n for n, g in zip(maps, gradients, strict=True) if g is not None and g.any()}
        assert used == reached_from(kind, f"N{k}")


def test_every_kind_has_a_panel_and_the_control_costs_as_much_as_the_default() -> None:
    use_style()
    texts = {a.get_title("left"): [t.get_text() for t in a.texts] for a in fpn_variants().axes}
    cost = {title: [t for t in some if "weights" in t] for title, some in texts.items()}
    assert len(texts) == len(KINDS) + 1  # and the legend
    assert cost["direct (default)"] == cost["plain, as many weights"] != cost["plain FPN"]

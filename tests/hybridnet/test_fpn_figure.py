"""The figure of the feature pyramids shows what the modules do."""

from typing import get_args

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.hybridnet import fpn_figure
from lib.hybridnet.fpn_graph import connections
from lib.models.backbones import small_fpn
from lib.models.config import FpnKind
from lib.pages import style


@pytest.fixture(scope="module")
def figure() -> Figure:
    mpl.use("agg")
    style.use_style()
    drawn = fpn_figure.fpn_variants()
    drawn.canvas.draw()
    yield drawn
    plt.close(drawn)


def panel(figure: Figure, kind: str) -> Axes:
    return figure.axes[fpn_figure.KINDS.index(kind)]  # type: ignore[arg-type]


def marks(axes: Axes) -> int:
    """Return how many convolutions are drawn."""
    return sum(line.get_marker() not in ("None", None, "") for line in axes.lines)


def texts(axes: Axes) -> set[str]:
    return {text.get_text() for text in axes.texts}


def test_every_kind_has_a_panel_with_all_maps_and_its_name(figure: Figure) -> None:
    assert set(fpn_figure.KINDS) == set(get_args(FpnKind))
    assert figure.get_figwidth() == style.WIDTH
    for kind in fpn_figure.KINDS:
        axes = panel(figure, kind)
        assert axes.get_title(loc="left").startswith(fpn_figure.FPN[kind])
        assert {f"{m}{k}" for m in "PN" for k in range(2, 6)} <= texts(axes)
        assert ("C2" in texts(axes)) == (kind in ("backbone", "lateral"))
    assert "default" in panel(figure, "direct").get_title(loc="left")


@pytest.mark.parametrize("kind", fpn_figure.KINDS)
def test_each_way_and_each_convolution_of_the_module_is_drawn(
    figure: Figure, kind: FpnKind
) -> None:
    pyramid = small_fpn(channels=(8, 8, 8, 8), blocks=(1, 1, 1, 1), fpn_channels=8, fpn=kind)
    found = connections(pyramid)
    axes = panel(figure, kind)
    assert marks(axes) == sum(len(c.convolutions) for c in found)
    assert len(axes.lines) - marks(axes) == len(found)


def test_the_weights_are_those_of_the_convolutions(figure: Figure) -> None:
    one = 9 * 256 * 256 + 256  # weights of a 3x3 convolution
    counts = {"direct": 9, "control": 9, "backbone": 9, "bottom_up": 6, "dense": 11}
    for kind, convolutions in counts.items():
        assert f"+{convolutions * one / 1e6:.1f} M weights" in texts(panel(figure, kind))
    assert "no weights added" in texts(panel(figure, "plain"))

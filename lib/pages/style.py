"""One look for every figure: theme, colours by role, and sizes for a 900-pixel column.

The colours are those of Okabe and Ito, which people with any of the common colour vision
deficiencies can tell apart. A role keeps its colour through all notebooks, so that a reader who
has seen one figure can read the next.
"""

from functools import cache
from typing import Final

from lib.strict_yaml import cut

DPI: Final = 120
"""Resolution of saved and inline figures, in pixels per inch."""

WIDTH: Final = 7.5
"""Width of a figure that fills the page's column: 900 pixels at ``DPI``. In inches."""

TALL: Final = 0.62 * WIDTH
"""Height of an ordinary plot of full width. In inches."""

FLAT: Final = 0.42 * WIDTH
"""Height of a row of plots of full width. In inches."""

FONT: Final = "DejaVu Sans"

NAME: Final = 24
"""Characters of a name from data that a figure shows."""

BLACK, ORANGE, SKY, GREEN = "#1b1b1b", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, RED, PINK, GREY = "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8c8c8c"

COLOURS: Final[dict[str, str]] = {
    # quality of a pseudo-mask
    "valid": BLUE,
    "invalid": RED,
    # size of a box
    "small": ORANGE,
    "large": SKY,
    # methods
    "baseline": ORANGE,
    "opmask": BLUE,
    # classes with and without mask labels
    "supervised": GREEN,
    "unsupervised": PINK,
    # whose number it is
    "paper": GREY,
    "ours": BLUE,
    # masks drawn on a picture
    "box": YELLOW,
    "mask": SKY,
}
"""Colour of each role, as ``#rrggbb``."""

SEQUENCE: Final = [BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY, YELLOW]
"""Colours of series that have no role, in the order of use."""


def plain(name: str, most: int = NAME) -> str:
    """Return a name from data as text for a figure: no formula, on one line, not too long.

    Characters that the figures' font does not have are shown as an empty square.

    Args:
        name: of a class or a file, as the data have it.
        most: characters of it that are shown.
    """
    known = _characters()
    text = "".join(c if c.isprintable() and ord(c) in known else "□" for c in cut(name, most))
    return text.replace("$", r"\$")  # two dollars would begin and end a formula


@cache
def _characters() -> frozenset[int]:
    """Return the characters of the figures' font."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def use_style() -> None:
    """Make every later matplotlib figure look like the study's; call it once per notebook."""
    import matplotlib as mpl
    import seaborn as sns

    sns.set_theme(context="notebook", style="whitegrid", palette=SEQUENCE, font_scale=0.95)
    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTH, TALL),
            "figure.dpi": DPI,
            "savefig.dpi": DPI,
            "savefig.bbox": "tight",
            "savefig.pad_inches": 0.06,
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.family": [FONT],
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "axes.edgecolor": "#9a9a9a",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "grid.color": "#e4e4e4",
            "lines.linewidth": 1.8,
            "patch.linewidth": 0.6,
            "svg.fonttype": "none",
            "svg.hashsalt": "boxes-to-masks",
        }
    )

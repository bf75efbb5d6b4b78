"""What the figures of paper B draw alike: methods in their colours, headings."""

from typing import Literal

from matplotlib.figure import Figure

from lib.pages.style import BLACK, COLOURS, GREEN, GREY, SKY

METHOD_COLOURS = {
    "mask_rcnn": GREY,
    "baseline": COLOURS["baseline"],
    "gt_boxes": SKY,
    "opmask": COLOURS["opmask"],
    "class_specific": GREEN,
    "faster_rcnn": GREY,
    "box": BLACK,
}
LINES: dict[str, Literal["-", "--", "-."]] = {"unsupervised": "-", "supervised": "--", "all": "-."}
"""Classes -> style of a line."""


def heading(figure: Figure, text: str) -> None:
    """Write a heading over the left of a figure of pictures."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")

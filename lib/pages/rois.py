"""How one region of interest is drawn: the picture around a box, a mask, a heat map in the box."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import patheffects
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch.nn.functional import interpolate

from lib.data.coco import CocoSet, Instance
from lib.data.pictures.images import read_image
from lib.masks import rle
from lib.models.config import PriorNorm
from lib.models.prior import normalise
from lib.pages import drawing
from lib.pages.style import COLOURS, WIDTH
from lib.seeds import derive

SMALLEST = 24
"""Boxes with a shorter side, in pixels, are not drawn by themselves: there is little to see."""

MARGIN = 0.15
"""Picture shown around a box on each side, as a share of the box's longer side."""

LABELS = 0.3
"""Room beside a grid for what its rows show, in inches."""

SIDE = 14
"""Side of the prior where it meets the mask features."""

OUTLINED = [patheffects.withStroke(linewidth=1.8, foreground="black")]


@dataclass(frozen=True)
class Roi:
    """A box and the square of picture around it.

    Attributes:
        picture: uint8 [h, w, 3]: the part of the image, a square unless the image is smaller.
        left: of the part in its image, pixels.
        top: likewise.
        side: of the square, pixels.
        box: xyxy, pixels of the image.
    """

    picture: np.ndarray
    left: int
    top: int
    side: int
    box: tuple[float, float, float, float]

    def part(self, mask: np.ndarray) -> np.ndarray:
        """Return the part of a mask of the image, bool [H, W], that the picture shows."""
        return mask[self.top : self.top + self.side, self.left : self.left + self.side]


def choose(instances: Iterable[Instance], *, count: int) -> list[Instance]:
    """Return up to ``count`` instances to draw, by a hash of their ids and never by result.

    Crowd regions and boxes with a side below :data:`SMALLEST` are left out. No image is used twice
    while another has not been used.
    """
    some = [
        x for x in instances
        if not x.iscrowd and min(x.box[2] - x.box[0], x.box[3] - x.box[1]) >= SMALLEST
    ]  # fmt: skip
    seen: Counter[int] = Counter()
    turns: list[tuple[int, int, Instance]] = []
    for instance in sorted(some, key=lambda x: derive(0, "rois", x.id)):
        turns.append((seen[instance.image_id], len(turns), instance))
        seen[instance.image_id] += 1
    return [instance for *_, instance in sorted(turns, key=lambda turn: turn[:2])[:count]]


def roi(coco_set: CocoSet, instance: Instance) -> Roi:
    """Return an instance's box with the picture around it."""
    record = coco_set.image(instance.image_id)
    x1, y1, x2, y2 = instance.box
    wanted = (1 + 2 * MARGIN) * max(x2 - x1, y2 - y1)
    left, top, side = drawing.square_around(
        instance.box, int(np.ceil(wanted)), record.width, record.height
    )
    picture = read_image(record)[top : top + side, left : left + side]
    return Roi(picture, left, top, side, instance.box)


def true_mask(coco_set: CocoSet, instance: Instance) -> np.ndarray | None:
    """Return an instance's mask, bool [H, W], or None if nobody knows it."""
    return decoded(coco_set, instance, instance.segmentation) if instance.has_mask else None


def decoded(coco_set: CocoSet, instance: Instance, code: Any) -> np.ndarray:
    """Return a mask of an instance's image, bool [H, W], from its code in a file."""
    record = coco_set.image(instance.image_id)
    return rle.decode(code, record.height, record.width)


def prior_maps(maps: np.ndarray, *, side: int = SIDE, norm: PriorNorm = "min_max") -> np.ndarray:
    """Return the priors, ``[N, side, side]``, of raw class activation maps ``[N, h, w]``.

    Scaled for each box, then bilinear, as OPMask does it (:mod:`lib.models.prior`).

    Args:
        maps: as the model gave them.
        side: of the priors.
        norm: how the model scales them: its setting ``prior_norm``. All but ``none`` give values in
            [0, 1].
    """
    given = torch.from_numpy(np.asarray(maps, dtype=np.float32))[:, None]
    resized = interpolate(
        normalise(given, norm), size=(side, side), mode="bilinear", align_corners=False
    )
    return resized[:, 0].numpy()


def draw_roi(axes: Axes, shown: Roi, mask: np.ndarray | None = None, colour: str = "") -> None:
    """Draw the picture around a box, and a mask over it.

    Args:
        axes: where to.
        shown: the box and its picture.
        mask: of the whole image, bool [H, W].
        colour: of the mask.
    """
    picture = (
        shown.picture if mask is None else drawing.overlay(shown.picture, shown.part(mask), colour)
    )
    axes.imshow(picture, interpolation="lanczos")
    if mask is not None:
        outline(axes, shown, mask)
    _frame(axes, shown)


def draw_truth(axes: Axes, coco_set: CocoSet, instance: Instance) -> Roi:
    """Draw an instance with the outline of its true mask, if there is one; return its region."""
    shown, truth = roi(coco_set, instance), true_mask(coco_set, instance)
    draw_roi(axes, shown)
    if truth is not None:
        outline(axes, shown, truth)
    return shown


def draw_heat(
    axes: Axes,
    shown: Roi,
    heat: np.ndarray,
    *,
    limits: tuple[float, float] = (0, 1),
    colours: str = "viridis",
    smooth: bool = True,
) -> None:
    """Draw a heat map that tiles a box over the picture around it, which turns grey.

    Args:
        axes: where to.
        shown: the box and its picture.
        heat: ``[h, w]``.
        limits: values at the ends of the colours.
        colours: a matplotlib colour map.
        smooth: interpolate between the cells.
    """
    grey = shown.picture.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    axes.imshow(grey, interpolation="lanczos")
    x1, y1, x2, y2 = _inside(shown)
    axes.imshow(
        heat, cmap=colours, vmin=limits[0], vmax=limits[1], alpha=0.7,
        extent=(x1, x2, y2, y1), interpolation="bilinear" if smooth else "nearest",
    )  # fmt: skip
    _frame(axes, shown)


def outline(axes: Axes, shown: Roi, mask: np.ndarray) -> None:
    """Draw the outline of a mask of the whole image, bool [H, W]."""
    drawing.outline(axes, shown.part(mask), (-0.5, -0.5), ("black", 1.6), ("white", 0.8))


def note(axes: Axes, text: str) -> None:
    """Write a short text into the lower left corner of a picture."""
    axes.text(
        0.04, 0.04, text, color="white", fontsize=8, fontweight="bold", ha="left", va="bottom",
        transform=axes.transAxes, path_effects=OUTLINED,
    )  # fmt: skip


def heading(figure: Figure, text: str) -> None:
    """Write a heading over the left of a figure of pictures."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")


def title(axes: Axes, text: str) -> None:
    """Write what a column of pictures shows above it."""
    axes.set_title(text, fontsize=8.5, fontweight="normal", loc="center", pad=3)


def row_label(axes: Axes, text: str) -> None:
    """Write what a row of pictures shows beside its first one."""
    axes.text(
        -0.06, 0.5, text, rotation=90, fontsize=8.5, fontweight="bold", ha="right", va="center",
        ma="center", transform=axes.transAxes,
    )  # fmt: skip


def grid(rows: Sequence[str], columns: int, most: int) -> tuple[Figure, np.ndarray]:
    """Return a grid of square pictures that is as wide as the page with ``most`` columns.

    Args:
        rows: what each row shows; written beside it.
        columns: of the grid.
        most: columns that fill the page.
    """
    side = (WIDTH - LABELS) / most
    figure, panels = plt.subplots(
        len(rows), columns, figsize=(LABELS + side * columns, side * len(rows) + 0.5),
        squeeze=False, layout=ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02, compress=True),
    )  # fmt: skip
    for row, text in zip(panels, rows, strict=True):
        row_label(row[0], text)
    return figure, panels


def _inside(shown: Roi) -> tuple[float, float, float, float]:
    """Return the box in the coordinates of its picture, whose first pixel is centred on 0."""
    x1, y1, x2, y2 = shown.box
    left, top = shown.left + 0.5, shown.top + 0.5
    return x1 - left, y1 - top, x2 - left, y2 - top


def _frame(axes: Axes, shown: Roi) -> None:
    """Draw the box, and show the whole square even where the image ends."""
    drawing.draw_box(axes, _inside(shown), ("black", 2.2), (COLOURS["box"], 1.1))
    axes.axis("off")
    axes.set(xlim=(-0.5, shown.side - 0.5), ylim=(shown.side - 0.5, -0.5))

"""Pictures of pseudo-masks: crops around boxes, with mask, box and box IoU."""

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.data.coco import CocoSet, Instance
from lib.data.pictures.images import read_image
from lib.masks import rle
from lib.masks.pseudo import boxes_of
from lib.pages.drawing import draw_box, outline, overlay, square_around
from lib.pages.style import COLOURS, WIDTH, plain
from lib.seeds import derive

COLUMNS = 6
"""Crops in a row of a gallery."""


def choose(pseudo: CocoSet, *, valid: bool, count: int) -> list[Instance]:
    """Return up to ``count`` boxes whose mask is valid, or not, drawn by a hash of their ids."""
    some = [
        instance
        for instance in boxes_of(pseudo.all_instances())
        if instance.pseudo is not None and instance.pseudo["valid"] == valid
    ]
    return sorted(some, key=lambda instance: derive(0, "gallery", instance.id))[:count]


def gallery(pseudo: CocoSet, groups: Mapping[str, Sequence[Instance]]) -> Figure | None:
    """Draw boxes with their masks, group after group.

    Args:
        pseudo: a pseudo-mask file, opened with its images.
        groups: title -> boxes; groups without boxes are left out.

    Returns:
        The figure, or None if there is no box at all.
    """
    shown = {title: list(boxes) for title, boxes in groups.items() if boxes}
    if not shown:
        return None
    rows = {title: -(-len(boxes) // COLUMNS) for title, boxes in shown.items()}
    side = WIDTH / COLUMNS
    heights = [count * (side + 0.26) + 0.3 for count in rows.values()]
    figure = plt.figure(figsize=(WIDTH, sum(heights)))
    parts = figure.subfigures(len(shown), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (title, boxes) in zip(parts, shown.items(), strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        panels = part.subplots(rows[title], COLUMNS, squeeze=False).ravel()
        for axes in panels:
            axes.axis("off")
        for axes, instance in zip(panels, boxes, strict=False):
            draw(axes, pseudo, instance)
    return figure


def draw(axes: Axes, pseudo: CocoSet, instance: Instance) -> None:
    """Draw one box: a square crop around it, the mask in colour, the rest as it is."""
    record = pseudo.image(instance.image_id)
    picture = read_image(record)
    mask = rle.decode_mask(instance, record.height, record.width)
    x1, y1, x2, y2 = instance.box
    longer = max(x2 - x1, y2 - y1)
    wanted = round(longer + max(0.5 * longer, 12))
    left, top, side = square_around(instance.box, wanted, record.width, record.height)
    shown = overlay(picture, mask)[top : top + side, left : left + side]
    axes.imshow(shown, extent=(left, left + shown.shape[1], top + shown.shape[0], top))
    part = mask[top : top + side, left : left + side]
    outline(axes, part, (left, top), ("white", 0.9))
    draw_box(axes, instance.box, ("black", 2.6), (COLOURS["box"], 1.2))
    axes.set(xlim=(left, left + side), ylim=(top + side, top))
    quality = f"{instance.pseudo['box_iou']:.2f}" if instance.pseudo else "–"
    name = plain(pseudo.categories.name_of(instance.label), 14)
    colour = COLOURS["valid" if instance.pseudo and instance.pseudo["valid"] else "invalid"]
    axes.set_title(
        f"{name}  {quality}", fontsize=8, fontweight="normal", loc="left", pad=3, color=colour
    )

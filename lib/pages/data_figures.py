"""Pictures of the data: classes, sizes, overlap, and sheets of scenes with their labels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.data.coco import CocoSet, Instance
from lib.data.overlap import AMBIGUOUS_FROM
from lib.data.pictures.images import ImageRecord, read_image
from lib.masks import rle
from lib.masks.quality import SMALL_SIDE
from lib.metrics.data_statistics import SIZE_EDGES
from lib.pages.drawing import box_area, draw_box, size_labels
from lib.pages.style import BLACK, BLUE, COLOURS, FLAT, GREEN, ORANGE, PINK, RED, SKY, WIDTH, plain
from lib.seeds import derive

SPLIT_COLOURS = {"voc": BLUE, "non_voc": PINK}
SPLIT_NAMES = {"voc": "VOC class", "non_voc": "other class"}

MOST_CLASSES = 14
"""Classes shown at most, of those with the closest others."""

SHEET_PICTURES, SHEET_COLUMNS = 9, 3
"""Pictures on a sheet, and of these in a row."""

_OBJECT_COLOURS = (SKY, ORANGE, GREEN, PINK, RED, "#f0e442", BLUE)


def class_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how many instances each class has in each set.

    Args:
        tables: ``class_table`` of the sets by name; the first one is drawn as bars and sets the
            order, a second one as dots.
    """
    names = list(tables)
    order = tables[names[0]].sort_values("instances", ascending=False).index
    columns = 1 if len(order) <= 16 else 2 if len(order) <= 40 else 3
    rows = -(-len(order) // columns)
    most = max(int(table["instances"].max()) for table in tables.values())
    figure, panels = plt.subplots(
        1, columns, figsize=(WIDTH, 1.1 + 0.2 * rows), sharex=True, squeeze=False
    )
    for axes, start in zip(panels[0], range(0, len(order), rows), strict=False):
        some = order[start : start + rows]
        first = tables[names[0]].loc[some]
        place = np.arange(len(some))
        axes.barh(place, first["instances"], color=first["split"].map(SPLIT_COLOURS), height=0.72)
        for name in names[1:2]:
            other = tables[name].loc[some, "instances"]
            axes.plot(other, place, "o", color=BLACK, markersize=4, markeredgecolor="white")
        axes.set_yticks(place, first["name"].map(plain))
        axes.set_ylim(rows - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("instances")
        if most > 40 * max(tables[names[0]]["instances"].median(), 1):
            axes.set_xscale("symlog", linthresh=10)
            ticks = [0, *(10**k for k in range(1, 7) if 10**k <= most)]
            axes.set_xticks(ticks, [f"{tick:,}".replace(",", "\u2009") for tick in ticks])
            axes.set_xlim(0, most * 1.3)
    present = [s for s in SPLIT_COLOURS if (tables[names[0]]["split"] == s).any()]
    marks: list[Patch | Line2D] = [
        Patch(color=SPLIT_COLOURS[s], label=f"{names[0]}, {SPLIT_NAMES[s]}") for s in present
    ]
    marks += [
        Line2D([], [], color=BLACK, marker="o", linestyle="", markersize=5, label=name)
        for name in names[1:2]
    ]
    figure.legend(handles=marks, loc="outside upper left", ncols=len(marks))
    return figure


def size_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how large the boxes are, small ones (paper A: area below 64 x 64) set off.

    Args:
        tables: ``instance_table`` of the sets by name.
    """
    figure, panels = plt.subplots(1, len(tables), figsize=(WIDTH, FLAT), sharey=True, squeeze=False)
    labels = size_labels(SIZE_EDGES)
    for axes, (name, table) in zip(panels[0], tables.items(), strict=True):
        counts, _ = np.histogram(table["size"], bins=np.array(SIZE_EDGES))
        small = np.array(SIZE_EDGES[1:]) <= SMALL_SIDE
        axes.bar(
            np.arange(len(counts)),
            counts / max(len(table), 1) * 100,
            color=[COLOURS["small" if s else "large"] for s in small],
            width=0.86,
        )
        axes.set_xticks(np.arange(len(counts)), labels, rotation=45, ha="right")
        axes.grid(axis="x", visible=False)
        share = f", {table['small'].mean() * 100:.0f} % small" if len(table) else ""
        axes.set_title(f"{name}: {len(table)} boxes{share}")
        axes.set_xlabel("√ box area in pixels")
    panels[0][0].set_ylabel("share of boxes in %")
    marks = [
        Patch(color=COLOURS["small"], label=f"small: area below {SMALL_SIDE} × {SMALL_SIDE}"),
        Patch(color=COLOURS["large"], label="large"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


def overlap_figure(instances: Mapping[str, pd.DataFrame], classes: pd.DataFrame) -> Figure:
    """Draw how close boxes come to each other, and which classes are ambiguous most often.

    Args:
        instances: ``instance_table`` of the sets by name.
        classes: ``class_table`` of the set whose classes are shown, ``MOST_CLASSES`` at most.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 0.55 * WIDTH), width_ratios=[1.05, 1]
    )
    grid = np.linspace(0.02, 1, 99)
    drawn = [(name, table) for name, table in instances.items() if len(table)]
    for (name, table), colour, line in zip(drawn, (BLUE, ORANGE), ("-", "--"), strict=False):
        reached = (table["nearest_iou"].to_numpy()[:, None] >= grid).mean(axis=0) * 100
        share = table["ambiguous"].mean() * 100
        left.plot(grid, reached, line, color=colour, label=f"{name} ({share:.1f} % ambiguous)")
    left.axvspan(AMBIGUOUS_FROM, 1, color="#f1f1f1", zorder=0)
    left.text(AMBIGUOUS_FROM + 0.02, 0.62, "ambiguous", transform=left.transAxes, color="#555555")
    left.set(xlim=(0, 1), ylim=(0, None), xlabel="box IoU with the nearest other, at least")
    left.set_ylabel("share of instances in %")
    left.set_title("How close others come")
    left.legend(loc="upper right")

    shown = classes[classes["instances"] > 0].nlargest(MOST_CLASSES, "mean_nearest_iou")[::-1]
    place = np.arange(len(shown))
    right.barh(place, shown["mean_nearest_iou"], color=shown["split"].map(SPLIT_COLOURS))
    right.set_yticks(
        place, [f"{plain(n)} ({c})" for n, c in shown[["name", "instances"]].to_numpy()]
    )
    right.grid(axis="y", visible=False)
    right.set_xlabel("mean box IoU with the nearest other")
    right.set_title("Classes with the closest others")
    marks = [
        Patch(color=colour, label=SPLIT_NAMES[split])
        for split, colour in SPLIT_COLOURS.items()
        if (shown["split"] == split).any()
    ]
    right.legend(handles=marks, loc="lower right")
    return figure


def scene_sheet(coco_set: CocoSet) -> Figure | None:
    """Draw pictures with their boxes and, where there are any, their masks.

    Args:
        coco_set: a set opened with its pictures. ``SHEET_PICTURES`` of those that have objects
            are shown, drawn by a hash of their ids.

    Returns:
        The figure; None if no picture has an object.
    """
    labelled = [image for image in coco_set.images if coco_set.instances(image.id)]
    chosen = sorted(labelled, key=lambda image: derive(0, "sheet", image.id))[:SHEET_PICTURES]
    if not chosen:
        return None
    rows = -(-len(chosen) // SHEET_COLUMNS)
    ratio = float(np.median([image.height / image.width for image in chosen]))
    figure, panels = plt.subplots(
        rows,
        SHEET_COLUMNS,
        figsize=(WIDTH, rows * WIDTH / SHEET_COLUMNS * ratio),
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0),
    )
    for axes in panels.ravel():
        axes.axis("off")
    for axes, image in zip(panels.ravel(), chosen, strict=False):
        draw_labels(axes, image, coco_set.instances(image.id), coco_set.categories.names)
    return figure


def draw_labels(
    axes: Axes, image: ImageRecord, instances: tuple[Instance, ...], names: tuple[str, ...]
) -> None:
    """Draw a picture with its boxes, masks and class names; the largest objects are named."""
    picture = read_image(image).astype(np.float32)
    drawn = sorted((x for x in instances if not x.iscrowd), key=lambda x: -box_area(x.box))
    colour_of = {x.id: _OBJECT_COLOURS[k % len(_OBJECT_COLOURS)] for k, x in enumerate(drawn)}
    for x in (x for x in drawn if x.has_mask):
        mask = rle.decode_mask(x, image.height, image.width)
        tint = np.array(colors.to_rgb(colour_of[x.id])) * 255
        picture[mask] = 0.7 * picture[mask] + 0.3 * tint
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=[colour_of[x.id]], linewidths=0.9)
    axes.imshow(picture.round().astype(np.uint8), interpolation="antialiased", zorder=0)
    axes.set(xlim=(0, image.width), ylim=(image.height, 0), aspect="equal")
    for k, x in enumerate(drawn):
        x1, y1, x2, _ = x.box
        draw_box(axes, x.box, ("#00000080", 2.4), (colour_of[x.id], 1.2))
        if k < 5 and (x2 - x1) > 0.12 * image.width:
            name = plain(names[x.label - 1], 14)
            axes.text(
                x1, y1, f" {name} ", size=7, color="black", va="top", clip_on=True,
                bbox={"facecolor": colour_of[x.id], "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            )  # fmt: skip

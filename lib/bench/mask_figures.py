"""Figures and sentences on what masks cost: the fast method beside GrabCut on the whole image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lib.bench.mask_boxes import ALL, EDGES
from lib.bench.mask_tables import COCO_BOXES, COCO_CORES, COCO_IMAGES
from lib.pages.style import COLOURS, FLAT, WIDTH
from lib.progress import duration

METHODS = {"exact": COLOURS["baseline"], "fast": COLOURS["ours"]}
"""The methods and their colours."""

PLATE = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}
PIXELS = FuncFormatter(lambda side, _: f"{side:g}")


def seconds_by_size(boxes: pd.DataFrame, speed: pd.DataFrame | None = None) -> Figure:
    """Draw what each mask costs by the size of its box, and how much is saved.

    Args:
        boxes: columns ``box_area`` (pixels), ``exact_seconds`` and ``fast_seconds``.
        speed: of `lib.bench.mask_tables.speed_table`; without it there is no second plot.
    """
    plots = 1 if speed is None else 2
    ratios = [1.5, 1.0][:plots]
    figure, panels = plt.subplots(
        1, plots, figsize=(WIDTH, FLAT * 1.1), squeeze=False, width_ratios=ratios
    )
    _points(panels[0][0], boxes)
    if speed is not None:
        _ratios(panels[0][1], speed)
    return figure


def _points(axes: Axes, boxes: pd.DataFrame) -> None:
    side = np.sqrt(boxes["box_area"])
    bins = np.digitize(side, EDGES)
    for method, colour in METHODS.items():
        times = boxes[f"{method}_seconds"] * 1000
        axes.scatter(side, times, s=12, color=colour, alpha=0.35, linewidth=0)
        groups = pd.DataFrame({"side": side, "times": times}).groupby(bins).median()
        axes.plot(
            groups["side"],
            groups["times"],
            color=colour,
            marker="o",
            markeredgecolor="white",
            label=f"{method} (line: medians)",
        )
    axes.set(xscale="log", yscale="log", ylabel="milliseconds per box, one core")
    axes.set_xlabel("square root of the box area, pixels")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PIXELS)
        axis.set_minor_formatter("")
    axes.set_xticks([x for x in (4, 8, 16, *EDGES, 512, 1024) if side.min() < x < side.max()])
    axes.set_title("What a mask costs")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 2.5)  # room for the legend
    axes.legend(loc="upper left", ncols=2, columnspacing=1.2)


def _ratios(axes: Axes, speed: pd.DataFrame) -> None:
    sizes = speed[speed["size"] != ALL]
    places = np.arange(len(sizes))
    (total,) = speed.loc[speed["size"] == ALL, "ratio"]
    axes.axhline(1, color="black", linewidth=1)
    axes.axhline(total, color="black", linestyle="--", linewidth=1.2)
    label, right = f"all: {total:.1f} ", len(sizes) - 0.5
    axes.text(right, total, label, ha="right", va="bottom", fontsize=9, bbox=PLATE)
    axes.bar(places, sizes["ratio"], color=COLOURS["ours"], width=0.7, alpha=0.6)
    axes.vlines(places, sizes["ci_low"], sizes["ci_high"], color="black", linewidth=2)
    axes.set_xticks(places, sizes["size"], rotation=45, ha="right")
    axes.set(ylabel="time, exact / fast", xlabel="box area, pixels", xlim=(-0.5, len(sizes) - 0.5))
    axes.set_ylim(0, None)
    axes.grid(axis="x", visible=False)
    axes.set_title("How many times as fast")


def readable_seconds(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.mask_tables.speed_table` with times in milliseconds."""
    times = {f"{name}_ms": 1000 * table[f"{name}_seconds"] for name in METHODS}
    columns = ["size", "boxes", "images", *times, "ratio", "ci_low", "ci_high"]
    return table.assign(**times)[columns]


def readable_hours(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.mask_tables.coco_table` with times as people say them."""
    shown = table[["method", "core_hours"]].copy()
    for cores in COCO_CORES:
        of_cores = f"{cores}_core{'s' * (cores > 1)}"
        hours = table[f"hours_on_{of_cores}"]
        shown[f"on_{of_cores}"] = [duration(3600 * value) for value in hours]
    return shown


def measured_line(content: Mapping[str, Any]) -> str:
    """Return what was measured where, as sentences.

    Args:
        content: what `lib.bench.masks` wrote.
    """
    what, machine = content["set"], content["machine"]
    return (
        f"{what['boxes']:,} boxes on {what['images']:,} pictures of "
        f"{what['image_pixels'] / 1e6:.2f} megapixels on average; one core of {machine['cores']} "
        f"({machine['processor']}), of which {content['cores_used']:.0%} was used (less: something "
        f"else ran too); OpenCV {machine['opencv']}. The first mask of the fast method in a "
        f"process, which compiles it or loads what was compiled before, took "
        f"{content['compile_seconds']:.1f} s and is counted nowhere else."
    )


def per_image_line(boxes: pd.DataFrame) -> str:
    """Return what is done once for an image costs, as a sentence.

    Args:
        boxes: of `lib.bench.mask_boxes.boxes_of`.
    """
    images = boxes.groupby("image_id").first()
    decode, exact, fast = (
        1000 * images[name].mean() for name in ("decode", "exact_prepare", "fast_prepare")
    )
    return (
        f"Once for an image: decoding it {decode:.1f} ms (in no time above); preparing it "
        f"{fast:.1f} ms (fast) and {exact:.1f} ms (exact), shared by its "
        f"{images['image_boxes'].mean():.1f} boxes on average."
    )


def coco_line(content: Mapping[str, Any], workers: pd.DataFrame) -> str:
    """Return from what the cost of COCO is extrapolated, and what is assumed, as sentences.

    Args:
        content: what `lib.bench.masks` wrote.
        workers: of `lib.bench.mask_tables.workers_table`.
    """
    two = workers.set_index("workers").loc[2]
    return (
        f"COCO train2017 has about {COCO_BOXES:,} boxes on {COCO_IMAGES:,} pictures, most of them "
        f"of 0.3 megapixels. These hours are what they would take if they were like the pictures "
        f"measured here, of {content['set']['image_pixels'] / 1e6:.2f} megapixels. Perfect scaling "
        f"is assumed; measured, with the fast method on {two['boxes']:,.0f} boxes from pictures to "
        f"the file: two workers are {two['speedup']:.2f} times as fast as one, an efficiency of "
        f"{two['efficiency']:.0%}."
    )

"""Figure and sentences on what masks cost: the fast method beside GrabCut on the whole image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.bench.mask_tables import ALL, COCO_BOXES, COCO_CORES, COCO_IMAGES
from lib.pages.mask_cost import METHODS, draw_seconds
from lib.pages.style import COLOURS, FLAT, WIDTH
from lib.progress import duration

PLATE = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}


def seconds_and_ratios(boxes: pd.DataFrame, speed: pd.DataFrame) -> Figure:
    """Draw what each mask costs by the size of its box, and how much is saved.

    Args:
        boxes: of `lib.bench.mask_tables.boxes_of`.
        speed: of `lib.bench.mask_tables.speed_table`.
    """
    figure, (points, axes) = plt.subplots(1, 2, figsize=(WIDTH, FLAT * 1.1), width_ratios=[1.5, 1])
    draw_seconds(points, boxes)
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
    axes.set(ylabel="time, exact / fast", xlabel="box area, pixels", xlim=(-0.5, right))
    axes.set_ylim(0, None)
    axes.grid(axis="x", visible=False)
    axes.set_title("How many times as fast")
    return figure


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
        boxes: of `lib.bench.mask_tables.boxes_of`.
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


def coco_line(content: Mapping[str, Any]) -> str:
    """Return from what the cost of COCO is extrapolated, and what is assumed, as sentences.

    Args:
        content: what `lib.bench.masks` wrote.
    """
    return (
        f"COCO train2017 has about {COCO_BOXES:,} boxes on {COCO_IMAGES:,} pictures, most of them "
        f"of 0.3 megapixels. These hours are what they would take if they were like the pictures "
        f"measured here, of {content['set']['image_pixels'] / 1e6:.2f} megapixels, and if images "
        "shared out to processes kept all cores busy."
    )

"""Figures of pseudo-masks: how good, which sizes fail, and what the box test sees."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lib.masks.quality import SMALL_SIDE
from lib.pages.drawing import handle, hollow, intervals, size_labels
from lib.pages.style import COLOURS, FLAT, GREY, TALL, WIDTH

PERCENT = PercentFormatter(xmax=1, decimals=0)
_PLATE = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}


def box_iou_histogram(frame: pd.DataFrame, *, valid_from: float) -> Figure:
    """Draw how the box IoU is distributed over small and large boxes.

    Args:
        frame: of `lib.hybridnet.fig1.frame_of`.
        valid_from: threshold of the test.
    """
    small = frame["box_area"] < SMALL_SIDE**2
    figure, axes = plt.subplots(figsize=(WIDTH, FLAT))
    groups = [("small", small), ("large", ~small)]
    axes.hist(
        [frame.loc[rows, "box_iou"] for _, rows in groups], bins=list(np.linspace(0, 1, 21)),
        stacked=True, color=[COLOURS[name] for name, _ in groups], edgecolor="white",
        label=[f"{name} boxes ({rows.sum():,})" for name, rows in groups],
    )  # fmt: skip
    axes.axvline(valid_from, color="black", linestyle="--", linewidth=1.2)
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * 1.15)
    for text, shift, side in (("invalid", -0.01, "right"), ("valid", 0.01, "left")):
        axes.text(valid_from + shift, top * 1.07, text, ha=side, color=COLOURS[text])
    axes.set(xlim=(0, 1), xlabel="IoU of the mask's tight box and the given box", ylabel="boxes")
    axes.legend(loc="upper left", bbox_to_anchor=(0.06, 0.95))
    axes.set_title("How much of its box a mask spans")
    return figure


def size_histogram(bins: pd.DataFrame, *, side: int = SMALL_SIDE) -> Figure:
    """Draw the data of paper A's Fig. 1: invalid masks by size, in number and as a share.

    Args:
        bins: of `lib.hybridnet.fig1.histogram`, with the same ``side``.
        side: below this size an object is small, pixels.
    """
    places = np.arange(len(bins))
    labels = size_labels([*bins["size_from"], bins["size_to"].iloc[-1]])
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, FLAT * 1.1))
    left.bar(places, bins["invalid"], color=COLOURS["invalid"], label="invalid", width=0.86)
    left.bar(
        places, bins["boxes"] - bins["invalid"], bottom=bins["invalid"], color=COLOURS["valid"],
        label="valid", width=0.86, alpha=0.35,
    )  # fmt: skip
    left.set(title="Boxes by size", ylabel="boxes", ylim=(0, max(bins["boxes"].max(), 1) * 1.25))
    left.legend(loc="upper right")
    right.bar(places, bins["invalid_share"].fillna(0), color=COLOURS["invalid"], width=0.86)
    for place, share, count in zip(places, bins["invalid_share"], bins["boxes"], strict=True):
        if count:
            right.text(place, share + 0.015, f"{share:.0%}", ha="center", fontsize=8, bbox=_PLATE)
    right.set(title="Invalid share of each size", ylim=(0, 1.08))
    right.yaxis.set_major_formatter(PERCENT)
    boundary = float((bins["size_to"] <= side).sum()) - 0.5
    for axes in (left, right):
        axes.set_xticks(places, labels, rotation=45, ha="right", fontsize=8)
        axes.set_xlabel("square root of the box area, pixels")
        axes.grid(axis="x", visible=False)
        axes.axvline(boundary, color="black", linestyle="--", linewidth=1.2)
        top = axes.get_ylim()[1] * 0.99
        axes.text(boundary + 0.1, top, f"{side} px", ha="left", va="top", fontsize=8)
    return figure


def shares_beside_paper(table: pd.DataFrame) -> Figure:
    """Draw the four shares of Fig. 1 with their intervals beside the paper's numbers.

    Args:
        table: columns ``label``, ``estimate``, ``ci_low``, ``ci_high``, ``paper`` (fractions of 1).
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 0.6 + 0.52 * len(table)))
    places = np.arange(len(table))[::-1]
    gaps = table[["paper", "estimate"]].to_numpy()
    axes.hlines(places, gaps.min(axis=1), gaps.max(axis=1), color="#d0d0d0", linewidth=1.2)
    intervals(
        axes, places, table, COLOURS["ours"], columns=("estimate", "ci_low", "ci_high"), paper=True
    )
    axes.set_yticks(places, list(table["label"]))
    axes.set(xlim=(0, 1), ylim=(-0.6, len(table) - 0.4))
    axes.xaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y", visible=False)
    ours = handle(COLOURS["ours"], "ours, 95 % interval")
    paper = handle("none", "paper A", marker="D", **hollow("marker"))
    figure.legend(handles=[ours, paper], loc="outside upper right", ncols=2)
    return figure


def mosaic(cases: dict[str, tuple[float, float, float]]) -> Figure:
    """Draw sets of boxes as unit squares: columns small and large, the invalid share filled.

    The area of a rectangle is its share of all boxes, so the overall invalid share is the filled
    area: what three ratios imply can be seen.

    Args:
        cases: title -> (small share S/N, invalid share of the small, invalid share of the large).
    """
    figure, panels = plt.subplots(
        1, len(cases), figsize=(WIDTH, 0.2 + WIDTH / max(len(cases), 2)), squeeze=False
    )
    for axes, (title, (small, of_small, of_large)) in zip(panels[0], cases.items(), strict=True):
        columns = [(0.0, small, of_small, "small"), (small, 1 - small, of_large, "large")]
        for left, width, share, name in columns:
            middle = left + width / 2
            axes.bar(middle, 1, width, color=COLOURS["valid"], alpha=0.25, edgecolor="white")
            axes.bar(middle, share, width, color=COLOURS["invalid"], edgecolor="white")
            above, va, ink = (-0.02, "top", "white") if share > 0.12 else (0.02, "bottom", "black")
            axes.text(middle, share + above, f"{share:.0%}", ha="center", va=va, color=ink)
            axes.text(middle, 1.02, f"{name}\n{width:.1%}", ha="center", va="bottom", fontsize=9)
        overall = small * of_small + (1 - small) * of_large
        axes.axhline(overall, color="black", linestyle="--", linewidth=1.3)
        text = f"all: {overall:.1%} invalid"
        axes.text(0.985, overall + 0.025, text, ha="right", va="bottom", bbox=_PLATE)
        axes.set(xlim=(0, 1), ylim=(0, 1.0), xticks=[])
        axes.yaxis.set_major_formatter(PERCENT)
        axes.grid(visible=False)
        axes.set_title(title, pad=32)
    panels[0][0].set_ylabel("invalid share")
    return figure


def validity_curves(curve: pd.DataFrame, *, valid_from: float) -> Figure:
    """Draw precision and recall of "valid" over the threshold on the box IoU.

    Args:
        curve: of `lib.hybridnet.validity.curve`.
        valid_from: the threshold in use.
    """
    looks = {
        "precision": ("-", COLOURS["valid"]),
        "recall": ("--", COLOURS["small"]),
        "kept": (":", GREY),
    }
    limits = sorted(curve["good_from"].unique())
    figure, panels = plt.subplots(1, len(limits), figsize=(WIDTH, FLAT), sharey=True, squeeze=False)
    for axes, limit in zip(panels[0], limits, strict=True):
        rows = curve[curve["good_from"] == limit]
        for name, (line, colour) in looks.items():
            axes.plot(rows["threshold"], rows[name], line, color=colour, label=name)
        axes.axvline(valid_from, color="black", linestyle="--", linewidth=1)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="valid from this box IoU")
        axes.set_title(f"good = true IoU ≥ {limit:g}")
        axes.yaxis.set_major_formatter(PERCENT)
    panels[0][0].legend(loc="lower left")
    return figure


def box_against_true(joined: pd.DataFrame, *, valid_from: float, good_from: float) -> Figure:
    """Draw every mask by what the test sees (box IoU) and what is true (IoU with the true mask).

    Args:
        joined: of `lib.hybridnet.validity.with_truth`.
        valid_from: threshold on the box IoU.
        good_from: IoU with the true mask from which a mask is good.
    """
    figure, axes = plt.subplots(figsize=(WIDTH * 0.82, TALL))
    points = axes.scatter(
        joined["box_iou"], joined["true_iou"], c=joined["fill"].clip(0, 1), cmap="cividis", s=13,
        alpha=0.75, linewidth=0,
    )  # fmt: skip
    axes.axvline(valid_from, color="black", linewidth=1, linestyle="--")
    axes.axhline(good_from, color="black", linewidth=1, linestyle="--")
    valid, good = joined["box_iou"] >= valid_from, joined["true_iou"] >= good_from
    corners = [
        (0.0, 1.03, "bottom", "left", ~valid & good, "good, rejected"),
        (1.0, 1.03, "bottom", "right", valid & good, "good, kept"),
        (0.0, -0.03, "top", "left", ~valid & ~good, "bad, rejected"),
        (1.0, -0.03, "top", "right", valid & ~good, "bad, kept (not seen)"),
    ]
    for x, y, vertical, horizontal, rows, text in corners:  # beyond the points: they hide none
        axes.text(x, y, f"{text}: {rows.mean():.1%}", va=vertical, ha=horizontal, fontsize=9)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.1, 1.1), yticks=np.linspace(0, 1, 6))
    axes.set(xlabel="box IoU: what the test sees", ylabel="IoU with the true mask")
    figure.colorbar(points, ax=axes, label="share of the box that the mask fills", pad=0.02)
    return figure

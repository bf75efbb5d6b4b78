"""What the fast method of GrabCut saves, and whether its masks are GrabCut's up to chance.

GrabCut starts from a random k-means, so two runs of the very same method differ: how far two seeds
of the whole-image method agree is what the fast method's agreement with it is held against.
Intervals are at 95 %, over images, paired: in every resample the same images are drawn for both
sides of a ratio or a difference.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.bench.program import interval_columns
from lib.hybridnet import fig1
from lib.masks.quality import SMALL_SIDE, VALID_FROM
from lib.masks.trials import EXACT, FAST, OTHER_SEED, by_box, mask_ious
from lib.metrics.bootstrap import ImageSums
from lib.pages.mask_cost import EDGES

RUNS = (EXACT, OTHER_SEED, FAST)

ALL = "all"
SIZES = ("< 32²", "32²–64²", "64²–128²", "128²–256²", "≥ 256²")
"""Names of the sizes, by box area in pixels; see `EDGES`."""

COCO_BOXES, COCO_IMAGES = 860_000, 118_000
"""Boxes and images of COCO train2017, rounded."""

COCO_CORES = (1, 16, 1024)

FIG1 = (
    "A.fig1.invalid_rate",
    "A.fig1.small_share_of_invalid",
    "A.fig1.small_invalid_rate",
    "A.fig1.large_invalid_rate",
)
"""Percentages of paper A's Fig. 1, of `lib.hybridnet.fig1.QUANTITIES`."""


def boxes_of(content: Mapping[str, Any], *, valid_from: float = VALID_FROM) -> pd.DataFrame:
    """Return one row per box of a measurement.

    Args:
        content: what `lib.bench.masks.measure` returned.
        valid_from: box IoU from which a mask is valid.

    Returns:
        Columns ``annotation_id``, ``image_id``, ``size`` (of `SIZES`), ``box_area`` and
        ``image_area`` (pixels); ``exact_seconds`` (mean of both seeds) and ``fast_seconds``, with
        each box's share of what is done once per image; that part, of the image, as
        ``exact_prepare`` and ``fast_prepare``, and ``image_boxes`` that share it; ``decode``
        (of the picture, seconds); ``valid_<run>`` and ``true_iou_<run>`` (NaN without a true
        mask) of each run; ``mask_iou_seeds`` and ``mask_iou_fast``: IoU of the exact mask with
        that of another seed and with the fast one.
    """
    boxes = by_box(pd.DataFrame(content["rows"]))
    same = ["image_id", "box_area", "image_area", "image_boxes"]
    frame = pd.DataFrame({name: boxes[name][EXACT] for name in same})
    frame["size"] = [SIZES[i] for i in np.digitize(np.sqrt(frame["box_area"]), EDGES)]
    frame["exact_seconds"] = (boxes["seconds"][EXACT] + boxes["seconds"][OTHER_SEED]) / 2
    frame["fast_seconds"] = boxes["seconds"][FAST]
    for method in (EXACT, FAST):
        frame[f"{method}_prepare"] = boxes["prepare_seconds"][method]
    frame["decode"] = boxes["decode_seconds"][EXACT]
    for run in RUNS:
        frame[f"valid_{run}"] = boxes["box_iou"][run] >= valid_from
        frame[f"true_iou_{run}"] = boxes["true_iou"][run].astype(float)
    frame["mask_iou_seeds"] = mask_ious(boxes, EXACT, OTHER_SEED)
    frame["mask_iou_fast"] = mask_ious(boxes, EXACT, FAST)
    return frame.reset_index()


def by_size(boxes: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield all boxes, then those of each size; nothing where there is none."""
    for size in (ALL, *SIZES):
        part = boxes if size == ALL else boxes[boxes["size"] == size]
        if len(part):
            yield size, part


def _sums(boxes: pd.DataFrame, cells: pd.DataFrame, draws: Mapping[str, int]) -> ImageSums:
    """Return the sums over images of what is counted of each box."""
    per_image = cells.astype(float).groupby(boxes["image_id"].to_numpy()).sum()
    return ImageSums(per_image, **draws)


def speed_table(boxes: pd.DataFrame, **draws: int) -> pd.DataFrame:
    """Return what a mask costs with both methods, by size and in all.

    Args:
        boxes: of `boxes_of`.
        draws: ``resamples`` and ``seed`` of the bootstrap.

    Returns:
        Columns ``size``, ``boxes``, ``images``, ``exact_seconds`` and ``fast_seconds`` (mean per
        box), ``ratio`` (of total seconds, exact to fast) and its interval ``ci_low``, ``ci_high``.
    """
    rows = []
    for size, part in by_size(boxes):
        seconds = part[["exact_seconds", "fast_seconds"]]
        ratio = _sums(part, seconds, draws).ratio("exact_seconds", "fast_seconds").interval
        counts = {"size": size, "boxes": len(part), "images": part["image_id"].nunique()}
        rows.append({**counts, **seconds.mean(), **interval_columns("ratio", ratio)})
    return pd.DataFrame(rows)


def agreement_table(boxes: pd.DataFrame, **draws: int) -> pd.DataFrame:
    """Return how far the fast method agrees with the exact one, beside two seeds of the latter.

    Args:
        boxes: of `boxes_of`.
        draws: ``resamples`` and ``seed`` of the bootstrap.

    Returns:
        Columns ``measure``, ``size``, ``boxes``, ``exact``, ``fast``, ``difference`` (fast minus
        exact), ``ci_low``, ``ci_high`` (of the difference); fractions of 1. By ``valid or
        invalid`` (share of boxes on which both say the same) and ``mask IoU`` (mean), ``exact`` is
        the agreement of its two seeds and ``fast`` that of fast and exact, with the same seed. By
        ``IoU with the true mask``, each is its own mean, ``exact`` that of both seeds; no row if
        no box has a true mask.
    """
    same = {run: boxes[f"valid_{run}"] == boxes[f"valid_{EXACT}"] for run in (OTHER_SEED, FAST)}
    true = boxes[[f"true_iou_{EXACT}", f"true_iou_{OTHER_SEED}"]].mean(axis=1)
    measures = {
        "valid or invalid": (same[OTHER_SEED], same[FAST]),
        "mask IoU": (boxes["mask_iou_seeds"], boxes["mask_iou_fast"]),
        "IoU with the true mask": (true, boxes[f"true_iou_{FAST}"]),
    }
    rows = []
    for measure, (exact, fast) in measures.items():
        judged = boxes[["image_id", "size"]].assign(exact=exact, fast=fast).dropna()
        for size, part in by_size(judged):
            cells = part[["exact", "fast"]].assign(boxes=1)
            sums = _sums(part, cells, draws)
            gap = sums.ratio("fast", "boxes") - sums.ratio("exact", "boxes")
            counts = {"measure": measure, "size": size, "boxes": len(part)}
            means = part[["exact", "fast"]].mean()
            rows.append({**counts, **means, **interval_columns("difference", gap.interval)})
    return pd.DataFrame(rows)


def fig1_table(boxes: pd.DataFrame, **draws: int) -> pd.DataFrame:
    """Return the percentages of paper A's Fig. 1 from the masks of each run.

    Args:
        boxes: of `boxes_of`.
        draws: ``resamples`` and ``seed`` of the bootstrap.

    Returns:
        Columns ``label``, ``formula`` (see `lib.hybridnet.fig1.QUANTITIES`), ``exact``,
        ``other_seed``, ``fast``, ``difference`` (fast minus exact), ``ci_low``, ``ci_high`` (of
        the difference); fractions of 1, NaN where there is nothing to take a share of.
    """
    small, sums = boxes["box_area"] < SMALL_SIDE**2, {}
    for run in RUNS:
        invalid = ~boxes[f"valid_{run}"]
        cells = {"S": small, "L": ~small, "I": invalid}
        cells |= {"Iₛ": invalid & small, "Iₗ": invalid & ~small}
        sums[run] = _sums(boxes, pd.DataFrame(cells).assign(N=1), draws)
    rows = []
    for quantity in FIG1:
        formula = fig1.QUANTITIES[quantity]
        scores = {run: sums[run].ratio(*formula.split(" / ")) for run in RUNS}
        rows.append(
            {
                "label": fig1.LABELS[quantity],
                "formula": formula,
                **{run: score.estimate for run, score in scores.items()},
                **interval_columns("difference", (scores[FAST] - scores[EXACT]).interval),
            }
        )
    return pd.DataFrame(rows)


def memory_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return the peak memory of each method: ``method``, and what `lib.bench.mask_memory` tells."""
    return pd.DataFrame([{"method": m, **content["memory"][m]} for m in (EXACT, FAST)])


def coco_table(boxes: pd.DataFrame) -> pd.DataFrame:
    """Return what the masks of COCO train2017 would cost, if its pictures were like these.

    What is done once for an image is counted once for each of COCO's images, decoding included,
    and the rest for each of its boxes. Cores are taken to scale perfectly.

    Returns:
        Columns ``method``, ``core_hours`` and ``hours_on_<n>_cores`` for `COCO_CORES`.
    """
    images = boxes.groupby("image_id").first()
    rows = []
    for method in (EXACT, FAST):
        share = boxes[f"{method}_prepare"] / boxes["image_boxes"]
        per_box = (boxes[f"{method}_seconds"] - share).mean()
        per_image = (images[f"{method}_prepare"] + images["decode"]).mean()
        hours = (COCO_BOXES * per_box + COCO_IMAGES * per_image) / 3600
        times = {f"hours_on_{n}_core{'s' * (n > 1)}": hours / n for n in COCO_CORES}
        rows.append({"method": method, "core_hours": hours, **times})
    return pd.DataFrame(rows)

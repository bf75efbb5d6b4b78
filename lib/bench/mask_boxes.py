"""Boxes that were tried with both methods of GrabCut: one row each, sizes, intervals over images.

From the measurements of `lib.bench.masks`. Intervals are at 95 %, paired: in every resample the
same images are drawn for both sides of a ratio or a difference.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.bench.mask_trials import COLUMNS, EXACT, FAST, OTHER_SEED, pairs
from lib.masks.quality import VALID_FROM
from lib.metrics.bootstrap import Interval, image_weights, percentiles

RUNS = (EXACT, OTHER_SEED, FAST)

EDGES = (32, 64, 128, 256)
"""Edges of the sizes of boxes: square root of the area, pixels."""

ALL = "all"
SIZES = ("< 32²", "32²–64²", "64²–128²", "128²–256²", "≥ 256²")
"""Names of the sizes, by box area in pixels."""

Sums = Mapping[str, np.ndarray]


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
    rows = pd.DataFrame(content["rows"], columns=COLUMNS)
    by_run = {name: rows[rows["run"] == name].set_index("annotation_id") for name in RUNS}
    exact, other, fast = (by_run[name] for name in RUNS)
    frame = exact[["image_id", "box_area", "image_area", "image_boxes"]].copy()
    places = np.digitize(np.sqrt(frame["box_area"]), EDGES)
    frame["size"] = [SIZES[place] for place in places]
    frame["exact_seconds"] = (exact["seconds"] + other["seconds"]) / 2
    frame["fast_seconds"] = fast["seconds"]
    frame["exact_prepare"], frame["fast_prepare"] = (x["prepare_seconds"] for x in (exact, fast))
    frame["decode"] = exact["decode_seconds"]
    for name, part in by_run.items():
        frame[f"valid_{name}"] = part["box_iou"] >= valid_from
        frame[f"true_iou_{name}"] = part["true_iou"].astype(float)
    for name, run in (("seeds", OTHER_SEED), ("fast", FAST)):
        joined = pairs(rows, EXACT, run).set_index("annotation_id")
        frame[f"mask_iou_{name}"] = joined["mask_iou"]
    return frame.reset_index()


def by_size(boxes: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield all boxes, then those of each size that has any."""
    if len(boxes):
        yield ALL, boxes
    for size in SIZES:
        part = boxes[boxes["size"] == size]
        if len(part):
            yield size, part


def over_images(
    image_ids: pd.Series,
    parts: pd.DataFrame,
    value: Callable[[Sums], np.ndarray],
    *,
    resamples: int,
    seed: int,
) -> Interval:
    """Return a quantity made of sums over boxes, with its interval over images.

    Args:
        image_ids: of each box.
        parts: what is summed up, a column each, a row per box.
        value: the quantity from the sums; each is one number, or one per resample.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    per_image = parts.astype(float).groupby(image_ids.to_numpy()).sum()
    weights = image_weights(len(per_image), resamples=resamples, seed=seed)
    sums, drawn = per_image.sum().to_numpy(), weights @ per_image.to_numpy()
    names = list(per_image.columns)
    estimate = float(value({name: sums[at] for at, name in enumerate(names)}))
    values = np.asarray(value({name: drawn[:, at] for at, name in enumerate(names)}))
    return percentiles(estimate, values, images=len(per_image))

"""What paper A's test of a mask can and cannot see, against true masks.

The test compares boxes: a mask is valid if its tight box and the given box have an IoU of at least
0.5. When GrabCut's rectangle is that box, no pixel outside can be foreground; the tight box lies
inside, the union is the given box and the IoU is a ratio of areas, area(tight) / area(box). Such a
test sees a mask that is too small. A mask that spills over the whole box always passes it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lib.data.coco import CocoSet
from lib.masks import rle
from lib.masks.quality import mask_iou
from lib.metrics.bootstrap import ImageSums, Interval
from lib.seeds import derive

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(21))
"""Box-IoU thresholds of the curves."""

NO_LIMIT = (0.0, math.inf)
"""Least and largest share of the box that a mask may fill, when it may be any."""

LOWER = tuple(round(0.02 * step, 2) for step in range(21))
"""Least shares that the test with two limits chooses from."""

COMPARED = [
    "good_from", "masks", "test", "fill_from", "fill_to", "precision", "recall", "f1", "kept",
    "f1_gain", "gain_low", "gain_high",
]  # fmt: skip
"""Columns of `compare`."""


def true_ious(pseudo: CocoSet, truth: CocoSet) -> pd.DataFrame:
    """Return the IoU of every pseudo-mask with the true mask of the same annotation.

    Args:
        pseudo: written by `lib.masks.pseudo.generate`.
        truth: the same boxes; those without a mask, and crowd regions, are left out.

    Returns:
        Columns ``annotation_id``, ``true_iou``, ``true_fill`` (true mask area / box area) and
        ``area_ratio`` (area of the mask's tight box / box area, measured on the mask's pixels).
        Two empty masks have an IoU of 1; a true mask is never empty.
    """
    found = {i.id: i for i in pseudo.all_instances() if i.pseudo is not None}
    sizes = {image.id: (image.height, image.width) for image in truth.images}
    rows = []
    for instance in truth.all_instances():
        if not instance.has_mask or instance.iscrowd or instance.id not in found:
            continue
        height, width = sizes[instance.image_id]
        true = rle.decode_mask(instance, height, width)
        mask = rle.decode_mask(found[instance.id], height, width)
        x1, y1, x2, y2 = instance.box
        tight = rle.tight_box(mask)
        tight_area = 0.0 if tight is None else (tight[2] - tight[0]) * (tight[3] - tight[1])
        rows.append(
            {
                "annotation_id": instance.id,
                "true_iou": mask_iou(mask, true),
                "true_fill": true.sum() / ((x2 - x1) * (y2 - y1)),
                "area_ratio": tight_area / ((x2 - x1) * (y2 - y1)),
            }
        )
    return pd.DataFrame(rows, columns=["annotation_id", "true_iou", "true_fill", "area_ratio"])


def with_truth(frame: pd.DataFrame, ious: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `invalid_masks.frame_of` that have a true mask, with ``fill``.

    ``fill`` is the share of the box that the pseudo-mask covers.
    """
    joined = frame.merge(ious, on="annotation_id", validate="one_to_one")
    return joined.assign(fill=joined["mask_area"] / joined["box_area"])


def scores(good: np.ndarray, kept: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1 of keeping ``kept`` to find ``good`` (bool [N] each).

    NaN where a denominator is 0.
    """
    both, n_kept, n_good = int((good & kept).sum()), int(kept.sum()), int(good.sum())
    return {
        "precision": both / n_kept if n_kept else math.nan,
        "recall": both / n_good if n_good else math.nan,
        "f1": 2 * both / (n_kept + n_good) if n_kept + n_good else math.nan,
        "kept": n_kept / len(good) if len(good) else math.nan,
    }


def curve(
    joined: pd.DataFrame,
    *,
    good_from: Sequence[float] = (0.5, 0.7),
    thresholds: Sequence[float] = THRESHOLDS,
) -> pd.DataFrame:
    """Return how well "box IoU >= threshold" finds the masks that are truly good.

    Args:
        joined: of `with_truth`.
        good_from: IoU with the true mask from which a mask is good.
        thresholds: on the box IoU.

    Returns:
        Columns ``good_from``, ``threshold``, ``precision`` (of those kept, how many are good),
        ``recall`` (of the good ones, how many are kept), ``f1``, ``kept`` (share).
    """
    rows = []
    for limit in good_from:
        good = (joined["true_iou"] >= limit).to_numpy()
        for threshold in thresholds:
            kept = (joined["box_iou"] >= threshold).to_numpy()
            rows.append({"good_from": limit, "threshold": threshold, **scores(good, kept)})
    return pd.DataFrame(rows)


def halves(image_ids: pd.Series, seed: int) -> pd.Series:
    """Return True for the rows whose image is in the half used for choosing.

    Whole images go to one half, by a hash of their id, whatever else is in the set.
    """
    return image_ids.map(lambda image_id: derive(seed, "half", int(image_id)) % 2 == 0).astype(bool)


def passes(joined: pd.DataFrame, *, valid_from: float, fill: tuple[float, float]) -> np.ndarray:
    """Return bool [N]: box IoU at least ``valid_from``, and the share of the box filled in range.

    Args:
        joined: of `with_truth`.
        valid_from: of the box IoU.
        fill: the least and the largest share of the box that a kept mask may fill. (0, inf) is
            paper A's test.
    """
    low, high = fill
    kept = (joined["box_iou"] >= valid_from) & (joined["fill"] >= low) & (joined["fill"] <= high)
    return kept.to_numpy()


def choose_fill(
    joined: pd.DataFrame, *, valid_from: float, good_from: float, lower: Sequence[float] = (0.0,)
) -> tuple[float, float]:
    """Return the limits on the share of the box filled that give the best F1.

    No limit at all competes with the rest and wins ties: a limit that does not help is not used.

    Args:
        joined: of `with_truth`.
        valid_from: box IoU from which a mask is valid.
        good_from: IoU with the true mask from which a mask is good.
        lower: least shares to choose from.
    """
    good = (joined["true_iou"] >= good_from).to_numpy()
    best, best_f1 = NO_LIMIT, -1.0
    uppers = [math.inf, *(round(1 - 0.02 * step, 2) for step in range(1, 26))]
    for low in lower:
        for high in uppers:
            f1 = scores(good, passes(joined, valid_from=valid_from, fill=(low, high)))["f1"]
            if f1 > best_f1:
                best, best_f1 = (low, high), f1
    return best


def compare(
    joined: pd.DataFrame,
    *,
    valid_from: float,
    good_from: Sequence[float] = (0.5, 0.7),
    seed: int = 0,
    resamples: int = 1000,
) -> pd.DataFrame:
    """Return paper A's test and two extensions on images that did not choose their limits.

    "upper limit" also rejects masks that fill nearly the whole box, which the box test cannot see;
    "two limits" rejects sparse ones too. Limits are chosen on one half of the images; all tests are
    scored on the other.

    Args:
        joined: of `with_truth`.
        valid_from: box IoU from which a mask is valid.
        good_from: IoU with the true mask from which a mask is good.
        seed: of the halves and of the bootstrap.
        resamples: of the paired bootstrap over images.

    Returns:
        Columns ``good_from``, ``masks``, ``test``, ``fill_from``, ``fill_to`` (NaN: no limit),
        ``precision``, ``recall``, ``f1``, ``kept``, and in the rows of the extensions ``f1_gain``
        with ``gain_low`` and ``gain_high`` (95 %).
    """
    first = halves(joined["image_id"], seed)
    chosen, held = joined[first], joined[~first]
    rows = []
    for limit in good_from:
        good = (held["true_iou"] >= limit).to_numpy()
        before = passes(held, valid_from=valid_from, fill=NO_LIMIT)
        base: dict[str, Any] = {"good_from": limit, "masks": len(held)}
        rows.append(base | {"test": "paper A"} | scores(good, before))
        for test, lower in (("upper limit", (0.0,)), ("two limits", LOWER)):
            fill = choose_fill(chosen, valid_from=valid_from, good_from=limit, lower=lower)
            after = passes(held, valid_from=valid_from, fill=fill)
            table = pd.DataFrame({"good": good, "before": before, "after": after})
            table["image"] = held["image_id"].to_numpy()
            gain = _gain(table, seed=seed, resamples=resamples)
            rows.append(
                base
                | {"test": test, "fill_from": fill[0] or math.nan}
                | {"fill_to": fill[1] if math.isfinite(fill[1]) else math.nan}
                | scores(good, after)
                | {"f1_gain": gain.estimate, "gain_low": gain.low, "gain_high": gain.high}
            )
    return pd.DataFrame(rows, columns=COMPARED)


def sentence(row: Mapping[str, Any]) -> str:
    """Return what a row of `compare` says of an extension, in words."""
    what = f"{row['test']}, good from {row['good_from']:g}"
    if math.isnan(row["fill_from"]) and math.isnan(row["fill_to"]):
        return f"{what}: no limit helps on the half that chooses, so none is used."
    if math.isnan(row["gain_low"]):
        return f"{what}: the other half has too few masks to tell."
    interval = f"F1 {row['f1_gain']:+z.3f} ({row['gain_low']:+z.3f} to {row['gain_high']:+z.3f})"
    if row["gain_low"] > 0:
        return f"{what}: better on the other half, {interval}."
    if row["gain_high"] < 0:
        return f"{what}: worse on the other half, {interval}."
    return f"{what}: no clear difference on the other half, {interval}."


def _gain(table: pd.DataFrame, *, seed: int, resamples: int) -> Interval:
    """Return F1 after minus F1 before with its 95 % interval, whole images drawn together."""
    counted = pd.DataFrame({"image": table["image"]})
    for test in ("before", "after"):
        # F1 is twice what is both, over what is kept plus what is good.
        counted[f"{test}_both"] = 2 * (table["good"] & table[test])
        counted[f"{test}_any"] = table["good"].astype(int) + table[test]
    sums = ImageSums(counted.groupby("image").sum(), resamples=resamples, seed=seed)
    before, after = (sums.ratio(f"{test}_both", f"{test}_any") for test in ("before", "after"))
    return (after - before).interval

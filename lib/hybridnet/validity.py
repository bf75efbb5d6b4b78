"""What paper A's test of a mask can and cannot see, against true masks.

The test compares boxes: a mask is valid if its tight box and the given box have an IoU of at least
0.5. When GrabCut's rectangle is that box, no pixel outside can be foreground; the tight box lies
inside, the union is the given box and the IoU is a ratio of areas, area(tight) / area(box). Such a
test sees a mask that is too small. A mask that spills over the whole box always passes it.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.data.coco import CocoSet
from lib.masks import rle
from lib.masks.quality import mask_iou

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(21))
"""Box-IoU thresholds of the curves."""


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

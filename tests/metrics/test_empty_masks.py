"""A true mask without a pixel is no mask: each judge treats it as one that is not there."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.data.coco import from_coco
from lib.data.segmentation import encode
from lib.metrics.abo import best_overlaps
from lib.metrics.coco_ap import evaluate
from lib.metrics.mask_iou import iou_on_boxes
from lib.metrics.voc_ap import evaluate_voc

Maker = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]

EMPTY = {
    "run lengths": encode(np.zeros((90, 120), dtype=bool)),
    "a line": [[5, 5, 5, 5, 5, 5]],
}


def _with(labels: dict[str, Any], mask: Any) -> dict[str, Any]:
    """Return labels with every third mask replaced."""
    labels = copy.deepcopy(labels)
    for annotation in labels["annotations"][::3]:
        annotation["segmentation"] = mask
    return labels


@pytest.mark.parametrize("mask", EMPTY.values(), ids=EMPTY)
def test_masks_without_a_pixel_are_judged_as_none(random_set: Maker, mask: Any) -> None:
    labels, found = random_set(5)
    empty, none = _with(labels, mask), _with(labels, None)
    assert evaluate(empty, found, iou_type="segm").summary == pytest.approx(
        evaluate(none, found, iou_type="segm").summary, nan_ok=True
    )
    voc = [evaluate_voc(x, found).summary for x in (empty, none)]
    assert voc[0] == voc[1] and all(np.isfinite(list(voc[0].values())))
    pd.testing.assert_frame_equal(best_overlaps(empty, found), best_overlaps(none, found))


@pytest.mark.parametrize("mask", EMPTY.values(), ids=EMPTY)
def test_masks_without_a_pixel_have_no_iou(random_set: Maker, mask: Any) -> None:
    labels, _ = random_set(5)
    opened = from_coco(labels, Path("labels.json"), None, check_images="none")
    whole = encode(np.ones((90, 120), dtype=bool))
    predictions = [{"annotation_id": a["id"], "segmentation": whole} for a in labels["annotations"]]

    def judged(mask: Any) -> pd.DataFrame:  # past the door, which may leave such masks out
        changed = {
            image.id: tuple(
                replace(x, segmentation=mask if x.id % 3 else x.segmentation)
                for x in opened.instances(image.id)
            )
            for image in opened.images
        }
        return iou_on_boxes(replace(opened, _instances=changed), predictions)

    pd.testing.assert_frame_equal(judged(mask), judged(None))
    assert 0 < len(judged(mask)) < len(judged(whole))

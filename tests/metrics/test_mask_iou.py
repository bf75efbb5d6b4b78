from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.masks.rle import decode, encode
from lib.metrics.bootstrap import image_weights
from lib.metrics.mask_iou import iou_on_boxes, mean_iou

Maker = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


@pytest.fixture
def opened(random_set: Maker) -> CocoSet:
    labels, _ = random_set(21, images=8)
    return from_coco(labels, Path("labels.json"), None, check_images="none")


def shifted(coco_set: CocoSet, columns: int) -> list[dict[str, Any]]:
    """Return the true masks moved to the right, as predictions."""
    predictions = []
    for instance in coco_set.all_instances():
        mask = decode(instance.segmentation, 90, 120)
        moved = np.zeros_like(mask)
        moved[:, columns:] = mask[:, : 120 - columns]
        predictions.append({"annotation_id": instance.id, "segmentation": encode(moved)})
    return predictions


def test_equals_counting_pixels(opened: CocoSet) -> None:
    masks = shifted(opened, 5)
    frame = iou_on_boxes(opened, masks).set_index("annotation_id")
    judged = [x for x in opened.all_instances() if not x.iscrowd]
    assert set(frame.index) == {x.id for x in judged} != {x.id for x in opened.all_instances()}
    predicted = {m["annotation_id"]: decode(m["segmentation"], 90, 120) for m in masks}
    for x in judged:
        truth = decode(x.segmentation, 90, 120)
        iou = (truth & predicted[x.id]).sum() / (truth | predicted[x.id]).sum()
        assert frame.loc[x.id, "iou"] == pytest.approx(iou)
        assert frame.loc[x.id, "area"] == truth.sum()
        assert frame.loc[x.id, "name"] == f"class {x.label}"
    assert (iou_on_boxes(opened, shifted(opened, 0))["iou"] == 1).all()


def test_an_empty_mask_has_iou_zero(opened: CocoSet) -> None:
    empty = encode(np.zeros((90, 120), dtype=bool))
    masks = [{**mask, "segmentation": empty} for mask in shifted(opened, 0)]
    assert (iou_on_boxes(opened, masks)["iou"] == 0).all()


def test_missing_and_strange_masks_are_a_sentence(opened: CocoSet) -> None:
    masks = shifted(opened, 0)
    with pytest.raises(ValueError, match=r"have none \(1, 2.*unknown annotations \(999\)"):
        iou_on_boxes(opened, [*masks[4:], {**masks[0], "annotation_id": 999}])


def test_mean_and_paired_difference(opened: CocoSet) -> None:
    good, bad = (iou_on_boxes(opened, shifted(opened, columns)) for columns in (1, 4))
    one, other = (mean_iou(f, resamples=200) for f in (good, bad.sample(frac=1, random_state=0)))
    interval, gain = one.interval, (one - other).interval
    assert interval.estimate == pytest.approx(good["iou"].mean())
    assert interval.low < interval.estimate < interval.high
    assert gain.estimate == pytest.approx(good["iou"].mean() - bad["iou"].mean())
    assert 0 < gain.low < gain.estimate < gain.high
    assert np.isnan(mean_iou(good[:0], resamples=20).interval).all()
    images = good["image_id"].unique()
    for count in (1, 2, 3, 4):
        few = mean_iou(good[good["image_id"].isin(images[:count])], resamples=20).interval
        assert np.isnan(few).tolist() == [False, count < 4, count < 4]
    with pytest.raises(ValueError, match="same images and instances"):
        one - mean_iou(bad[1:], resamples=200)


def test_resampling_images_equals_averaging_the_drawn_images(opened: CocoSet) -> None:
    frame = iou_on_boxes(opened, shifted(opened, 3))
    images = sorted(frame["image_id"].unique())
    weights = image_weights(len(images), resamples=40, seed=5)
    means = [
        np.mean(
            [iou for i, w in zip(images, row, strict=True) for iou in
             list(frame.loc[frame["image_id"] == i, "iou"]) * int(w)]
        )
        for row in weights
    ]  # fmt: skip
    low, high = np.percentile(means, [2.5, 97.5])
    assert mean_iou(frame, resamples=40, seed=5).interval[1:] == pytest.approx((low, high))

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lib.metrics.bootstrap import Score, image_weights, percentiles, resample, weighted_ap
from lib.metrics.coco_ap import AREA_RANGES_64, APResult, evaluate

Maker = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


def score(
    result: APResult, metric: str = "AP", labels: Any = None, *, resamples: int = 30, seed: int = 0
) -> Score:
    return resample(result, resamples=resamples, seed=seed).score(metric, labels)


def repeated(
    labels: dict[str, Any], found: list[dict[str, Any]], weights: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the set in which image i is really there weights[i] times."""
    new: dict[str, Any] = {"images": [], "annotations": [], "categories": labels["categories"]}
    detections = []
    for image, weight in zip(labels["images"], weights, strict=True):
        for copy_number in range(weight):
            name = image["id"] + 1000 * copy_number
            new["images"].append({**image, "id": name})
            for a in labels["annotations"]:
                if a["image_id"] == image["id"]:
                    number = len(new["annotations"]) + 1
                    new["annotations"].append({**a, "id": number, "image_id": name})
            for d in found:
                if d["image_id"] == image["id"]:
                    detections.append({**copy.deepcopy(d), "image_id": name})
    return new, detections


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_unit_weights_give_pycocotools_ap(random_set: Maker, kind: Any) -> None:
    labels, found = random_set(5, images=20)
    result = evaluate(labels, found, iou_type=kind)
    ones = np.ones((1, 20), dtype=int)
    for (label, area), matches in result.matches.items():
        k, a = result.labels.index(label), result.areas.index(area)
        expected = result.precision[:, :, k, a].mean(axis=1)
        np.testing.assert_allclose(weighted_ap(matches, ones)[0], expected, rtol=0, atol=1e-12)


def test_a_weight_is_the_same_as_that_many_copies_of_the_image(random_set: Maker) -> None:
    labels, found = random_set(6, images=10)
    result = evaluate(labels, found, iou_type="bbox")
    drawn = resample(result, resamples=4, seed=1)
    for row, weights in enumerate(image_weights(10, resamples=4, seed=1)):
        copies = evaluate(*repeated(labels, found, weights), iou_type="bbox")
        for metric in result.metrics:
            expected = copies.summary[metric]
            assert drawn.score(metric).resampled[row] == pytest.approx(
                expected, abs=1e-12, nan_ok=True
            )


def test_resamples_are_whole_and_depend_on_the_seed_alone() -> None:
    weights = image_weights(50, resamples=30, seed=3)
    assert (weights.sum(axis=1) == 50).all()
    assert (weights == image_weights(50, resamples=30, seed=3)).all()
    assert (weights != image_weights(50, resamples=30, seed=4)).any()
    with pytest.raises(ValueError, match="at least one image"):
        image_weights(0, resamples=3, seed=0)


def test_paired_difference_uses_the_same_images_for_both(random_set: Maker) -> None:
    labels, found = random_set(8, images=30, classes=2)
    good = evaluate(labels, found, iou_type="segm")
    # The second model misses every fifth detection of the first.
    worse = evaluate(labels, [d for i, d in enumerate(found) if i % 5], iou_type="segm")
    one, other = (score(result, resamples=200) for result in (good, worse))
    assert (one - one).interval == (0.0, 0.0, 0.0)
    paired, single, swapped = (one - other).interval, one.interval, (other - one).interval
    assert paired.estimate == good.summary["AP"] - worse.summary["AP"]
    assert paired.high - paired.low < single.high - single.low
    assert (swapped.low, swapped.high) == pytest.approx((-paired.high, -paired.low))


def test_other_images_or_resamples_cannot_be_paired(random_set: Maker) -> None:
    first, second = (evaluate(*random_set(9, images=images), iou_type="bbox") for images in (4, 5))
    for other in (score(second), score(first, seed=1), score(first, resamples=5)):
        with pytest.raises(ValueError, match="same images"):
            score(first) - other


def test_subsets_and_areas(random_set: Maker) -> None:
    labels, found = random_set(10, images=20)
    result = evaluate(labels, found, iou_type="segm", area_ranges=AREA_RANGES_64)
    alone = evaluate(labels, found, iou_type="segm", labels=[1, 3], area_ranges=AREA_RANGES_64)
    for metric in ("AP", "AP75", "AP_small"):
        assert score(result, metric, [1, 3]).interval == score(alone, metric).interval


def test_classes_absent_from_a_resample_are_left_out(random_set: Maker) -> None:
    labels, found = random_set(11, images=8, classes=1, crowds=False)
    once = {**labels["annotations"][0], "id": 999, "category_id": 77}
    labels["categories"].append({"id": 77, "name": "rare"})
    labels["annotations"].append(once)
    drawn = resample(evaluate(labels, found, iou_type="bbox"), areas=["all"], resamples=60)
    values = drawn.values["all"]
    gone = np.isnan(values[:, 1, 0])
    assert 5 < gone.sum() < 55
    ap = drawn.score("AP").resampled
    np.testing.assert_allclose(ap[gone], values[gone, 0].mean(axis=1))
    np.testing.assert_allclose(ap[~gone], values[~gone].mean(axis=(1, 2)))


@pytest.mark.parametrize("images", [3, 4, 20])
@pytest.mark.parametrize("holding", [1, 2, 3, 4])
def test_what_fewer_than_four_images_hold_has_no_interval(
    rectangles: Maker, images: int, holding: int
) -> None:
    box = [10.0, 10.0, 20.0, 20.0]
    other = [60.0, 40.0, 30.0, 30.0]
    some = range(1, min(holding, images) + 1)
    labels, found = rectangles(
        [(i, 1, box) for i in some] + [(i, 2, other) for i in range(1, images + 1)],
        [(i, 1, box, 0.9) for i in some] + [(i, 2, other, 0.8) for i in range(1, images + 1)],
        images=images,
        classes=2,
    )
    good = evaluate(labels, found, iou_type="bbox")
    none = evaluate(labels, [], iou_type="bbox")
    drawn, worse = (resample(result, resamples=30) for result in (good, none))
    one, other = (r.score("AP50", [1]) for r in (drawn, worse))
    assert one.images == len(some)
    for interval in (one.interval, (one - other).interval):
        assert interval.estimate == pytest.approx(1.0)
        assert np.isfinite([interval.low, interval.high]).all() == (len(some) == 4)
    assert np.isfinite(drawn.score("AP").interval.low) == (images >= 4)
    assert np.isnan(drawn.score("AP_large").interval).all()


def test_nothing_to_estimate_is_nan_not_an_error(random_set: Maker) -> None:
    labels, found = random_set(12, images=4)
    nothing = evaluate({**labels, "annotations": []}, found, iou_type="bbox")
    assert np.isnan(score(nothing).interval).all()
    some = np.r_[np.nan, np.linspace(0.4, 0.6, 39)]
    assert percentiles(0.5, some, images=4).low == pytest.approx(0.405)
    assert percentiles(0.5, np.full(3, 0.5), images=4).scaled(100).high == 50.0
    assert np.isnan(percentiles(0.5, some, images=3)).tolist() == [False, True, True]
    assert np.isnan(percentiles(0.5, np.full(3, np.nan), images=4).low)

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from lib.data.coco import from_coco
from lib.masks.rle import decode, encode
from lib.metrics.bootstrap import image_weights
from lib.metrics.coco_ap import evaluate
from lib.metrics.coco_input import BadDetections
from lib.metrics.voc_ap import METRICS, VOCResult, all_point_ap, evaluate_voc, resample_voc
from lib.metrics.voc_match import Difficult, Matching

Made = tuple[dict[str, Any], list[dict[str, Any]]]
Maker = Callable[..., Made]
A, B, C = [10.0, 10.0, 20.0, 20.0], [50.0, 10.0, 20.0, 20.0], [80.0, 50.0, 20.0, 20.0]
THRESHOLDS = (0.25, 0.5, 0.7, 0.75)
H, W = 24, 30


def blob(rng: np.random.Generator) -> np.ndarray:
    """Return a random rectangle with holes, now and then nothing at all."""
    mask = np.zeros((H, W), dtype=bool)
    top, left = rng.integers(0, H - 6), rng.integers(0, W - 6)
    mask[top : top + rng.integers(4, 14), left : left + rng.integers(4, 14)] = True
    return mask & (rng.random((H, W)) < 0.95) & (rng.random() > 0.05)


def random_masks(seed: int, images: int = 9) -> Made:
    """Return a set with ties, crowds, difficult, boxes alone, void and unlabelled images."""
    rng = np.random.default_rng(seed)
    labels: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    labels["categories"] = [{"id": 5 * k, "name": f"class {k}"} for k in (1, 2, 3, 4)]
    found = []
    for image_id in rng.permutation(images).tolist():
        void = blob(rng) if rng.random() < 0.6 else None
        image = {"id": image_id, "file_name": f"{image_id}.jpg", "height": H, "width": W}
        labels["images"].append(image if void is None else {**image, "void": encode(void)})
        for _ in range(0 if rng.random() < 0.25 else rng.integers(1, 5)):
            mask, kind, category = blob(rng), rng.random(), int(5 * rng.integers(1, 4))
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = [0, 0, 3, 3]
            if len(rows):
                box = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
            labels["annotations"].append(
                {
                    "id": 100 + len(labels["annotations"]),
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": [int(v) for v in box],
                    "iscrowd": int(kind < 0.1),
                    "segmentation": [] if 0.1 < kind < 0.2 else encode(mask),
                    "difficult": int(kind > 0.8),
                }
            )
            for _ in range(rng.integers(0, 4)):
                near = np.roll(mask, rng.integers(-1, 2), axis=1) & (rng.random((H, W)) < 0.95)
                found.append((image_id, category, near))
        for _ in range(rng.integers(0, 3)):
            found.append((image_id, int(5 * rng.integers(1, 5)), blob(rng)))
    order = rng.permutation(len(found))
    detections = [
        {
            "image_id": found[i][0],
            "category_id": found[i][1],
            "score": float(rng.integers(0, 40)) / 40,  # with ties
            "segmentation": encode(found[i][2]),
        }
        for i in order
    ]
    return labels, detections


def counted(result: VOCResult) -> list[int]:
    return [int(matches.instances.sum()) for matches in result.matches.values()]


def ratio(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0


def naive(
    labels: dict[str, Any],
    found: list[dict[str, Any]],
    category: int,
    threshold: float,
    *,
    matching: str,
    void: str,
    difficult: str,
) -> float:
    """Return one class's AP, detection after detection, on arrays of pixels."""
    unjudged = {
        i["id"]: decode(i.get("void") if void == "ignore" else None, H, W) for i in labels["images"]
    }
    objects, regions = [], []
    for a in labels["annotations"]:
        if a["category_id"] != category:
            continue
        whole = decode(a["segmentation"], H, W)
        mask = whole & ~unjudged[a["image_id"]]
        entry = {"image": a["image_id"], "mask": mask, "found": False}
        entry["easy"] = difficult == "count" or not a["difficult"]
        if not whole.any():
            x, y, w, h = map(int, a["bbox"])
            mask[y : y + h, x : x + w] = True
        (objects if whole.any() and not a["iscrowd"] else regions).append(entry)
    labelled = {a["image_id"] for a in labels["annotations"]}

    def above(value: float) -> bool:
        return value > threshold if matching == "sds" else value >= threshold

    true, false, points = 0, 0, []
    number = sum(x["easy"] for x in objects)
    for d in sorted(found, key=lambda d: -d["score"]):
        if d["category_id"] != category or (matching == "sds" and d["image_id"] not in labelled):
            continue
        mask = decode(d["segmentation"], H, W) & ~unjudged[d["image_id"]]
        here = [x for x in objects if x["image"] == d["image_id"]]
        if matching == "sds":
            here = [x for x in here if not x["found"]]
        best = max(here, key=lambda x: ratio(x["mask"] & mask, x["mask"] | mask), default=None)
        hit = best is not None and above(ratio(best["mask"] & mask, best["mask"] | mask))
        excused = any(
            x["image"] == d["image_id"] and above(ratio(x["mask"] & mask, mask)) for x in regions
        )
        if hit and not best["easy"]:
            continue
        if hit and not best["found"]:
            best["found"] = True
            true += 1
        elif not excused:
            false += 1
        else:
            continue
        points.append((true / max(number, 1), true / (true + false)))
    if not number:
        return math.nan
    area, last = 0.0, 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - last) * max(p for r, p in points if r >= recall)
        last = recall
    return area


@pytest.mark.parametrize("void", ["ignore", "background"])
@pytest.mark.parametrize("difficult", get_args(Difficult))
@pytest.mark.parametrize("matching", get_args(Matching))
def test_equals_a_naive_evaluation_on_pixels(matching: Any, difficult: Any, void: Any) -> None:
    for seed in range(4):
        labels, found = random_masks(seed)
        rules = {"matching": matching, "void": void, "difficult": difficult}
        result = evaluate_voc(labels, found, **rules)
        expected = [
            [naive(labels, found, 5 * k, t, **rules) for t in THRESHOLDS] for k in (1, 2, 3, 4)
        ]
        np.testing.assert_allclose(result.average_precision, expected, rtol=0, atol=1e-12)
        assert np.isnan(expected[3]).all()  # detected, never labelled: left out of the mean
        means = np.nanmean(expected, axis=0)
        assert [result.value(m) for m in METRICS] == pytest.approx(means.tolist())


def test_an_iou_on_the_threshold_is_enough_for_argmax_alone(rectangles: Maker) -> None:
    for width, metric in ((5.0, "mAP25"), (10.0, "mAP50"), (14.0, "mAP70"), (15.0, "mAP75")):
        labels, found = rectangles([(1, 1, A)], [(1, 1, [10.0, 10.0, width, 20.0], 0.9)])
        assert evaluate_voc(labels, found, matching="sds").value(metric) == 0.0
        assert evaluate_voc(labels, found, matching="argmax").value(metric) == 1.0


def test_an_opened_set_keeps_void_and_difficult() -> None:
    labels, found = random_masks(5)
    labels["annotations"] = [a for a in labels["annotations"] if not _empty(a)]
    opened = from_coco(labels, Path("labels.json"), None, check_images="none")
    assert any("void" in image for image in opened.to_coco()["images"])
    for choice in ("count", "ignore"):
        from_set = evaluate_voc(opened, found, difficult=choice)  # type: ignore[arg-type]
        from_dict = evaluate_voc(labels, found, difficult=choice)  # type: ignore[arg-type]
        assert from_set.summary == from_dict.summary


def _empty(annotation: dict[str, Any]) -> bool:
    mask = annotation["segmentation"]
    return bool(mask) and not decode(mask, H, W).any()


def test_a_void_region_of_another_size_is_a_sentence(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A)], [(1, 1, A, 0.9)])
    labels["images"][0]["void"] = encode(np.ones((9, 9), dtype=bool))
    with pytest.raises(ValueError, match=r"void region of image 1 cannot be used.*\[9, 9\]"):
        evaluate_voc(labels, found)
    assert evaluate_voc(labels, found, void="background").value("mAP50") == 1.0


def test_no_detections_no_instances_and_empty_masks(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A)], [(1, 1, A, 0.9), (1, 2, B, 0.9)], classes=2)
    assert evaluate_voc(labels, []).summary == dict.fromkeys(METRICS, 0.0)
    result = evaluate_voc(labels, found)
    assert result.value("mAP75") == 1.0
    assert np.isnan(result.average_precision[:, 3]).tolist() == [False, True]
    assert math.isnan(evaluate_voc(labels, found, labels=[2]).value("mAP50"))
    nothing = evaluate_voc({**labels, "annotations": []}, found)
    assert math.isnan(nothing.value("mAP50"))
    assert np.isnan(resample_voc(nothing, resamples=3).score("mAP50").interval).all()
    assert math.isnan(evaluate_voc(labels, found, labels=[]).value("mAP50"))
    empty = encode(np.zeros((90, 120), dtype=bool))
    hollow = [{**d, "segmentation": empty} for d in found]
    assert evaluate_voc(labels, hollow).value("mAP25") == 0.0
    labels["annotations"][0]["segmentation"] = empty
    assert math.isnan(evaluate_voc(labels, hollow).value("mAP25"))
    assert counted(evaluate_voc(labels, hollow)) == [0, 0]


def test_neither_input_is_changed() -> None:
    made = random_masks(2)
    before = copy.deepcopy(made)
    evaluate_voc(*made, difficult="ignore")
    assert made == before


def test_bad_detections_choices_and_metrics_are_sentences(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A)], [(1, 1, A, 0.9)])
    with pytest.raises(BadDetections, match=r"1 without 'segmentation', at positions \(0\)"):
        evaluate_voc(labels, [{k: v for k, v in found[0].items() if k != "segmentation"}])
    with pytest.raises(ValueError, match='matching is "sds" or "argmax", not \'coco\''):
        evaluate_voc(labels, found, matching="coco")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"No metric 'AP50'\. Known are mAP25, mAP50"):
        evaluate_voc(labels, found).value("AP50")
    with pytest.raises(ValueError, match="Labels run from 1 to 1"):
        evaluate_voc(labels, found, labels=[2])


@pytest.mark.parametrize("matching", get_args(Matching))
def test_a_weight_is_the_same_as_that_many_copies_of_the_image(matching: Any) -> None:
    labels, found = random_masks(3, images=8)
    for rank, d in enumerate(found):  # ties between images would be broken in another order
        d["score"] = rank / len(found)
    result = evaluate_voc(labels, found, matching=matching)
    drawn = resample_voc(result, resamples=5, seed=1)
    by_id = {image["id"]: image for image in labels["images"]}
    for row, weights in enumerate(image_weights(8, resamples=5, seed=1)):
        new: dict[str, Any] = {**labels, "images": [], "annotations": []}
        again = []
        for image_id, weight in zip(result.image_ids, weights, strict=True):
            for name in (image_id + 1000 * n for n in range(weight)):
                new["images"].append({**by_id[image_id], "id": name})
                for a in labels["annotations"]:
                    if a["image_id"] == image_id:
                        number = len(new["annotations"])
                        new["annotations"].append({**a, "id": number, "image_id": name})
                again += [{**d, "image_id": name} for d in found if d["image_id"] == image_id]
        copies = evaluate_voc(new, again, matching=matching)
        for metric in METRICS:
            expected = copies.value(metric)
            assert drawn.score(metric).resampled[row] == pytest.approx(
                expected, abs=1e-12, nan_ok=True
            )


def test_unit_weights_give_the_point_estimate_and_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, found = random_masks(4, images=30)
    result = evaluate_voc(labels, found)
    assert result.image_ids == evaluate(labels, found, iou_type="segm").image_ids
    whole = resample_voc(result, resamples=7, seed=2)
    ones = np.ones((2, 30), dtype=int)
    for position, label in enumerate(result.labels):
        both = all_point_ap(result.matches[label], ones)
        expected = result.average_precision[[position] * 2]
        np.testing.assert_allclose(both, expected, rtol=0, atol=1e-12)
    monkeypatch.setattr("lib.metrics.bootstrap._TOGETHER", 1)
    chunks = resample_voc(result, resamples=7, seed=2).values
    np.testing.assert_allclose(chunks, whole.values, rtol=0, atol=1e-12)


def test_intervals_and_paired_differences() -> None:
    labels, found = random_masks(6, images=60)
    good = resample_voc(evaluate_voc(labels, found), resamples=200, seed=3)
    fewer = [d for i, d in enumerate(found) if i % 4]
    worse = resample_voc(evaluate_voc(labels, fewer), resamples=200, seed=3)
    ours, base = good.score("mAP50"), worse.score("mAP50")
    assert ours.interval.low < ours.estimate == good.result.value("mAP50") < ours.interval.high
    values = np.nanmean(good.values[:, :, 1] - worse.values[:, :, 1], axis=1)
    assert (ours - base).interval[1:] == pytest.approx(np.percentile(values, [2.5, 97.5]))
    for other in (
        resample_voc(worse.result, resamples=200, seed=4),
        resample_voc(worse.result, resamples=100, seed=3),
        resample_voc(evaluate_voc(labels, found, labels=[1]), resamples=200, seed=3),
        resample_voc(evaluate_voc(*random_masks(6, images=5)), resamples=200, seed=3),
    ):
        with pytest.raises(ValueError, match="same images"):
            ours - other.score("mAP50")

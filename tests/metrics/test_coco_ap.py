import contextlib
import copy
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lib.files import read_json
from lib.masks.rle import decode, encode
from lib.metrics.coco_ap import AREA_RANGES_64, evaluate
from lib.metrics.coco_input import BadDetections
from lib.paths import find_data

Made = tuple[dict[str, Any], list[dict[str, Any]]]
Maker = Callable[..., Made]
A, B, C = [10.0, 10.0, 20.0, 20.0], [50.0, 10.0, 20.0, 20.0], [80.0, 50.0, 20.0, 20.0]


NUMBERS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
Ranges = dict[str, tuple[float, float]]


class LeavingOut(COCOeval):
    """pycocotools, made to ignore some annotations; its own code overwrites ``ignore``."""

    left_out: frozenset[int] = frozenset()

    def _prepare(self) -> None:
        super()._prepare()
        for instances in self._gts.values():
            for instance in instances:
                instance["ignore"] = int(instance["ignore"] or instance["id"] in self.left_out)


def pycocotools(
    labels: dict[str, Any],
    found: list[dict[str, Any]],
    kind: str,
    *,
    categories: list[int],
    ranges: Ranges | None = None,
    counts: list[int] | None = None,
    left_out: frozenset[int] = frozenset(),
) -> LeavingOut:
    """Return pycocotools' own evaluation, through its own loadRes and, by default, summarize."""
    drop = "bbox" if kind == "segm" else "segmentation"
    found = [{k: v for k, v in copy.deepcopy(d).items() if k != drop} for d in found]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(labels)
        truth.createIndex()
        judge = LeavingOut(truth, truth.loadRes(found), kind)
        judge.left_out = left_out
        judge.params.catIds = categories
        if ranges is not None:
            judge.params.areaRng = [[0, 1e10], *map(list, ranges.values())]
            judge.params.areaRngLbl = ["all", *ranges]
        if counts is not None:
            judge.params.maxDets = counts
        judge.evaluate()
        judge.accumulate()
        if ranges is None and counts is None:
            judge.summarize()
    return judge


def numbers_of(judge: COCOeval) -> np.ndarray:
    return np.where(judge.stats > -1, judge.stats, np.nan)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", [1, 2])
def test_equals_pycocotools_to_the_last_digit(random_set: Maker, kind: Any, seed: int) -> None:
    labels, found = random_set(seed)
    ours = evaluate(labels, found, iou_type=kind).coco_numbers
    expected = numbers_of(pycocotools(labels, found, kind, categories=[3, 6, 9, 12]))
    assert 0.05 < expected[0] < 0.95
    assert tuple(ours) == NUMBERS
    np.testing.assert_array_equal(list(ours.values()), expected)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(6))
def test_every_part_equals_pycocotools_under_any_settings(
    random_set: Maker, kind: Any, seed: int
) -> None:
    # Tied scores, crowds, empty images, a class without instances and one without detections,
    # left out instances, own area ranges, few detections.
    rng = np.random.default_rng([7, seed])
    labels, found = random_set(40 + seed, images=15, classes=5, per_image=9)
    for detection in found:
        detection["score"] = round(detection["score"], int(rng.integers(0, 3)))
    labels["annotations"] = [a for a in labels["annotations"] if a["category_id"] != 6]
    found = [d for d in found if d["category_id"] != 9 and d["image_id"] not in (4, 5)]
    labels["images"] += [{**labels["images"][0], "id": name} for name in (0, 99)]
    chosen = sorted(rng.choice([1, 2, 3, 4, 5], size=4, replace=False).tolist())
    most = (1, 2, 5, 100)[seed % 4]
    ranges: Ranges = {"tiny": (0.0, 300.0), "some": (300.0, 1500.0)}
    ids = [a["id"] for a in labels["annotations"]]
    left_out = frozenset(rng.choice(ids, size=len(ids) // 8, replace=False).tolist())

    counts = [count for count in (1, 10) if count < most] + [most]
    judge = pycocotools(
        labels,
        found,
        kind,
        categories=[3 * label for label in chosen],
        ranges=ranges,
        counts=counts,
        left_out=left_out,
    )
    ours = evaluate(
        labels,
        found,
        iou_type=kind,
        labels=chosen,
        area_ranges=ranges,
        ignore=left_out,
        max_detections=most,
    )
    precision, recall = judge.eval["precision"][..., -1], judge.eval["recall"]
    np.testing.assert_array_equal(ours.precision, np.where(precision < 0, np.nan, precision))
    np.testing.assert_array_equal(ours.recall, np.where(recall < 0, np.nan, recall))
    assert ours.detections == tuple(counts) and (precision > 0).any()

    entries = iter(judge.evalImgs)  # by class, area range and image
    for label in chosen:
        for area in ours.areas:
            matches = ours.matches[label, area]
            for image in range(len(ours.image_ids)):
                here, entry = matches.image == image, next(entries)
                if entry is None:
                    assert not here.any() and not matches.instances[image]
                    continue
                counted, right = ~entry["dtIgnore"].astype(bool), entry["dtMatches"] > 0
                assert matches.score[here].tolist() == entry["dtScores"]
                np.testing.assert_array_equal(matches.true[:, here], right & counted)
                np.testing.assert_array_equal(matches.false[:, here], ~right & counted)
                assert matches.instances[image] == np.sum(np.asarray(entry["gtIgnore"]) == 0)


def test_of_equal_overlaps_the_last_instance_is_taken_and_the_first_detection_takes_it(
    rectangles: Maker,
) -> None:
    # Two instances in one place: each is taken once, and the third detection has none.
    labels, found = rectangles([(1, 1, A), (1, 1, A)], [(1, 1, A, 0.5)] * 3)
    for kind in ("bbox", "segm"):
        matches = evaluate(labels, found, iou_type=kind).matches[1, "all"]
        assert matches.true[0].tolist() == [True, True, False]
        assert matches.false[0].tolist() == [False, False, True]
    # If the last does not count, the detection takes the first all the same.
    left = evaluate(labels, found[:1], iou_type="segm", ignore={1}).matches[1, "all"]
    assert left.true[0].tolist() == [True] and left.instances.tolist() == [1]


def test_selecting_classes_equals_judging_them_alone(random_set: Maker) -> None:
    labels, found = random_set(3)
    result = evaluate(labels, found, iou_type="segm")
    alone = evaluate(labels, found, iou_type="segm", labels=[2, 4])
    expected = numbers_of(pycocotools(labels, found, "segm", categories=[6, 12]))
    for part in (result.select([2, 4]), alone):
        np.testing.assert_array_equal(list(part.coco_numbers.values()), expected)
    frame = result.per_class.set_index("label")
    assert frame.loc[[2, 4], "AP"].mean() == pytest.approx(expected[0])
    assert frame.loc[2, "category_id"] == 6
    counted = sum(a["category_id"] == 6 and not a["iscrowd"] for a in labels["annotations"])
    assert frame.loc[2, "instances"] == counted
    with pytest.raises(ValueError, match=r"\[3\] were not evaluated"):
        alone.select([3])


def test_detections_of_unusual_but_sound_types_are_judged_alike(random_set: Maker) -> None:
    labels, found = random_set(8)
    unusual = [
        {
            **d,
            "score": np.float64(d["score"]),
            "bbox": np.array(d["bbox"]),
            "segmentation": {**d["segmentation"], "counts": d["segmentation"]["counts"].encode()},
        }
        for d in found
    ]
    for kind in ("bbox", "segm"):
        expected = evaluate(labels, found, iou_type=kind)
        ours = evaluate(labels, unusual, iou_type=kind)
        np.testing.assert_array_equal(ours.precision, expected.precision)


def test_neither_input_is_changed_and_nothing_is_printed(
    random_set: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, found = random_set(4)
    before = copy.deepcopy((labels, found))
    evaluate(labels, found, iou_type="segm")
    assert (labels, found) == before
    assert capsys.readouterr().out == ""


def test_annotation_id_zero_matches(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A)], [(1, 1, A, 0.5)])
    assert labels["annotations"][0]["id"] == 0
    assert evaluate(labels, found, iou_type="bbox").summary["AP"] == pytest.approx(1.0)


def test_no_detections_is_zero_and_no_instances_is_nan(rectangles: Maker) -> None:
    labels, _ = rectangles([(1, 1, A)], [], classes=2)
    result = evaluate(labels, [], iou_type="segm")
    assert result.summary["AP"] == 0.0  # class 2 has no instance and is left out of the mean
    assert math.isnan(result.summary["AP_large"])
    assert np.isnan(result.per_class["AP"]).tolist() == [False, True]
    assert math.isnan(evaluate(labels, [], iou_type="segm", labels=[2]).summary["AP"])
    nothing = {**labels, "annotations": []}
    assert math.isnan(evaluate(nothing, [], iou_type="bbox").summary["AP50"])


def test_exactly_64_by_64_is_large_alone(rectangles: Maker) -> None:
    square = [0.0, 0.0, 64.0, 64.0]
    labels, found = rectangles([(1, 1, square)], [(1, 1, square, 0.5)])
    summary = evaluate(labels, found, iou_type="bbox", area_ranges=AREA_RANGES_64).summary
    assert summary["AP_large"] == pytest.approx(1.0)
    assert math.isnan(summary["AP_small"])


def test_only_instances_of_the_set_can_be_left_out(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A)], [(1, 1, A, 0.9)])
    with pytest.raises(ValueError, match="not in the ground truth"):
        evaluate(labels, found, iou_type="segm", ignore={77})


def test_an_instance_without_a_mask_is_a_region_to_ignore(rectangles: Maker) -> None:
    labels, found = rectangles(
        [(1, 1, A), (1, 1, B)],
        [(1, 1, B, 0.9), (1, 1, [51.0, 12.0, 9.0, 9.0], 0.85), (1, 1, A, 0.8)],
    )
    labels["annotations"][1]["segmentation"] = []
    assert evaluate(labels, found, iou_type="segm").summary["AP"] == pytest.approx(1.0)
    boxes = evaluate(labels, found, iou_type="bbox")  # its box still is a box
    assert boxes.per_class["instances"].tolist() == [2]
    for annotation in labels["annotations"]:
        annotation["segmentation"] = []
    assert math.isnan(evaluate(labels, found, iou_type="segm").summary["AP"])


def test_all_bad_detections_are_named_at_once(rectangles: Maker) -> None:
    labels, found = rectangles(
        [(1, 1, A)], [(1, 1, A, 0.9), (7, 1, A, 0.8), (1, 9, A, 0.7), (1, 1, A, math.nan)]
    )
    small = copy.deepcopy(found[0])
    small["segmentation"]["size"] = [10, 10]
    with pytest.raises(BadDetections) as error:
        evaluate(labels, [*found, small, {"image_id": 1}], iou_type="segm")
    message = str(error.value)
    for part in (
        "1 of unknown images, with ids (7)",
        "1 of unknown categories, with ids (9)",
        "1 whose score is not a number, at positions (3)",
        "1 whose mask is not as large as its image, of images (1)",
        "1 without 'category_id' and 'score' and 'segmentation', at positions (5)",
    ):
        assert part in message


@pytest.mark.photos
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_equals_pycocotools_on_real_labels_with_crowds_and_polygons(kind: Any) -> None:
    try:
        path = find_data("coco2017/annotations/instances_val2017.json")
    except FileNotFoundError:
        pytest.skip("COCO labels are not here")
    labels = read_json(path)
    rng = np.random.default_rng(0)
    sizes = {image["id"]: (image["height"], image["width"]) for image in labels["images"]}
    found = []
    for annotation in labels["annotations"][::3]:
        shift = int(rng.integers(0, 12))
        mask = decode(annotation["segmentation"], *sizes[annotation["image_id"]])
        x, y, width, height = annotation["bbox"]
        found.append(
            {
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "score": float(rng.random()),
                "bbox": [x + shift, y, width, height],
                "segmentation": encode(np.roll(mask, shift, axis=1)),
            }
        )
    ids = [category["id"] for category in labels["categories"]]
    expected = numbers_of(pycocotools(labels, found, kind, categories=ids))
    ours = evaluate(labels, found, iou_type=kind).coco_numbers
    assert 0.05 < expected[0] < 0.9
    np.testing.assert_array_equal(list(ours.values()), expected)

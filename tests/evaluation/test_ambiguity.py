import contextlib
import copy
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lib.data.coco import CocoSet, from_coco
from lib.data.overlap import ambiguous_ids, objects
from lib.evaluation.ambiguity import GROUPS, Group, evaluate_by_ambiguity, gain_ratio
from lib.evaluation.bootstrap import Replicates, image_weights, resample
from lib.evaluation.coco_ap import APResult

Made = tuple[dict[str, Any], list[dict[str, Any]]]
Maker = Callable[..., Made]
A, HALF_OF_A, C = [10.0, 10.0, 40.0, 20.0], [10.0, 10.0, 20.0, 20.0], [80.0, 50.0, 20.0, 20.0]
NEARLY_HALF = [10.0, 10.0, 19.0, 20.0]


def opened(labels: dict[str, Any]) -> CocoSet:
    return from_coco(labels, Path("labels.json"), None, check_images="none")


def crowded(made: Made, seed: int) -> Made:
    """Return a random set in which some instances stand in front of others, detections likewise."""
    labels, found = copy.deepcopy(made)
    rng = np.random.default_rng(seed)
    for k, annotation in enumerate(list(labels["annotations"])):
        if k % 3 == 0:
            box = [
                v + d
                for v, d in zip(annotation["bbox"], rng.uniform(0, 1, 4).tolist(), strict=True)
            ]
            other = rng.choice([annotation["category_id"], 3, 6])
            new = {**annotation, "id": 1000 + k, "bbox": box, "category_id": int(other)}
            labels["annotations"].append({**new, "iscrowd": 0})
    for k, detection in enumerate(list(found)):
        if k % 2 == 0:
            near = detection["score"] - 1e-4
            found.append({**detection, "score": near, "category_id": int(rng.choice([3, 6]))})
    return labels, found


def with_pycocotools(
    labels: dict[str, Any], found: list[dict[str, Any]], ignored: frozenset[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and AP, AP50, AP75 from stock pycocotools.

    It ignores instances outside an area range, so what is ignored gets an area beyond any.
    """
    content = copy.deepcopy(labels)
    for annotation in content["annotations"]:
        annotation["area"] = 1e12 if annotation["id"] in ignored else 1.0
    results = [{k: v for k, v in d.items() if k != "bbox"} for d in copy.deepcopy(found)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "segm")
        judge.params.areaRng = [[0, 1e10]] * 4  # summarize asks for four of them
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.eval["precision"][:, :, :, 0, -1], judge.stats[:3]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_pycocotools_called_directly_with_ignore_flags(random_set: Maker, seed: int) -> None:
    labels, found = crowded(random_set(seed), seed)
    coco_set = opened(labels)
    by_group = evaluate_by_ambiguity(coco_set, found)
    ambiguous = ambiguous_ids(coco_set)
    others = frozenset(a["id"] for a in labels["annotations"] if not a["iscrowd"]) - ambiguous
    assert len(ambiguous) > 8 and len(others) > 8
    ignored: dict[Group, frozenset[int]] = {"ambiguous": others, "not_ambiguous": ambiguous}
    for group, result in by_group.items():
        precision, stats = with_pycocotools(labels, found, ignored[group])
        ours = result.precision[..., 0]
        np.testing.assert_array_equal(ours, np.where(precision < 0, np.nan, precision))
        assert 0 < stats[0] < 1
        assert [result.summary[m] for m in ("AP", "AP50", "AP75")] == stats.tolist()


def test_every_instance_is_in_one_of_the_groups(random_set: Maker) -> None:
    labels, found = crowded(random_set(4), 4)
    coco_set = opened(labels)
    counts = [
        result.per_class["instances"].sum()
        for result in evaluate_by_ambiguity(coco_set, found).values()
    ]
    assert min(counts) > 0 and sum(counts) == len(objects(coco_set))


def test_groups_by_hand(rectangles: Maker) -> None:
    # A and half of it (IoU 0.5) are ambiguous, C is not. A is found best, then a false one, then
    # C. Of the ambiguous: right, wrong; one of two found, 51 of 101 recalls at precision 1.
    # Of the others: wrong, right; precision 1/2 all along.
    labels, found = rectangles(
        [(1, 1, A), (1, 1, HALF_OF_A), (1, 1, C)],
        [(1, 1, A, 0.9), (1, 1, [90.0, 5.0, 9.0, 9.0], 0.8), (1, 1, C, 0.7)],
    )
    result = evaluate_by_ambiguity(opened(labels), found)
    assert result["ambiguous"].summary["AP"] == pytest.approx(51 / 101)
    assert result["not_ambiguous"].summary["AP"] == pytest.approx(1 / 2)


def test_iou_below_one_half_makes_no_group(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A), (1, 1, NEARLY_HALF)], [(1, 1, A, 0.9)])
    result = evaluate_by_ambiguity(opened(labels), found)
    assert math.isnan(result["ambiguous"].summary["AP"])
    assert result["not_ambiguous"].per_class["instances"].tolist() == [2]
    looser = evaluate_by_ambiguity(opened(labels), found, iou_from=0.475)
    assert looser["ambiguous"].per_class["instances"].tolist() == [2]


def test_a_detection_on_an_ignored_instance_is_neither_right_nor_wrong(rectangles: Maker) -> None:
    truth = [(1, 1, A), (1, 1, HALF_OF_A), (1, 1, C)]
    on_both = [(1, 1, A, 0.6), (1, 1, HALF_OF_A, 0.5)]
    labels, found = rectangles(truth, [(1, 1, C, 0.9), *on_both])
    result = evaluate_by_ambiguity(opened(labels), found)
    assert result["ambiguous"].summary["AP"] == pytest.approx(1)  # C's comes first: were it wrong,
    none, only_c = rectangles(truth, [(1, 1, C, 0.9)])  # precision would be 2/3 at most
    assert evaluate_by_ambiguity(opened(none), only_c)["ambiguous"].summary["AP"] == 0
    matches = result["ambiguous"].matches[1, "all"]
    assert not (matches.true | matches.false)[:, 0].any()
    # A mask on it that is too poor to match it is wrong: 14 of 20 columns, IoU 0.7.
    _, poor = rectangles(truth, [(1, 1, [80.0, 50.0, 14.0, 20.0], 0.9), *on_both])
    matches = evaluate_by_ambiguity(opened(labels), poor)["ambiguous"].matches[1, "all"]
    assert matches.false[:, 0].tolist() == [False] * 5 + [True] * 5


def test_crowd_regions_make_nobody_ambiguous_and_are_in_no_group(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A), (1, 1, HALF_OF_A)], [(1, 1, A, 0.9)])
    labels["annotations"][1]["iscrowd"] = 1
    result = evaluate_by_ambiguity(opened(labels), found)
    assert math.isnan(result["ambiguous"].summary["AP"])
    assert result["not_ambiguous"].summary["AP"] == pytest.approx(1)


def test_boxes_are_judged_likewise(rectangles: Maker) -> None:
    labels, found = rectangles(
        [(1, 1, A), (1, 1, HALF_OF_A), (1, 1, C)], [(1, 1, A, 0.9), (1, 1, C, 0.8)]
    )
    boxes_only = [{k: v for k, v in d.items() if k != "segmentation"} for d in found]
    result = evaluate_by_ambiguity(opened(labels), boxes_only, iou_type="bbox")
    assert result["ambiguous"].summary["AP"] == pytest.approx(51 / 101)
    assert result["not_ambiguous"].summary["AP"] == pytest.approx(1)


def test_a_class_without_instances_is_nan_and_pulls_no_mean_down(random_set: Maker) -> None:
    labels, found = crowded(random_set(5), 5)
    before = evaluate_by_ambiguity(opened(labels), found)
    more = {**labels, "categories": [*labels["categories"], {"id": 99, "name": "absent"}]}
    false = {**found[0], "category_id": 99}
    for group, result in evaluate_by_ambiguity(opened(more), [*found, false]).items():
        frame = result.per_class.set_index("name")
        assert math.isnan(frame.loc["absent", "AP"]) and (frame["AP"].dropna() >= 0).all()
        assert result.summary["AP"] == before[group].summary["AP"]
        drawn, expected = (resample(r, resamples=20) for r in (result, before[group]))
        np.testing.assert_array_equal(drawn.metric("AP"), expected.metric("AP"))


def drawn_groups(
    results: dict[Group, APResult], *, resamples: int = 16, seed: int = 3
) -> dict[Group, Replicates]:
    return {g: resample(r, resamples=resamples, seed=seed) for g, r in results.items()}


def copies(made: Made, weights: Sequence[int]) -> tuple[CocoSet, list[dict[str, Any]]]:
    """Return the set in which each image is really there so many times, with its detections."""
    labels, found = made
    new: dict[str, Any] = {"images": [], "annotations": [], "categories": labels["categories"]}
    detections = []
    for image, weight in zip(labels["images"], weights, strict=True):
        for number in range(weight):
            name = image["id"] + 1000 * number
            here = [a for a in labels["annotations"] if a["image_id"] == image["id"]]
            new["images"].append({**image, "id": name})
            for a in here:
                new["annotations"].append(
                    {**a, "id": len(new["annotations"]) + 1, "image_id": name}
                )
            detections += [{**d, "image_id": name} for d in found if d["image_id"] == image["id"]]
    return opened(new), detections


@pytest.mark.parametrize("labels_chosen", [None, [1, 2]])
def test_gains_equal_those_on_resampled_datasets(
    random_set: Maker, labels_chosen: list[int] | None
) -> None:
    labels, found = crowded(random_set(6, images=14), 6)
    worse = [d for k, d in enumerate(found) if k % 4]
    models = [evaluate_by_ambiguity(opened(labels), d) for d in (found, worse)]
    interval = gain_ratio(*(drawn_groups(m) for m in models), name="AP50", labels=labels_chosen)

    def gain(weights: Sequence[int]) -> float:
        gains = {}
        judged = [evaluate_by_ambiguity(*copies((labels, d), weights)) for d in (found, worse)]
        for group in GROUPS:
            chosen = labels_chosen or [1, 2, 3, 4]
            ours, base = (m[group].select(chosen).value("AP50") for m in judged)
            gains[group] = ours / base - 1
        return gains["ambiguous"] - gains["not_ambiguous"]

    naive = [gain(w) for w in image_weights(14, resamples=16, seed=3).tolist()]
    assert np.isfinite(naive).all()
    assert interval.estimate == pytest.approx(gain([1] * 14))
    assert interval[1:] == pytest.approx(np.percentile(naive, [2.5, 97.5]))
    assert interval.low < interval.estimate < interval.high


def simple(rectangles: Maker, *, images: int = 6) -> Made:
    """Return the same three instances on every image, all found."""
    some = range(1, images + 1)
    boxes = (A, HALF_OF_A, C)
    return rectangles(
        [(i, 1, box) for i in some for box in boxes],
        [(i, 1, box, 0.9) for i in some for box in boxes],
        images=images,
    )


def test_equal_models_gain_nothing_and_a_hand_made_gain_is_as_worked_out(
    rectangles: Maker,
) -> None:
    labels, found = simple(rectangles)
    full = drawn_groups(evaluate_by_ambiguity(opened(labels), found))
    assert gain_ratio(full, full) == (0.0, 0.0, 0.0)
    # The baseline finds one of the two ambiguous instances of each image: recall 1/2, 51 of 101.
    without = [d for d in found if d["bbox"] != HALF_OF_A]
    half = drawn_groups(evaluate_by_ambiguity(opened(labels), without))
    assert gain_ratio(full, half) == pytest.approx([101 / 51 - 1] * 3)
    # Turned round: 51/101 of the baseline's on ambiguous instances, nothing lost on the others.
    assert gain_ratio(half, full) == pytest.approx([51 / 101 - 1] * 3)


def test_a_baseline_that_finds_nothing_has_no_ratio(rectangles: Maker) -> None:
    labels, found = simple(rectangles)
    full = drawn_groups(evaluate_by_ambiguity(opened(labels), found))
    nothing = drawn_groups(evaluate_by_ambiguity(opened(labels), []))
    assert np.isnan(gain_ratio(full, nothing)).all()
    # Found on one image of six alone: a third of the resamples lack it, so there is no interval.
    once = [d for d in found if d["bbox"] == C or d["image_id"] == 1]
    rarely = drawn_groups(evaluate_by_ambiguity(opened(labels), once))
    interval = gain_ratio(full, rarely)
    assert math.isfinite(interval.estimate) and np.isnan(interval[1:]).all()


def test_a_group_on_fewer_than_four_images_has_no_interval(rectangles: Maker) -> None:
    labels, found = simple(rectangles)
    labels["annotations"] = [
        a for a in labels["annotations"] if a["bbox"] != HALF_OF_A or a["image_id"] <= 3
    ]
    full = drawn_groups(evaluate_by_ambiguity(opened(labels), found))
    interval = gain_ratio(full, full)
    assert interval.estimate == 0 and np.isnan(interval[1:]).all()


def test_gains_from_different_resamples_cannot_be_compared(rectangles: Maker) -> None:
    labels, found = simple(rectangles)
    results = evaluate_by_ambiguity(opened(labels), found)
    first = drawn_groups(results)
    for other in (drawn_groups(results, seed=4), drawn_groups(results, resamples=9)):
        with pytest.raises(ValueError, match="same seed and number of resamples"):
            gain_ratio(first, other)

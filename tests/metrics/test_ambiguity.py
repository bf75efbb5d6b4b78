import contextlib
import copy
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lib.data.coco import CocoSet, from_coco
from lib.data.overlap import ambiguous_ids, objects
from lib.metrics.ambiguity import BETWEEN, GROUPS, Group, evaluate_by_ambiguity, iou_gains
from lib.metrics.bootstrap import image_weights, resample
from lib.metrics.mask_iou import COLUMNS

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
        np.testing.assert_array_equal(drawn.score("AP").resampled, expected.score("AP").resampled)


def masks(rows: list[tuple[int, float]]) -> pd.DataFrame:
    """Return mask IoU on true boxes of instances 0, 1, ..., given as image and IoU."""
    return pd.DataFrame(
        [(k, image, 1, "person", 100, iou) for k, (image, iou) in enumerate(rows)],
        columns=list(COLUMNS),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_gains_in_iou_equal_those_of_resampled_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 13, size=40).tolist()
    ours, base = (masks([(i, float(rng.uniform(0.2, 1))) for i in images]) for _ in range(2))
    ambiguous = set(range(0, 40, 3))
    gains = iou_gains(ours, base, ambiguous, resamples=25, seed=3)

    def naive(weights: dict[int, int]) -> list[list[float]]:
        found = []
        for inside in (True, False):
            here = [k for k in range(40) if (k in ambiguous) == inside]
            repeated = [k for k in here for _ in range(weights[images[k]])]
            model, baseline = (np.mean([f["iou"][k] for k in repeated]) for f in (ours, base))
            found.append([model, baseline, model - baseline, model / baseline - 1])
        return [*found, [a - b for a, b in zip(*found, strict=True)]]

    names = sorted(set(images))
    exact = naive(dict.fromkeys(names, 1))
    drawn = np.array([
        naive(dict(zip(names, w, strict=True)))
        for w in image_weights(len(names), resamples=25, seed=3).tolist()
    ])  # fmt: skip
    for place, name in enumerate((*GROUPS, BETWEEN)):
        for column, interval in enumerate(gains[name]):
            assert interval.estimate == pytest.approx(exact[place][column])
            ends = np.percentile(drawn[:, place, column], [2.5, 97.5])
            assert interval[1:] == pytest.approx(ends)


def test_gains_by_hand() -> None:
    # Ambiguous: 0.2 -> 0.4, twice as much; others: 0.6 -> 0.9, half as much again.
    places = [image for image in range(1, 7) for _ in range(3)]
    base = masks([(i, 0.2 if k % 3 == 0 else 0.6) for k, i in enumerate(places)])
    ours = masks([(i, 0.4 if k % 3 == 0 else 0.9) for k, i in enumerate(places)])
    ambiguous = set(range(0, 18, 3))
    gains = iou_gains(ours, base, ambiguous, resamples=30)
    assert gains["ambiguous"].relative == pytest.approx([1, 1, 1])
    assert gains["not_ambiguous"].relative == pytest.approx([0.5, 0.5, 0.5])
    assert gains[BETWEEN].relative == pytest.approx([0.5, 0.5, 0.5])
    assert gains[BETWEEN].gain == pytest.approx(
        [-0.1, -0.1, -0.1]
    )  # in points the others gain more
    assert gains[BETWEEN].baseline == pytest.approx([-0.4, -0.4, -0.4])
    same = iou_gains(base, base, ambiguous, resamples=30)
    assert all(group.gain == group.relative == (0, 0, 0) for group in same.values())


def test_an_equal_improvement_of_both_groups_is_no_difference_however_few_are_ambiguous() -> None:
    # Every mask gains 0.15. In one image of three there is one ambiguous instance, of many others.
    rng = np.random.default_rng(0)
    places = [image for image in range(1, 61) for _ in range(9)]
    ambiguous = {k for k, image in enumerate(places) if image % 3 == 0 and k % 9 == 0}
    assert len(ambiguous) == 20
    before = rng.uniform(0.3, 0.8, size=len(places))
    base, ours = (
        masks([(i, float(v)) for i, v in zip(places, values, strict=True)])
        for values in (before, before + 0.15)
    )
    gains = iou_gains(ours, base, ambiguous, resamples=300)
    assert gains[BETWEEN].gain == pytest.approx([0, 0, 0])
    relative = gains[BETWEEN].relative
    assert relative.low < 0 < relative.high and abs(relative.estimate) < 0.1
    # And by hand, where the baselines are equal too: 0.5 -> 0.65 everywhere.
    base, ours = (masks([(i, value) for i in places]) for value in (0.5, 0.65))
    assert iou_gains(ours, base, ambiguous)[BETWEEN].relative == pytest.approx([0, 0, 0])


def test_the_ap_of_few_ambiguous_instances_suffers_from_masks_of_the_others(
    rectangles: Maker,
) -> None:
    # Nothing changes on the ambiguous two (A and half of it); masks of C become good (20 of 20
    # columns instead of 8). AP of the ambiguous rises, so its gain tells nothing of their masks.
    truth = [(i, 1, box) for i in range(1, 7) for box in (A, HALF_OF_A, C)]
    found = [(i, 1, box, 0.5) for i in range(1, 7) for box in (A, HALF_OF_A)]
    poor = [(i, 1, [80.0, 50.0, 8.0, 20.0], 0.9) for i in range(1, 7)]
    good = [(i, 1, C, 0.9) for i in range(1, 7)]
    aps = []
    for more in (poor, good):
        labels, detections = rectangles(truth, [*found, *more], images=6)
        result = evaluate_by_ambiguity(opened(labels), detections)
        aps.append(result["ambiguous"].summary["AP"])
    assert aps[0] < 0.75 and aps[1] == pytest.approx(1)


def test_a_baseline_of_0_has_no_relative_gain() -> None:
    places = [image for image in range(1, 7) for _ in range(2)]
    ambiguous = set(range(0, 12, 2))
    ours = masks([(i, 0.8) for i in places])
    nothing = masks([(i, 0.0) for i in places])
    gains = iou_gains(ours, nothing, ambiguous)
    assert np.isnan(gains[BETWEEN].relative).all() and gains[BETWEEN].gain == (0, 0, 0)
    # Above 0 on one image of six alone: a third of the resamples lack it, so there is no interval.
    once = masks([(i, 0.4 if i == 1 or k % 2 else 0.0) for k, i in enumerate(places)])
    relative = iou_gains(ours, once, ambiguous)[BETWEEN].relative
    assert math.isfinite(relative.estimate) and np.isnan(relative[1:]).all()


def test_a_group_on_few_images_has_no_interval_and_an_empty_one_no_value() -> None:
    places = [image for image in range(1, 7) for _ in range(2)]
    ours, base = masks([(i, 0.8) for i in places]), masks([(i, 0.4) for i in places])
    gains = iou_gains(ours, base, {0, 2, 4})
    assert gains[BETWEEN].relative.estimate == 0 and np.isnan(gains[BETWEEN].relative[1:]).all()
    assert not np.isnan(gains["not_ambiguous"].relative).any()
    gains = iou_gains(ours, base, frozenset())
    assert np.isnan([*gains["ambiguous"], *gains[BETWEEN]]).all()
    assert gains["not_ambiguous"].relative.estimate == pytest.approx(1)
    gains = iou_gains(ours.iloc[:0], base.iloc[:0], frozenset())
    assert all(np.isnan(list(group)).all() for group in gains.values())


def test_gains_need_the_same_instances() -> None:
    ours, base = masks([(1, 0.8), (2, 0.8)]), masks([(1, 0.4)])
    with pytest.raises(ValueError, match="same instances"):
        iou_gains(ours, base, {0})

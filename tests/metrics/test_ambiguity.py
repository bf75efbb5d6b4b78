import contextlib
import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lib.data.coco import CocoSet, from_coco
from lib.data.overlap import ambiguous_ids
from lib.metrics.ambiguity import BETWEEN, GROUPS, Group, evaluate_by_ambiguity, iou_gains
from lib.metrics.bootstrap import image_weights
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
        for column, score in enumerate(gains[name]):
            interval = score.interval
            assert interval.estimate == pytest.approx(exact[place][column])
            ends = np.percentile(drawn[:, place, column], [2.5, 97.5])
            assert interval[1:] == pytest.approx(ends)


def test_a_baseline_of_0_has_no_relative_gain() -> None:
    places = [image for image in range(1, 7) for _ in range(2)]
    ambiguous = set(range(0, 12, 2))
    ours = masks([(i, 0.8) for i in places])
    nothing = masks([(i, 0.0) for i in places])
    gains = iou_gains(ours, nothing, ambiguous)
    assert np.isnan(gains[BETWEEN].relative.interval).all()
    assert gains[BETWEEN].gain.interval == (0, 0, 0)


def test_a_group_on_few_images_has_no_interval_and_an_empty_one_no_value() -> None:
    places = [image for image in range(1, 7) for _ in range(2)]
    ours, base = masks([(i, 0.8) for i in places]), masks([(i, 0.4) for i in places])
    gains = iou_gains(ours, base, {0, 2, 4})
    between = gains[BETWEEN].relative.interval
    assert between.estimate == 0 and np.isnan(between[1:]).all()
    assert not np.isnan(gains["not_ambiguous"].relative.interval).any()
    gains = iou_gains(ours, base, frozenset())
    unknown = (*gains["ambiguous"], *gains[BETWEEN])
    assert np.isnan([score.interval for score in unknown]).all()
    assert gains["not_ambiguous"].relative.estimate == pytest.approx(1)
    gains = iou_gains(ours.iloc[:0], base.iloc[:0], frozenset())
    every = [score.interval for group in gains.values() for score in group]
    assert np.isnan(every).all()


def test_gains_need_the_same_instances() -> None:
    ours, base = masks([(1, 0.8), (2, 0.8)]), masks([(1, 0.4)])
    with pytest.raises(ValueError, match="same instances"):
        iou_gains(ours, base, {0})

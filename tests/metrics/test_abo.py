from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.data.coco import from_coco
from lib.masks.rle import decode, encode
from lib.metrics.abo import best_overlaps, score
from lib.metrics.bootstrap import image_weights
from lib.metrics.coco_input import BadDetections

Maker = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]
A, B, C = [10.0, 10.0, 20.0, 20.0], [50.0, 10.0, 20.0, 20.0], [80.0, 50.0, 20.0, 20.0]
HALF_A = [10.0, 10.0, 10.0, 20.0]


def abo(frame: pd.DataFrame) -> float:
    return score(frame, resamples=1).estimate


def naive(
    labels: dict[str, Any], found: list[dict[str, Any]], *, lowest: float = 0.05, most: int = 100
) -> tuple[dict[int, float], float]:
    """Return each instance's best overlap, and the mean over classes of their means."""
    kept = []
    for image in labels["images"]:
        here = [d for d in found if d["image_id"] == image["id"] and d["score"] >= lowest]
        kept += sorted(here, key=lambda d: -d["score"])[:most]
    per: dict[int, float] = {}
    classes: dict[int, list[float]] = {}
    for a in labels["annotations"]:
        if a["iscrowd"] or not a["segmentation"]:
            continue
        truth = decode(a["segmentation"], 90, 120)
        ious = []
        for d in kept:
            if (d["image_id"], d["category_id"]) == (a["image_id"], a["category_id"]):
                mask = decode(d["segmentation"], 90, 120)
                ious.append((mask & truth).sum() / max((mask | truth).sum(), 1))
        per[a["id"]] = max(ious, default=0.0)
        classes.setdefault(a["category_id"], []).append(per[a["id"]])
    return per, float(np.mean([np.mean(v) for v in classes.values()]))


@pytest.mark.parametrize(("lowest", "most"), [(0.05, 100), (0.4, 100), (0.0, 3)])
def test_equals_a_naive_evaluation_on_pixels(random_set: Maker, lowest: float, most: int) -> None:
    labels, found = random_set(31, images=10)
    labels["annotations"][2]["segmentation"] = []
    for d in found:
        d["score"] = round(d["score"], 1)  # ties
    frame = best_overlaps(labels, found, score_threshold=lowest, max_detections=most)
    per, average = naive(labels, found, lowest=lowest, most=most)
    assert frame.set_index("annotation_id")["overlap"].to_dict() == pytest.approx(per)
    assert abo(frame) == pytest.approx(average)


def test_columns_describe_the_instances(random_set: Maker) -> None:
    labels, found = random_set(32)
    opened = from_coco(labels, Path("labels.json"), None, check_images="none")
    frame = best_overlaps(opened, found).set_index("annotation_id")
    judged = {a["id"]: a for a in labels["annotations"] if not a["iscrowd"]}
    assert set(frame.index) == judged.keys() != {a["id"] for a in labels["annotations"]}
    for name, a in judged.items():
        row = frame.loc[name]
        assert (row["image_id"], row["area"]) == (a["image_id"], a["area"])
        assert (row["label"], row["name"]) == (a["category_id"] // 3, f"class {row['label']}")


def test_nothing_found_nothing_to_find_and_empty_masks(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A)], [(1, 1, A, 0.9)])
    assert abo(best_overlaps(labels, [])) == 0
    empty = encode(np.zeros((90, 120), dtype=bool))
    hollow = best_overlaps(labels, [{**found[0], "segmentation": empty}])
    assert hollow["overlap"].tolist() == [0.0]
    labels["annotations"][0]["segmentation"] = empty
    assert best_overlaps(labels, [{**found[0], "segmentation": empty}]).empty
    nothing = best_overlaps({**labels, "annotations": []}, found)
    unknown = score(nothing, resamples=5)
    assert np.isnan([unknown.interval, (unknown - unknown).interval]).all()


def test_bad_input_is_a_sentence(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, A)], [(1, 1, A, 0.9)])
    frame = best_overlaps(labels, found)
    with pytest.raises(BadDetections, match=r"1 without 'segmentation', at positions \(0\)"):
        best_overlaps(labels, [{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": A}])
    with pytest.raises(ValueError, match="same images and instances"):
        score(frame, resamples=5) - score(frame[1:], resamples=5)
    with pytest.raises(ValueError, match="missing: images, categories"):
        best_overlaps({"annotations": []}, [])


def drawn_again(frame: pd.DataFrame, weights: np.ndarray) -> pd.DataFrame:
    """Return the frame in which each image is really there as often as it was drawn."""
    images = sorted(frame["image_id"].unique())
    parts = [
        frame[frame["image_id"] == image].assign(image_id=image + 1000 * n)
        for image, weight in zip(images, weights, strict=True)
        for n in range(weight)
    ]
    return pd.concat(parts)


def test_resampling_equals_averaging_the_drawn_images(random_set: Maker) -> None:
    labels, found = random_set(33, images=9, per_image=3)
    labels["categories"].append({"id": 77, "name": "rare"})  # absent from many resamples
    labels["annotations"].append({**labels["annotations"][0], "id": 999, "category_id": 77})
    good = best_overlaps(labels, found)
    bad = best_overlaps(labels, [d for i, d in enumerate(found) if i % 3])
    images = good["image_id"].nunique()
    weights = image_weights(images, resamples=30, seed=5)
    values = [[abo(drawn_again(frame, row)) for row in weights] for frame in (good, bad)]
    shuffled = bad.sample(frac=1, random_state=0)
    one, other = (score(frame, resamples=30, seed=5) for frame in (good, shuffled))
    interval, gain = one.interval, (one - other).interval
    assert interval.estimate == abo(good)
    assert interval[1:] == pytest.approx(np.percentile(values[0], [2.5, 97.5]))
    assert gain.estimate == pytest.approx(interval.estimate - abo(bad))
    expected = np.percentile(np.subtract(*values), [2.5, 97.5])
    assert gain[1:] == pytest.approx(expected)

"""Trials on a sample of boxes: what is drawn, what is timed, and what agreement counts."""

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.data.coco import from_coco
from lib.data.pictures.images import read_image
from lib.masks import rle, trials
from lib.masks.grabcut.exact import GrabCutSettings, grabcut
from lib.masks.grabcut.segmenter import prepare
from lib.masks.pseudo import seed_of
from lib.masks.quality import mask_box_iou, mask_iou
from lib.masks.trials import agreement, by_box, mask_ious, sample, stability, trial

EXACT = GrabCutSettings(iterations=2, method="exact")
FAST = GrabCutSettings(iterations=2, method="fast")


def test_a_sample_is_whole_images_the_same_every_time_in_the_order_of_the_set(make_set) -> None:
    coco_set = make_set()
    drawn = sample(coco_set, 7, seed=1)
    assert drawn == sample(coco_set, 7, seed=1)
    assert drawn != sample(coco_set, 7, seed=2)
    order = [x.id for x in coco_set.all_instances()]
    assert [x.id for x in drawn] == sorted((x.id for x in drawn), key=order.index)
    per_image = pd.Series([x.image_id for x in drawn]).value_counts()
    assert sorted(per_image) == [1, 3, 3]
    assert len(sample(coco_set, 99, seed=1)) == len(sample(coco_set, 0, seed=1)) == 15


def test_a_run_gives_the_masks_that_its_method_gives_alone(make_set) -> None:
    coco_set = make_set()
    boxes = sample(coco_set, 5, seed=0)
    runs = {"exact": (EXACT, 0), "other_seed": (EXACT, 1), "fast": (FAST, 0)}
    frame = trial(coco_set, boxes, runs).set_index(["run", "annotation_id"])
    assert len(frame) == 3 * 5
    for instance in boxes:
        image = read_image(coco_set.image(instance.image_id))
        ways = {
            "exact": partial(grabcut, image, iterations=2, seed=seed_of(0, instance.id)),
            "other_seed": partial(grabcut, image, iterations=2, seed=seed_of(1, instance.id)),
            "fast": partial(prepare(image, FAST).mask, seed=seed_of(0, instance.id)),
        }
        for name, mask_of in ways.items():
            row, expected = frame.loc[name, instance.id], mask_of(box=instance.box)
            assert np.array_equal(rle.decode(row["segmentation"], *image.shape[:2]), expected)
            assert row["box_iou"] == mask_box_iou(expected, instance.box)
            true = rle.decode_mask(instance, *image.shape[:2])
            assert row["true_iou"] == mask_iou(expected, true)
            x1, y1, x2, y2 = instance.box
            assert row["box_area"] == (x2 - x1) * (y2 - y1)
            assert row["image_area"] == image.shape[0] * image.shape[1]


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


class Slow:
    """A segmenter whose masks take a second each, twice as long with the exact method."""

    def __init__(self, clock: Clock, settings: GrabCutSettings, order: list[str]) -> None:
        self.clock, self.settings, self.order = clock, settings, order

    def mask(self, box: Any, *, seed: int) -> np.ndarray:
        self.clock.now += 2.0 if self.settings.method == "exact" else 1.0
        self.order.append(self.settings.method)
        return np.zeros((60, 72), dtype=bool)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace GrabCut by `Slow`: preparing takes 6 s (fast) or 0, decoding 10 s, warm-up 100 s."""
    clock, order = Clock(), list[str]()

    def prepare(image: np.ndarray, settings: GrabCutSettings) -> Slow:
        clock.now += 6.0 if settings.method == "fast" else 0.0
        return Slow(clock, settings, order)

    def decode(record: Any) -> np.ndarray:
        clock.now += 10.0
        return read_image(record)

    def warm_up(settings: GrabCutSettings) -> None:
        clock.now += 100.0

    monkeypatch.setattr(trials, "time", clock)
    monkeypatch.setattr(trials, "prepare", prepare)
    monkeypatch.setattr(trials, "read_image", decode)
    monkeypatch.setattr(trials, "warm_up", warm_up)
    return order


def test_each_box_pays_its_share_of_the_preparation_and_nothing_of_decoding(
    make_set, slow: list[str]
) -> None:
    coco_set = make_set()
    boxes = sample(coco_set, 6, seed=0)
    frame = trial(coco_set, boxes, {"exact": (EXACT, 0), "fast": (FAST, 0)})
    fast, exact = frame[frame["run"] == "fast"], frame[frame["run"] == "exact"]
    assert fast["seconds"].tolist() == [1 + 6 / 3] * 6
    assert exact["seconds"].tolist() == [2.0] * 6
    assert set(fast["prepare_seconds"]) == {6.0} and set(exact["prepare_seconds"]) == {0.0}
    assert set(frame["decode_seconds"]) == {10.0}
    assert set(frame["image_boxes"]) == {3}


def test_runs_take_turns_and_each_is_first_equally_often(make_set, slow: list[str]) -> None:
    coco_set = make_set()
    boxes = sample(coco_set, 6, seed=0)
    trial(coco_set, boxes, {"a": (EXACT, 0), "b": (EXACT, 1), "c": (FAST, 0)})
    turns = [slow[at : at + 3].index("fast") for at in range(0, 18, 3)]
    assert turns == [2, 1, 0] * 2


def test_boxes_without_a_true_mask_have_no_iou_with_one(make_set) -> None:
    made = make_set()
    content = made.to_coco()
    for annotation in content["annotations"]:
        annotation["segmentation"] = []
    without = from_coco(content, made.annotations_path, made.image_root)
    frame = trial(without, sample(without, 3, seed=0), {"exact": (EXACT, 0)})
    assert all(map(math.isnan, frame["true_iou"]))


def test_agreement_counts_boxes_and_averages_masks() -> None:
    codes = {"empty": [4], "half": [2, 2], "full": [0, 4]}

    def table(run: str, *rows: tuple[float, str]) -> pd.DataFrame:
        columns = [
            {"run": run, "annotation_id": n, "box_iou": q, "seconds": n + 1.0,
             "segmentation": {"size": [2, 2], "counts": codes[m]}}
            for n, (q, m) in enumerate(rows)
        ]  # fmt: skip
        return pd.DataFrame(columns)

    first = table("a", (0.0, "empty"), (0.5, "half"), (1.0, "full"), (1.0, "full"))
    second = table("b", (0.0, "empty"), (1.0, "full"), (0.4, "half"), (0.9, "full"))
    boxes = by_box(pd.concat([first, second[::-1]]))
    result = agreement(boxes, "a", "b")
    assert result["valid_agreement"] == 0.75
    assert result["mask_iou"] == pytest.approx((1 + 0.5 + 0.5 + 1) / 4)
    assert (result["invalid_share_before"], result["invalid_share"]) == (0.25, 0.5)
    assert result["seconds"] == 2.5
    assert mask_ious(boxes, "a", "b").tolist() == [1, 0.5, 0.5, 1]


def test_stability_compares_methods_seeds_and_every_other_number_of_iterations(make_set) -> None:
    coco_set = make_set()
    boxes = sample(coco_set, 3, seed=0)
    beside, table = stability(coco_set, boxes, settings=FAST, seed=0, other_iterations=[1, 2, 4])
    assert len(table) == 3 + 2  # the other method, both with another seed; 2 is the usual number
    assert len(beside) == 3
    assert (beside[["exact_seconds", "fast_seconds"]] > 0).all(axis=None)

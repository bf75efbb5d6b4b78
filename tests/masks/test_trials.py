import pandas as pd
import pytest

from lib.masks.grabcut import GrabCutSettings
from lib.masks.trials import agreement, sample, stability, trial

TWO = GrabCutSettings(iterations=2)


def test_a_sample_is_the_same_every_time_and_ordered_by_image(make_set) -> None:
    coco_set = make_set()
    drawn = sample(coco_set, 7, seed=1)
    assert drawn == sample(coco_set, 7, seed=1)
    assert drawn != sample(coco_set, 7, seed=2)
    assert [i.image_id for i in drawn] == sorted(i.image_id for i in drawn)
    assert len(sample(coco_set, 99, seed=1)) == 15


def test_a_trial_agrees_with_itself(make_set) -> None:
    coco_set = make_set()
    boxes = sample(coco_set, 6, seed=0)
    first = trial(coco_set, boxes, settings=TWO, seed=0)
    again = agreement(first, trial(coco_set, boxes, settings=TWO, seed=0))
    assert again["valid_agreement"] == again["mask_iou"] == 1
    assert (first["seconds"] > 0).all()


def test_trials_of_no_box_are_refused_in_words(make_set) -> None:
    coco_set = make_set()
    for count in (0, -1):
        with pytest.raises(ValueError, match=f"trial_boxes is {count}: expected at least 1"):
            sample(coco_set, count, seed=0)
    with pytest.raises(ValueError, match="no box"):
        stability(coco_set, [], settings=TWO, seed=0, other_iterations=[1])


def test_agreement_counts_boxes_and_averages_masks() -> None:
    def table(*rows: tuple[float, str]) -> pd.DataFrame:
        codes = {"empty": [4], "half": [2, 2], "full": [0, 4]}
        columns = [
            {"annotation_id": n, "box_iou": q, "seconds": 1.0, "segmentation": code(codes[m])}
            for n, (q, m) in enumerate(rows)
        ]
        return pd.DataFrame(columns)

    def code(counts: list[int]) -> dict:
        return {"size": [2, 2], "counts": counts}

    first = table((0.0, "empty"), (0.5, "half"), (1.0, "full"), (1.0, "full"))
    second = table((0.0, "empty"), (1.0, "full"), (0.4, "half"), (0.9, "full"))
    result = agreement(first, second)
    assert result["valid_agreement"] == 0.75
    assert result["mask_iou"] == pytest.approx((1 + 0.5 + 0.5 + 1) / 4)
    assert (result["invalid_share_before"], result["invalid_share"]) == (0.25, 0.5)


def test_stability_compares_with_every_other_setting_once(make_set) -> None:
    coco_set = make_set()
    boxes = sample(coco_set, 3, seed=0)
    first, table = stability(coco_set, boxes, settings=TWO, seed=0, other_iterations=[1, 2, 4])
    assert len(first) == 3
    assert list(table["changed"]) == ["another seed", "1 iteration", "4 iterations"]

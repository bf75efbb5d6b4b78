import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.hybridnet import validity
from lib.hybridnet.fig1 import frame_of, shares, variants
from lib.masks import rle
from lib.masks.quality import mask_box_iou

SIZE = 40


def pair(count: int = 30, seed: int = 0) -> tuple[CocoSet, CocoSet]:
    """Random true masks in their boxes, and random pseudo-masks inside the same boxes."""
    rng = np.random.default_rng(seed)
    true, pseudo = [], []
    for number in range(count):
        x, y = rng.integers(0, 15, 2)
        w, h = rng.integers(4, 24, 2)
        base = {
            "id": number,
            "image_id": number // 3,
            "category_id": 1,
            "bbox": [int(x), int(y), int(w), int(h)],
        }
        masks = []
        for _ in range(2):
            mask = np.zeros((SIZE, SIZE), bool)
            left, right = sorted(rng.integers(0, w + 1, 2))
            mask[y : y + h, x + left : x + right] = rng.random((h, right - left)) < 0.7
            masks.append(mask)
        box_iou = mask_box_iou(masks[1], (x, y, x + w, y + h))
        known = masks[0].any() and number % 5
        true.append(base | {"segmentation": rle.encode(masks[0]) if known else []})
        code = rle.encode(masks[1]) if masks[1].any() else []
        quality = {"method": "m", "seed": 0, "box_iou": box_iou, "valid": box_iou >= 0.5}
        pseudo.append(base | {"segmentation": code, "pseudo": quality})
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "width": SIZE, "height": SIZE}
            for n in range(count // 3)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    first, second = (
        from_coco(content | {"annotations": rows}, Path("made.json"), None)
        for rows in (pseudo, true)
    )
    return first, second


def joined(box: list[float], true: list[float], fill: list[float] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": range(len(box)),
            "box_iou": box,
            "true_iou": true,
            "fill": fill or [0.5] * len(box),
        }
    )


def test_true_ious_are_those_of_the_pixels_and_boxes_without_a_mask_are_left_out() -> None:
    pseudo, truth = pair()
    table = validity.true_ious(pseudo, truth).set_index("annotation_id")
    masked = [i for i in truth.all_instances() if i.has_mask]
    assert sorted(table.index) == sorted(i.id for i in masked)
    guesses = {i.id: rle.decode_mask(i, SIZE, SIZE) for i in pseudo.all_instances()}
    for instance in masked:
        real = rle.decode_mask(instance, SIZE, SIZE)
        pairs = list(zip(real.ravel(), guesses[instance.id].ravel(), strict=True))
        both, either = sum(a and b for a, b in pairs), sum(a or b for a, b in pairs)
        assert table.loc[instance.id, "true_iou"] == pytest.approx(both / either)


def test_with_the_box_as_rectangle_the_box_iou_is_a_ratio_of_areas() -> None:
    pseudo, truth = pair(90)
    rows = validity.with_truth(frame_of(pseudo, truth), validity.true_ious(pseudo, truth))
    assert len(rows) > 50
    assert (rows["box_iou"] - rows["area_ratio"]).abs().max() < 1e-12


def test_no_true_mask_gives_an_empty_table() -> None:
    pseudo, _ = pair()
    truth = from_coco(
        pseudo.to_coco()
        | {"annotations": [a | {"segmentation": []} for a in pseudo.to_coco()["annotations"]]},
        Path("made.json"),
        None,
    )
    assert validity.true_ious(pseudo, truth).empty
    assert validity.with_truth(frame_of(pseudo, truth), validity.true_ious(pseudo, truth)).empty
    assert frame_of(pseudo, truth)["true_area"].isna().all()
    whole = shares(frame_of(pseudo, truth), side=15, resamples=5)
    pd.testing.assert_frame_equal(whole, shares(frame_of(pseudo), side=15, resamples=5))
    table = variants(frame_of(pseudo, truth), side=15, resamples=5, seed=0)
    assert table["variant"].unique().tolist() == ["box area < 15 x 15", "both sides < 15"]


def test_precision_and_recall_of_a_case_counted_by_hand() -> None:
    rows = joined([0.2, 0.5, 0.6, 0.9], [0.8, 0.6, 0.3, 0.9])
    at = validity.curve(rows, good_from=[0.5], thresholds=[0.0, 0.5, 0.95]).set_index("threshold")
    assert tuple(at.loc[0.0, ["precision", "recall", "kept"]]) == (0.75, 1, 1)
    assert tuple(at.loc[0.5, ["precision", "recall"]]) == pytest.approx((2 / 3, 2 / 3))
    assert at.loc[0.5, "f1"] == pytest.approx(2 / 3)
    assert math.isnan(at.loc[0.95, "precision"])
    assert at.loc[0.95, "recall"] == 0

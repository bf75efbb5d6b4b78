from pathlib import Path

import numpy as np
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.data.overlap import ambiguous_ids, objects, overlapping_pairs
from tests.fixtures.labels import labels

Row = tuple[int, int, list[float], int]


def make(rows: list[Row]) -> CocoSet:
    """Return a set of 300 x 300 images from (image, category, xywh box, crowd); ids from 1."""
    content = labels(
        *(
            {"image_id": i, "category_id": c, "bbox": b, "iscrowd": crowd}
            for i, c, b, crowd in rows
        ),
        images=[{"width": 300, "height": 300}] * max(row[0] for row in [*rows, (1,)]),
    )
    return from_coco(content, Path("made.json"), None)


def naive_iou(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return IoU of two xyxy boxes and the share of b inside a, by sums and differences."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = width * height if width > 0 and height > 0 else 0.0
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return common / (area_a + area_b - common), common / area_b


def test_pairs_equal_a_naive_double_loop() -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 80, (60, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 50, (60, 2))])
    image = rng.integers(0, 9, 60)
    pairs = overlapping_pairs(boxes, image)
    found = dict(
        zip(
            zip(pairs.host.tolist(), pairs.guest.tolist(), strict=True),
            zip(pairs.iou, pairs.inside, strict=True),
            strict=True,
        )
    )
    expected = {
        (i, j): naive_iou(boxes[i], boxes[j])
        for i in range(60)
        for j in range(60)
        if i != j and image[i] == image[j] and naive_iou(boxes[i], boxes[j])[0] > 0
    }
    assert len(expected) > 50 and found.keys() == expected.keys()
    for pair, values in expected.items():
        assert found[pair] == pytest.approx(values)


def test_ambiguous_equals_a_naive_double_loop() -> None:
    rng = np.random.default_rng(5)
    rows: list[Row] = []
    for k in range(120):
        x, y, w, h = rng.uniform([0, 0, 20, 20], [60, 60, 90, 90]).tolist()
        rows.append((int(rng.integers(1, 12)), 1 + k % 2, [x, y, w, h], int(k % 10 == 0)))
    made = make(rows)
    some = made.all_instances()
    for least in (0.3, 0.5, 0.7):
        expected = {
            a.id
            for a in some
            for b in some
            if a.id != b.id
            and a.image_id == b.image_id
            and not (a.iscrowd or b.iscrowd)
            and naive_iou(np.array(a.box), np.array(b.box))[0] >= least
        }
        assert 0 < len(expected) < len(objects(made))
        assert ambiguous_ids(made, least) == expected


def test_an_iou_of_one_half_is_ambiguous_and_one_of_049_is_not() -> None:
    # side by side boxes of 100 x 100: 50 and 49 columns of the first are the second's
    made = make(
        [(1, 1, [0, 0, 100, 100], 0), (1, 2, [0, 0, 50, 100], 0),
         (2, 1, [0, 0, 100, 100], 0), (2, 1, [0, 0, 49, 100], 0)]
    )  # fmt: skip
    assert ambiguous_ids(made) == {1, 2}
    assert ambiguous_ids(made, 0.49) == {1, 2, 3, 4}
    assert ambiguous_ids(made, 0.51) == frozenset()


def test_a_set_without_instances_has_no_ambiguous_ones() -> None:
    assert ambiguous_ids(make([])) == frozenset()


@pytest.mark.parametrize("least", [0.0, 1.5, float("nan")])
def test_an_impossible_iou_is_a_sentence(least: float) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        ambiguous_ids(make([]), least)

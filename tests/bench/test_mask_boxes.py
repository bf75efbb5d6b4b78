"""Rows of boxes, from hand-made measurements."""

import pytest

from lib.bench.mask_boxes import RUNS, boxes_of
from tests.bench.measured import measured, row


def test_a_box_has_both_methods_the_exact_one_by_both_its_seeds() -> None:
    boxes = boxes_of(measured()).set_index("annotation_id")
    assert boxes.loc[10, ["exact_seconds", "fast_seconds"]].tolist() == [5, 0.5]
    assert boxes.loc[11, ["exact_seconds", "fast_seconds"]].tolist() == [9, 2.5]
    assert boxes.loc[10, "size"] == "< 32²" and boxes.loc[11, "size"] == "64²–128²"
    assert boxes.loc[10, ["mask_iou_seeds", "mask_iou_fast"]].tolist() == [0.5, 0.5]
    assert boxes.loc[11, ["mask_iou_seeds", "mask_iou_fast"]].tolist() == [0.5, 1.0]
    assert not boxes.loc[10, "valid_fast"] and boxes.loc[10, "valid_exact"]
    assert boxes.loc[40, "valid_fast"]
    strict = boxes_of(measured(), valid_from=0.95)
    assert not strict["valid_exact"].any()


@pytest.mark.parametrize(
    ("side", "size"),
    [(31.9, "< 32²"), (32, "32²–64²"), (63.9, "32²–64²"), (128, "128²–256²"), (256, "≥ 256²")],
)
def test_a_size_begins_at_its_edge(side: float, size: str) -> None:
    rows = [row(run, 1, 1, box_area=side**2) for run in RUNS]
    assert boxes_of({"rows": rows})["size"].tolist() == [size]

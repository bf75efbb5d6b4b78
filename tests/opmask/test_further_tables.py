"""Boxes, classes and masks on true boxes of paper B's runs, on a small made set."""

import numpy as np
import pytest

from lib.opmask import further_tables as details
from lib.opmask import trained as reading
from tests.fixtures.opmask import SIDE, Made, one, without_masks

DRAWN = {"resamples": 20, "seed": 0}


def test_box_ap_ignores_masks_and_the_floor_is_said(opmask_study: Made) -> None:
    runs = details.main_runs(opmask_study.runs)
    boxes = details.box_table(reading.judge(opmask_study.val, runs, "bbox"), runs)
    assert boxes["box_AP50"].tolist() == pytest.approx([100.0] * len(runs))
    assert not boxes["variant"].str.startswith("ablation").any()
    compared = details.compared(boxes)
    assert set(compared["method"]) == set(reading.METHODS)
    assert "yes, the lowest is 100.0" in details.floor_line(compared, 0.4)
    assert details.reaches(compared, 0.4)
    low = boxes.copy()
    low.loc[low["variant"] == "mask_rcnn.voc", "box_AP50"] = 10.0
    assert details.reaches(details.compared(low), 0.4)  # not one of those that claims compare
    low.loc[low["variant"] == "baseline.non_voc", "box_AP50"] = 39.9
    line = details.floor_line(details.compared(low), 0.4)
    assert "NO, the lowest is 39.9 (baseline, non-voc → voc)" in line
    assert not details.reaches(details.compared(low), 0.4)
    assert not details.reaches(compared.assign(box_AP50=np.nan), 0.4)
    assert "nothing to compare" in details.floor_line(compared.iloc[:0], 0.4)


def test_a_detector_that_finds_too_little_is_named(opmask_study: Made) -> None:
    runs = details.main_runs(opmask_study.runs)
    boxes = details.box_table(reading.judge(opmask_study.val, runs, "bbox"), runs)
    assert details.reaching(boxes, 0.4) == set(runs)
    assert "yes, at 100.0" in details.detector_line(boxes, 0.4)
    boxes.loc[boxes["variant"] == "faster_rcnn.all", "box_AP50"] = 39.9
    boxes.loc[boxes["variant"] == "opmask.voc", "box_AP50"] = np.nan
    assert details.reaching(boxes, 0.4) == set(runs) - {"faster_rcnn.all", "opmask.voc"}
    assert "NO, so no claim on it is judged, at 39.9" in details.detector_line(boxes, 0.4)
    assert "not trained" in details.detector_line(details.compared(boxes), 0.4)


def test_mask_iou_is_the_share_of_columns_that_is_left(opmask_study: Made) -> None:
    frame = details.masks_on_boxes_frame(opmask_study.val, opmask_study.runs)
    means = details.mask_iou_table(frame, **DRAWN)
    where = {"direction": "voc_to_nonvoc", "classes": "unsupervised"}
    for method, missing in (("opmask", 6), ("baseline", 10), ("gt_boxes", 8), ("mask_rcnn", 9)):
        expected = 100 * (SIDE - missing) / SIDE
        assert one(means, method=method, **where)["ours"] == pytest.approx(expected)
    assert one(means, method="class_specific", **where)["ours"] == pytest.approx(100)
    gain = one(means, method=reading.DIFFERENCE, **where)
    assert gain["ours"] == pytest.approx(100 * 4 / SIDE)
    others = opmask_study.val.categories.split("non_voc")
    assert gain["instances"] == sum(x.label in others for x in opmask_study.val.all_instances())
    supervised = means[(means["classes"] == "supervised") & ~means["method"].str.contains(" - ")]
    assert supervised["ours"].tolist() == pytest.approx([100] * len(supervised))
    assert "gt_boxes" not in set(means.loc[means["direction"] == "nonvoc_to_voc", "method"])


def test_a_set_without_true_masks_has_unknown_mask_quality(opmask_study: Made) -> None:
    bare = without_masks(opmask_study.val)
    means = details.mask_iou_table(details.masks_on_boxes_frame(bare, opmask_study.runs), **DRAWN)
    assert means["ours"].isna().all()
    assert details.mask_iou_table(details.masks_on_boxes_frame(bare, {}), **DRAWN).empty


def test_classes_are_counted_by_direction(opmask_study: Made) -> None:
    val = opmask_study.val
    counts = details.classes_table(val, opmask_study.runs)
    assert counts["direction"].tolist()[::2] == ["full", "voc_to_nonvoc", "nonvoc_to_voc"]
    assert counts["classes"].tolist() == ["unsupervised", "supervised"] * 3
    assert counts["number"].tolist() == [0, 4, 2, 2, 2, 2]
    assert counts["present"].tolist() == counts["number"].tolist()
    assert counts["instances"].sum() == 3 * len(val.all_instances())


def test_what_was_left_out_is_said(opmask_study: Made) -> None:
    line = details.left_out_line(opmask_study.runs, ["opmask.voc", "gt_boxes.non_voc"])
    assert "gt_boxes.non_voc" in line and "opmask.voc" not in line
    assert "Every" in details.left_out_line(opmask_study.runs, ["opmask.voc"])

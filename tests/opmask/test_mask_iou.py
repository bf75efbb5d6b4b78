"""Paper B's masks on true boxes, on a small made set where masks lack known columns."""

import pytest

from lib.opmask import mask_iou
from lib.opmask.predictions import DIFFERENCE
from tests.fixtures.opmask import MISSING, SIDE, Made, one, without_masks

DRAWN = {"resamples": 20, "seed": 0}


def test_mask_iou_is_the_share_of_columns_that_is_left(opmask_study: Made) -> None:
    val = opmask_study.val
    frame = mask_iou.masks_on_boxes_frame(val, opmask_study.models)
    means = mask_iou.mask_iou_table(frame, **DRAWN)
    where = {"direction": "voc_to_nonvoc", "classes": "unsupervised"}
    for method, missing in MISSING.items():
        expected = 100 * (SIDE - missing) / SIDE
        assert one(means, method=method, **where)["ours"] == pytest.approx(expected)
    gain = one(means, method=DIFFERENCE, **where)
    assert gain["ours"] == pytest.approx(100 * 4 / SIDE)
    others = val.categories.split("non_voc")
    assert gain["instances"] == sum(x.label in others for x in val.all_instances())
    supervised = means[(means["classes"] == "supervised") & ~means["method"].str.contains(" - ")]
    assert supervised["ours"].tolist() == pytest.approx([100] * len(supervised))
    assert "gt_boxes" not in set(means.loc[means["direction"] == "nonvoc_to_voc", "method"])


def test_a_set_without_true_masks_has_unknown_mask_quality(opmask_study: Made) -> None:
    bare = without_masks(opmask_study.val)
    frame = mask_iou.masks_on_boxes_frame(bare, opmask_study.models)
    assert mask_iou.mask_iou_table(frame, **DRAWN)["ours"].isna().all()
    none = mask_iou.masks_on_boxes_frame(bare, {})
    assert mask_iou.mask_iou_table(none, **DRAWN).empty

"""Paper B's masks on true boxes, on a small made set where masks lack known columns."""

import matplotlib as mpl
import numpy as np
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
    assert mask_iou.mask_iou_figure(none) is None


def test_curves_are_shares_of_boxes(opmask_study: Made) -> None:
    mpl.use("agg")
    frame = mask_iou.masks_on_boxes_frame(opmask_study.val, opmask_study.models)
    drawn = mask_iou.mask_iou_figure(frame)
    assert drawn is not None
    curves = drawn.axes[0].lines
    assert len(curves) == 4
    for curve in curves:  # every box has an IoU of 0 or more, none of more than 1
        places, shares = (np.asarray(x) for x in curve.get_data())
        assert (places[0], shares[0], places[-1], shares[-1]) == (0, 1, 1, 0)
        assert (np.diff(places) >= 0).all() and (np.diff(shares) <= 0).all()
    shown = frame.query("direction == 'voc_to_nonvoc' and classes == 'unsupervised'")
    values = shown.loc[shown["method"] == "baseline", "iou"]
    places, shares = (np.asarray(x) for x in curves[0].get_data())
    for at in (0.2, 0.5, 0.58, 0.6):
        assert shares[np.searchsorted(places, at)] == pytest.approx((values >= at).mean())

"""Paper B's masks on true boxes, on a small made set where masks lack known columns."""

from functools import partial

import numpy as np
import pytest

from lib.metrics.cam_masks import Cams, masks_on_boxes, read_cams
from lib.metrics.mask_iou import iou_on_boxes
from lib.opmask import mask_iou
from lib.opmask.predictions import DIFFERENCE
from tests.fixtures.cams import cam_results
from tests.fixtures.opmask import MISSING, SIDE, Made, changed, one, without_masks

DRAWN = {"resamples": 20, "seed": 0}
CUT = {"threshold": 0.5}


def test_mask_iou_is_the_share_of_columns_that_is_left(opmask_study: Made) -> None:
    val = opmask_study.val
    frame = mask_iou.masks_on_boxes_frame(val, opmask_study.models, **CUT)
    means = mask_iou.mask_iou_table(frame, **DRAWN)
    where = {"direction": "voc_to_nonvoc", "classes": "unsupervised"}
    for method, missing in MISSING.items():
        expected = 100 * (SIDE - missing) / SIDE
        assert one(means, method=method, **where)["ours"] == pytest.approx(expected)
    gain = one(means, method=DIFFERENCE, **where)
    assert gain["ours"] == pytest.approx(100 * 4 / SIDE)
    others = val.categories.split("non_voc")
    assert gain["instances"] == sum(x.label in others for x in val.all_instances())
    heads = means["method"].isin(MISSING)
    supervised = means[(means["classes"] == "supervised") & heads]
    assert supervised["ours"].tolist() == pytest.approx([100] * len(supervised))
    assert "gt_boxes" not in set(means.loc[means["direction"] == "nonvoc_to_voc", "method"])


def test_filled_boxes_and_maps_alone_stand_beside_the_heads(opmask_study: Made) -> None:
    val, models = opmask_study.val, opmask_study.models
    means = mask_iou.mask_iou_table(mask_iou.masks_on_boxes_frame(val, models, **CUT), **DRAWN)
    of = partial(one, means, direction="voc_to_nonvoc", classes="unsupervised")
    box = of(method="filled_box")  # the objects fill their boxes
    assert (box["ours"], box["ci_low"], box["ci_high"]) == pytest.approx((100, 100, 100))
    assert np.isnan(box["seeds"])  # nothing was trained
    row = of(method="opmask - filled_box")
    assert row["ours"] == pytest.approx(-100 * MISSING["opmask"] / SIDE) and row["seeds"] == 1
    for method in ("baseline", "opmask"):
        maps = read_cams(models[f"{method}.voc"].first.folder / "cams_on_boxes_val.npz").maps
        boxes = [
            {"image_id": x.image_id, "category_id": x.category_id, "score": 1.0,
             "bbox": [*x.box[:2], SIDE, SIDE]} for x in val.all_instances()
        ]  # fmt: skip
        masks = [m["segmentation"] for m in cam_results(boxes, maps, val, threshold=0.5)]
        given = [{"annotation_id": x.id, "segmentation": mask}
                 for x, mask in zip(val.all_instances(), masks, strict=True)]  # fmt: skip
        expected = iou_on_boxes(val, given)
        others = expected["label"].isin(val.categories.split("non_voc"))
        row = of(method=f"{method}_map")
        assert row["ours"] == pytest.approx(100 * expected.loc[others, "iou"].mean())
        assert row["ours"] < (100 if method == "opmask" else 65)
    few = {v: changed(m, folder=val.image_root) for v, m in models.items()}  # without maps
    frame = mask_iou.masks_on_boxes_frame(val, few, **CUT)
    assert not frame["method"].str.endswith("_map").any()


def test_maps_of_other_boxes_are_a_sentence(opmask_study: Made) -> None:
    maps = np.ones((1, 7, 7), dtype=np.float32)
    for ids in (None, np.array([10**6])):
        with pytest.raises(ValueError, match="found maps of others"):
            masks_on_boxes(opmask_study.val, Cams(maps, ids), 0.5)


def test_a_set_without_true_masks_has_unknown_mask_quality(opmask_study: Made) -> None:
    bare = without_masks(opmask_study.val)
    frame = mask_iou.masks_on_boxes_frame(bare, opmask_study.models, **CUT)
    assert mask_iou.mask_iou_table(frame, **DRAWN)["ours"].isna().all()
    none = mask_iou.masks_on_boxes_frame(bare, {}, **CUT)
    assert mask_iou.mask_iou_table(none, **DRAWN).empty

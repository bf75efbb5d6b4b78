"""Class activation maps as masks of true boxes, on a small made set."""

import matplotlib as mpl
import pandas as pd
import pytest

from lib.metrics.cam_masks import read_cams
from lib.metrics.mask_iou import iou_on_boxes
from lib.opmask import cam_iou
from lib.opmask.table3 import BOX
from tests.fixtures.cams import cam_results
from tests.fixtures.opmask import Made, one

THRESHOLDS = [0.2, 0.5, 0.9]


@pytest.fixture(scope="module")
def frame(opmask_study: Made) -> pd.DataFrame:
    return cam_iou.iou_frame(opmask_study.val, opmask_study.models, THRESHOLDS)


def test_iou_on_boxes_is_that_of_the_cut_maps(opmask_study: Made, frame: pd.DataFrame) -> None:
    val, model = opmask_study.val, opmask_study.models["baseline.voc"]
    boxes = [d["bbox"] for d in model.detections]
    cut = cam_results(
        [{**x, "bbox": box} for x, box in zip(model.masks_on_boxes, boxes, strict=True)],
        read_cams(model.folder / "cams_on_boxes_val.npz").maps, val, threshold=0.5,
    )  # fmt: skip
    expected = iou_on_boxes(val, cut).set_index("annotation_id")["iou"]
    part = frame.query("trained == 'voc' and method == 'baseline' and threshold == 0.5")
    part = part.set_index("annotation_id")
    pd.testing.assert_series_equal(part["iou"], expected, check_index=True)
    assert (frame.loc[frame["method"] == BOX, "iou"] == 1).all()  # objects fill their boxes
    unsupervised = part.loc[part["classes"] == "unsupervised", "label"]
    assert set(unsupervised) == set(val.categories.split("non_voc"))
    assert set(frame.loc[frame["trained"] == "all", "classes"]) == {"all"}
    means = cam_iou.iou_table(frame, resamples=20, seed=0)
    row = one(means, trained="voc", method="baseline", classes="supervised", threshold=0.5)
    kept = part.loc[part["classes"] == "supervised", "iou"]
    assert row["ours"] == pytest.approx(100 * kept.mean()) and row["instances"] == len(kept)


def test_without_maps_there_is_nothing(opmask_study: Made) -> None:
    none = cam_iou.iou_frame(opmask_study.val, {}, THRESHOLDS)
    assert none.empty and cam_iou.iou_table(none, resamples=20, seed=0).empty
    assert cam_iou.iou_figure(none) is None


def test_means_of_maps_are_drawn_over_the_threshold(frame: pd.DataFrame) -> None:
    mpl.use("agg")
    drawn = cam_iou.iou_figure(frame)
    assert drawn is not None and len(drawn.axes) == 3
    curves = [line for line in drawn.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(curves) == 3
    part = frame.query("trained == 'all' and method == 'opmask' and threshold == 0.5")
    assert curves[2].get_ydata()[1] == pytest.approx(part["iou"].mean())
    (box,) = [line for line in drawn.axes[0].lines if len(line.get_xdata()) == 2]
    assert set(box.get_ydata()) == {1}
    every, *parts = ({line.get_linestyle() for line in axes.lines} for axes in drawn.axes)
    assert not every & set().union(*parts)  # classes are told apart

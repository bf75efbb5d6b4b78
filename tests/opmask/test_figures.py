"""Figures of paper B's results, on a small made set."""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection

from lib.metrics.claims import load_claims
from lib.opmask import ablation, cam_iou, figures, table1
from lib.opmask import further_tables as details
from lib.opmask import table2 as tables
from lib.opmask import trained as reading
from tests.fixtures.opmask import NAMES, Made, one, without_masks

DRAWN = {"resamples": 20, "seed": 0}


class Tables(NamedTuple):
    """What the figures are drawn from."""

    table2: pd.DataFrame
    table1: pd.DataFrame
    classes: pd.DataFrame
    on_boxes: pd.DataFrame
    cams: pd.DataFrame
    switches: pd.DataFrame


@pytest.fixture(autouse=True)
def no_windows() -> None:
    mpl.use("agg")


def make(study: Made) -> Tables:
    val, _, runs = study
    results, claims = reading.judge(val, runs, "segm"), load_claims()
    return Tables(
        tables.split_table(results, runs, claims=claims, **DRAWN),
        table1.table1(val, runs, claims=claims, iou_from=0.5, **DRAWN),
        tables.per_class_table(results, runs),
        details.masks_on_boxes_frame(val, runs),
        cam_iou.iou_frame(val, runs, [0.2, 0.5, 0.8]),
        ablation.ablation_table(val, runs, iou_from=0.5, **DRAWN),
    )


@pytest.fixture(scope="module")
def all_tables(opmask_study: Made) -> Tables:
    return make(opmask_study)


def points(axes: mpl.axes.Axes) -> list[np.ndarray]:
    """Return the points of every scatter plot of a panel, [N, 2] each."""
    return [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]


def test_every_method_of_table_2_is_drawn(all_tables: Tables) -> None:
    drawn = figures.ap_by_split(all_tables.table2)
    assert drawn is not None
    panel = drawn.axes[0]  # voc -> non-voc, unsupervised
    where = {
        "direction": "voc_to_nonvoc", "beside": "R50", "classes": "unsupervised", "metric": "AP",
    }  # fmt: skip
    heights = [part[0, 1] for part in points(panel)]
    expected = [one(all_tables.table2, method=m, **where)["ours"] for m in tables.ROWS]
    assert heights == pytest.approx(expected)
    bars = [c for c in panel.collections if isinstance(c, LineCollection)]
    assert len(bars) == len(tables.ROWS)
    assert [t.get_text() for t in drawn.legends[0].get_texts()] == [
        reading.NAMES[m] for m in tables.ROWS
    ]


def test_gains_are_drawn_beside_the_papers(all_tables: Tables) -> None:
    drawn = figures.gains(all_tables.table2)
    assert drawn is not None and len(drawn.axes) == 2
    for axes, direction in zip(drawn.axes, reading.DIRECTIONS.values(), strict=True):
        ours, paper, *_ = points(axes)
        where = {"direction": direction, "classes": "unsupervised", "beside": "R50"}
        row = one(all_tables.table2, method=reading.DIFFERENCE, metric="AP", **where)
        assert (ours[0, 0], paper[0, 0]) == pytest.approx((row["ours"], row["paper"]))


def test_ambiguous_and_other_instances_stand_side_by_side(all_tables: Tables) -> None:
    drawn = figures.ambiguity(all_tables.table1)
    assert drawn is not None and len(drawn.axes) == 3
    ours, paper = points(drawn.axes[0])[2:]  # OPMask, of the setting with all masks
    assert paper[:, 1].tolist() == [20.5, 38]
    assert ours[:, 0].tolist() == paper[:, 0].tolist()


def test_classes_are_drawn_once_per_direction(all_tables: Tables) -> None:
    drawn = figures.per_class(all_tables.classes)
    assert drawn is not None
    for axes in drawn.axes:
        assert sorted(t.get_text() for t in axes.get_yticklabels()) == sorted(NAMES.values())


def test_curves_are_shares_of_boxes(all_tables: Tables) -> None:
    drawn = figures.mask_iou(all_tables.on_boxes)
    assert drawn is not None
    curves = drawn.axes[0].lines
    assert len(curves) == 4
    for curve in curves:  # every box has an IoU of 0 or more, none of more than 1
        places, shares = (np.asarray(x) for x in curve.get_data())
        assert (places[0], shares[0], places[-1], shares[-1]) == (0, 1, 1, 0)
        assert (np.diff(places) >= 0).all() and (np.diff(shares) <= 0).all()
    frame = all_tables.on_boxes
    values = frame.loc[
        (frame["direction"] == "voc_to_nonvoc")
        & (frame["classes"] == "unsupervised")
        & (frame["method"] == "baseline"),
        "iou",
    ]
    places, shares = (np.asarray(x) for x in curves[0].get_data())
    for at in (0.2, 0.5, 0.58, 0.6):
        shown = shares[np.searchsorted(places, at)]
        assert shown == pytest.approx((values >= at).mean())


def test_means_of_maps_are_drawn_over_the_threshold(all_tables: Tables) -> None:
    drawn = figures.cam_iou(all_tables.cams)
    assert drawn is not None and len(drawn.axes) == 3
    curves = [line for line in drawn.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(curves) == 3
    part = all_tables.cams.query("trained == 'all' and method == 'opmask' and threshold == 0.5")
    assert curves[2].get_ydata()[1] == pytest.approx(part["iou"].mean())
    (box,) = [line for line in drawn.axes[0].lines if len(line.get_xdata()) == 2]
    assert set(box.get_ydata()) == {1}
    every, *parts = ({line.get_linestyle() for line in axes.lines} for axes in drawn.axes)
    assert not every & set().union(*parts)
    legend = {line.get_label(): line.get_linestyle() for line in drawn.legends[0].get_lines()}
    assert {legend["all classes, supervised"]} == every
    partly = figures.cam_iou(all_tables.cams[all_tables.cams["trained"] == "voc"])
    assert partly is not None
    texts = [text.get_text() for text in partly.legends[0].get_texts()]
    assert "unsupervised" in texts and "all classes, supervised" not in texts


def test_classes_without_any_ap_have_an_axis_of_points(all_tables: Tables) -> None:
    nothing = all_tables.classes.assign(baseline=0.0, opmask=0.0)
    drawn = figures.per_class(nothing)
    assert drawn is not None and drawn.axes[0].get_xlim() == (-2, 10)
    drawn = figures.per_class(all_tables.classes)
    assert drawn is not None
    highest = all_tables.classes[["baseline", "opmask"]].max(axis=None)
    assert drawn.axes[0].get_xlim()[1] > highest > 10


def test_the_ablation_shows_changes_and_no_default(all_tables: Tables) -> None:
    drawn = figures.ablation(all_tables.switches)
    assert drawn is not None
    drawn.canvas.draw()
    changed = all_tables.switches[~all_tables.switches["is_default"]]
    for axes, metric in zip(drawn.axes, [*ablation.METRICS, "mask_IoU"], strict=True):
        shown = np.concatenate(points(axes))[:, 0]
        assert shown.tolist() == changed.loc[changed["metric"] == metric, "difference"].tolist()
        assert not axes.spines["left"].get_visible()  # nothing cuts through the titles


def test_where_nothing_was_run_nothing_is_drawn(all_tables: Tables) -> None:
    paper = all_tables.table2[all_tables.table2["backbone"] == ""]
    assert figures.ap_by_split(paper) is None and figures.gains(paper) is None
    assert figures.ambiguity(all_tables.table1.iloc[:0]) is None
    assert figures.per_class(all_tables.classes.iloc[:0]) is None
    assert figures.mask_iou(all_tables.on_boxes.iloc[:0]) is None
    assert figures.cam_iou(all_tables.cams.iloc[:0]) is None
    assert figures.ablation(all_tables.switches.iloc[:0]) is None


def test_a_set_without_true_masks_has_empty_figures_and_no_error(opmask_study: Made) -> None:
    bare = make(opmask_study._replace(val=without_masks(opmask_study.val)))
    for drawn in (
        figures.ap_by_split(bare.table2),
        figures.gains(bare.table2),
        figures.ambiguity(bare.table1),
        figures.per_class(bare.classes),
        figures.mask_iou(bare.on_boxes),
        figures.cam_iou(bare.cams),
        figures.ablation(bare.switches),
    ):
        if drawn is not None:
            drawn.canvas.draw()

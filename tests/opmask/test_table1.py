"""Table 1 of paper B, on a small made set: two of five objects of each image are ambiguous."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib.metrics.claims import load_claims
from lib.metrics.coco_ap import evaluate
from lib.opmask import table1 as ambiguity
from lib.opmask import trained as reading
from tests.fixtures.opmask import IMAGES, Made, one

DRAWN = {"resamples": 40, "seed": 0}


@pytest.fixture(scope="module")
def table(opmask_study: Made) -> pd.DataFrame:
    val, _, runs = opmask_study
    return ambiguity.table1(val, runs, claims=load_claims(), iou_from=0.5, **DRAWN)


def test_ap_is_of_the_group_alone_with_the_others_ignored(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    first = {5 * i + place for i in range(IMAGES) for place in (1, 5)}
    rest = {x.id for x in val.all_instances()} - first
    labels = val.categories.split("non_voc")
    for group, ignored in (("ambiguous", rest), ("not_ambiguous", first)):
        for method in reading.METHODS:
            found = runs[f"{method}.voc"].detections
            alone = evaluate(val, found, iou_type="segm", labels=labels, ignore=ignored)
            where = {"direction": "voc_to_nonvoc", "group": group, "metric": "AP"}
            row = one(table, method=method, **where)
            assert row["ours"] == pytest.approx(100 * alone.value("AP"))
            count = sum(x.label in labels and x.id not in ignored for x in val.all_instances())
            assert row["instances"] == count


def test_gains_are_paired_and_relative_to_the_baseline(table: pd.DataFrame) -> None:
    where = {"direction": "nonvoc_to_voc", "metric": "AP"}
    gains = {}
    for group in ambiguity.GROUPS:
        ours, base, gain, relative = (
            one(table, method=m, group=group, **where)["ours"]
            for m in ("opmask", "baseline", reading.DIFFERENCE, ambiguity.GAIN)
        )
        assert gain == pytest.approx(ours - base) and base > 0
        assert relative == pytest.approx(100 * (ours / base - 1))
        gains[group] = relative
    # AP of the groups cannot be compared: here stand the numbers that follow from the paper's.
    for method, paper in ((ambiguity.GAIN, 44.7891), (reading.DIFFERENCE, 8.7 - 9.8)):
        between = one(table, group=ambiguity.BETWEEN, method=method, **where)
        assert np.isnan([between["ours"], between["ci_low"], between["ci_high"]]).all()
        assert between["paper"] == pytest.approx(paper)
    assert one(table, group="ambiguous", method=ambiguity.GAIN, **where)["paper"] == (
        pytest.approx(100 * (19.5 / 10.8 - 1))
    )


def test_a_gain_over_almost_nothing_is_not_relative_to_it(
    opmask_study: Made, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    ap = {"method": ambiguity.GAIN, "metric": "AP", "direction": "nonvoc_to_voc"}
    base = one(table, **(ap | {"method": "baseline", "group": "ambiguous"}))["ours"] / 100
    for least, known in ((base, True), (base * 1.001, False)):
        monkeypatch.setattr(ambiguity, "LEAST_BASELINE", least)
        found = ambiguity.table1(
            opmask_study.val, opmask_study.runs, claims=load_claims(), iou_from=0.5, **DRAWN
        )
        assert np.isfinite(one(found, **(ap | {"group": "ambiguous"}))["ours"]) == known


def test_masks_on_true_boxes_that_gain_alike_in_both_groups_show_no_difference(
    table: pd.DataFrame,
) -> None:
    # All masks of unsupervised classes lack 10 of 24 columns, with OPMask 6.
    where = {"direction": "nonvoc_to_voc", "metric": "mask_IoU"}
    for group in ambiguity.GROUPS:
        values = [one(table, method=m, group=group, **where)["ours"]
                  for m in (*reading.METHODS, reading.DIFFERENCE, ambiguity.GAIN)]  # fmt: skip
        assert values == pytest.approx([1400 / 24, 1800 / 24, 400 / 24, 100 * 4 / 14])
    for method in (reading.DIFFERENCE, ambiguity.GAIN):
        row = one(table, method=method, group=ambiguity.BETWEEN, **where)
        assert [row["ours"], row["ci_low"], row["ci_high"]] == pytest.approx([0, 0, 0])
        assert np.isnan(row["paper"])


def test_a_mask_iou_is_that_of_the_groups_instances(opmask_study: Made) -> None:
    val, runs = opmask_study.val, dict(opmask_study.runs)
    first = {5 * i + place for i in range(IMAGES) for place in (1, 5)}
    good = {x["annotation_id"]: x for x in runs["class_specific.all"].masks_on_boxes}
    better = [good[x["annotation_id"]] if x["annotation_id"] in first else x
              for x in runs["opmask.voc"].masks_on_boxes]  # fmt: skip
    runs["opmask.voc"] = replace(runs["opmask.voc"], masks_on_boxes=better)
    table = ambiguity.table1(val, runs, claims=load_claims(), iou_from=0.5, **DRAWN)
    where = {"direction": "voc_to_nonvoc", "metric": "mask_IoU", "group": ambiguity.BETWEEN}
    # Ambiguous: from 14 of 24 columns to all of them; the others: from 14 to 18.
    assert one(table, method=reading.DIFFERENCE, **where)["ours"] == pytest.approx(600 / 24)
    row = one(table, method=ambiguity.GAIN, **where)
    assert row["ours"] == pytest.approx(100 * (24 / 14 - 18 / 14)) and row["ci_low"] > 0


def test_with_all_masks_all_classes_count(opmask_study: Made, table: pd.DataFrame) -> None:
    part = table[(table["direction"] == "full") & table["group"].isin(ambiguity.GROUPS)]
    counts = part.drop_duplicates("group").set_index("group")["instances"]
    assert counts.to_dict() == {"ambiguous": 2 * IMAGES, "not_ambiguous": 3 * IMAGES}
    line = ambiguity.counts_line(table)
    assert "masks of all classes: 16 of 40; non-voc → voc: " in line and "nonvoc" not in line


def test_observations_are_claims_in_their_unit(opmask_study: Made, table: pd.DataFrame) -> None:
    own = {c.id: c for c in load_claims().claims if c.id.startswith("B.table1.")}
    seen = {o.id: o for o in ambiguity.observations(table, opmask_study.runs)}
    assert set(seen) == {name for name, c in own.items() if c.kind == "direction"}
    name = "B.table1.nonvoc_to_voc.relative_gain_larger_when_ambiguous"
    where = {"group": ambiguity.BETWEEN, "method": ambiguity.GAIN, "metric": "mask_IoU"}
    changed = table.copy()
    changed.loc[table["metric"] == "mask_IoU", ["ours", "ci_low", "ci_high"]] += [30, 20, 40]
    row = one(changed, direction="nonvoc_to_voc", **where)
    assert row["ours"] == pytest.approx(30)
    seen = {o.id: o for o in ambiguity.observations(changed, opmask_study.runs)}
    assert seen[name].observed == pytest.approx(0.3)  # a ratio, not points; of mask IoU
    assert (seen[name].ci_low, seen[name].ci_high) == pytest.approx((0.2, 0.4))
    large = {
        v: replace(run, config=run.config.model_copy(update={"backbone": "resnet50"}))
        for v, run in opmask_study.runs.items()
    }
    assert {o.id for o in ambiguity.observations(table, large)} == set(own)


def test_settings_that_were_not_run_are_left_out(opmask_study: Made) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    few = {v: run for v, run in runs.items() if v in ("opmask.voc", "baseline.voc", "opmask.all")}
    table = ambiguity.table1(val, few, claims=load_claims(), iou_from=0.5, **DRAWN)
    assert set(table["direction"]) == {"voc_to_nonvoc"}
    none = ambiguity.table1(val, {}, claims=load_claims(), iou_from=0.5, **DRAWN)
    assert none.empty and ambiguity.observations(none, {}) == []
    assert ambiguity.side_by_side(none).empty
    assert "no Table 1" in ambiguity.counts_line(none)


def test_one_line_per_model_with_the_papers_below(table: pd.DataFrame) -> None:
    wide = ambiguity.side_by_side(table)
    full = wide[(wide["direction"] == "full") & (wide["whose"] == "paper")]
    assert full["ambiguous"].tolist()[:2] == [15.9, 20.5]
    where = {"direction": "nonvoc_to_voc", "method": "difference"}
    ours, paper = (one(wide, whose=whose, **where) for whose in ("ours", "paper"))
    row = one(table, direction="nonvoc_to_voc", method=reading.DIFFERENCE, group="ambiguous",
              metric="AP")  # fmt: skip
    ends = [f"{row[column]:.1f}" for column in ("ci_low", "ci_high")]
    assert ours["95\u00a0% (amb.)"].split() == [ends[0], "to", ends[1]]
    assert np.isnan(ours["amb. − others"])  # AP cannot be compared
    assert paper["amb. − others"] == pytest.approx(-1.1)
    on_boxes = one(ambiguity.side_by_side(table, "mask_IoU"), **where)
    assert on_boxes["amb. − others"] == pytest.approx(0)
    assert on_boxes["95\u00a0% (both)"].split() == ["0.0", "to", "0.0"]

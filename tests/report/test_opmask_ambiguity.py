"""Table 1 of paper B, on a small made set: two of five objects of each image are ambiguous."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib.analysis.claims import load_claims
from lib.evaluation.coco_ap import evaluate
from lib.report import opmask_ambiguity as ambiguity
from lib.report import opmask_runs as reading
from tests.report.opmask import IMAGES, Made, one

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
    between = one(table, group=ambiguity.BETWEEN, **where)
    assert between["ours"] == pytest.approx(gains["ambiguous"] - gains["not_ambiguous"])
    assert between["ci_low"] <= between["ours"] <= between["ci_high"]
    assert between["paper"] == pytest.approx(44.7891)
    assert one(table, group="ambiguous", method=ambiguity.GAIN, **where)["paper"] == (
        pytest.approx(100 * (19.5 / 10.8 - 1))
    )


def test_with_all_masks_all_classes_count(opmask_study: Made, table: pd.DataFrame) -> None:
    part = table[(table["direction"] == "full") & table["group"].isin(ambiguity.GROUPS)]
    counts = part.drop_duplicates("group").set_index("group")["instances"]
    assert counts.to_dict() == {"ambiguous": 2 * IMAGES, "not_ambiguous": 3 * IMAGES}
    assert "full: 16 of 40" in ambiguity.counts_line(table)


def test_observations_are_claims_in_their_unit(opmask_study: Made, table: pd.DataFrame) -> None:
    own = {c.id: c for c in load_claims().claims if c.id.startswith("B.table1.")}
    seen = {o.id: o for o in ambiguity.observations(table, opmask_study.runs)}
    assert set(seen) == {name for name, c in own.items() if c.kind == "direction"}
    name = "B.table1.nonvoc_to_voc.relative_gain_larger_when_ambiguous"
    row = one(table, direction="nonvoc_to_voc", group=ambiguity.BETWEEN, metric="AP")
    assert seen[name].observed == pytest.approx(row["ours"] / 100)  # a ratio, not points
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
    part = wide[(wide["direction"] == "full") & (wide["whose"] == "paper")]
    assert part["ambiguous"].tolist()[:2] == [15.9, 20.5]
    assert np.isnan(wide.loc[wide["method"] == "opmask", "ambiguous − not ambiguous"]).all()

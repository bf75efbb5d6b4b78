"""Table 2 of paper B, on a small made set."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from lib.metrics.claims import Claims, load_claims
from lib.metrics.coco_ap import evaluate
from lib.opmask import further_tables as details
from lib.opmask import table2 as tables
from lib.opmask import trained as reading
from tests.fixtures.opmask import Made, of_voc_alone, one

DRAWN = {"resamples": 40, "seed": 0}


@pytest.fixture(scope="module")
def claims() -> Claims:
    return load_claims()


@pytest.fixture(scope="module")
def results(opmask_study: Made) -> reading.Results:
    return reading.judge(opmask_study.val, opmask_study.runs, "segm")


@pytest.fixture(scope="module")
def table(opmask_study: Made, results: reading.Results, claims: Claims) -> pd.DataFrame:
    return tables.split_table(results, opmask_study.runs, claims=claims, **DRAWN)


def test_values_are_those_of_judging_each_group_of_classes_alone(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    voc, others = val.categories.split("voc"), val.categories.split("non_voc")
    for split, given, rest in (("voc", voc, others), ("non_voc", others, voc)):
        methods = {"opmask": f"opmask.{split}", "class_specific": "class_specific.all"}
        for classes, labels in (("supervised", given), ("unsupervised", rest)):
            for method, variant in methods.items():
                alone = evaluate(val, runs[variant].detections, iou_type="segm", labels=labels)
                where = {"direction": reading.DIRECTIONS[split], "beside": "R50", "metric": "AP75"}
                row = one(table, classes=classes, method=method, **where)
                assert row["ours"] == pytest.approx(100 * alone.summary["AP75"])


def test_differences_are_paired_and_the_paper_stands_beside_them(table: pd.DataFrame) -> None:
    where = {
        "direction": "voc_to_nonvoc", "beside": "R50", "classes": "unsupervised", "metric": "AP",
    }  # fmt: skip
    ours, base, gain = (one(table, method=m, **where) for m in ("opmask", "baseline",
                                                                reading.DIFFERENCE))  # fmt: skip
    assert gain["ours"] == pytest.approx(ours["ours"] - base["ours"])
    assert 0 < gain["ci_low"] <= gain["ours"] <= gain["ci_high"]
    assert (ours["paper"], base["paper"], gain["paper"]) == (31.9, 18.9, 13.0)
    own = one(table, method="gt_boxes - baseline", **where)
    assert own["ours"] > 0 and np.isnan(own["paper"])
    given = one(table, **{**where, "classes": "supervised"}, method=reading.DIFFERENCE)
    assert (given["ours"], given["ci_low"], given["ci_high"]) == (0.0, 0.0, 0.0)
    assert np.isnan(given["paper"])
    assert table.loc[table["metric"] == "AP_L", "ours"].isna().all()  # none is that large


def test_what_only_the_paper_has_is_shown_and_never_observed(
    table: pd.DataFrame, claims: Claims
) -> None:
    printed = [c for c in claims.claims if c.id.startswith("B.table2.")]
    shown = table[table["paper"].notna()]
    assert len(shown) == len(printed)
    assert sorted(shown["paper"]) == sorted(c.expected for c in printed)
    alone = table[table["backbone"] == ""]
    assert alone["ours"].isna().all()
    assert not {"baseline", "opmask"} & set(alone.loc[alone["beside"] == "R50", "method"])
    observed = {o.id for o in tables.observations(table, claims=claims)}
    names = (f"B.table2.{r.direction}.{r.beside}.{tables.PAPER.get(r.method)}.{r.metric}"
             for r in alone.itertuples())  # fmt: skip
    assert observed.isdisjoint(names)


def test_one_line_per_model_with_the_papers_below_and_box_ap_beside(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    boxes = details.box_table(reading.judge(val, runs, "bbox"), runs)
    wide = tables.beside_paper(table, boxes)
    part = wide[(wide["direction"] == "voc_to_nonvoc") & (wide["backbone"].isin(["small", "R50"]))]
    lines = list(zip(part["method"], part["whose"], strict=True))
    at = lines.index(("baseline", "ours"))
    assert lines[at : at + 3] == [
        ("baseline", "ours"), ("baseline", "paper"), ("gt_boxes", "ours"),
    ]  # fmt: skip
    assert part["AP"].iloc[at + 1] == 18.9
    assert part["box_AP"].iloc[at] == pytest.approx(100)
    assert wide.loc[wide["whose"] == "paper", "box_AP"].isna().all()
    deep = wide[wide["backbone"] == "resnet101"]  # run in one direction alone
    assert set(deep["direction"]) == {"voc_to_nonvoc"}
    other = wide[wide["direction"] == "nonvoc_to_voc"]
    assert "R101" not in set(other["backbone"])


def test_observations_are_claims_of_this_step_at_their_backbone(
    table: pd.DataFrame, claims: Claims
) -> None:
    own = {c.id: c for c in claims.claims if c.step == "07_opmask_results"}
    seen = {o.id for o in tables.observations(table, claims=claims)}
    assert seen <= own.keys()
    directions = {name for name in seen if own[name].kind == "direction"}
    assert {n for n in directions if ".R101." not in n} == {
        f"B.table2.{d}.{m}.opmask_above_baseline"
        for d in reading.DIRECTIONS.values()
        for m in reading.METRICS.values()
    }
    assert not any(".nonvoc_to_voc.R101." in name for name in seen)  # not run
    assert all(".R101." in name for name in seen - directions)  # no ResNet-50 here
    large = table.assign(backbone=table["backbone"].replace("small", "resnet50"))
    known = {o.id for o in tables.observations(large, claims=claims)} - seen
    assert "B.table2.nonvoc_to_voc.R50.OPMask.AP_S" in known
    assert {own[name].kind for name in known} == {"value"}


def test_a_profiles_own_list_is_a_direction_without_a_paper(
    opmask_study: Made, results: reading.Results, claims: Claims
) -> None:
    runs = opmask_study.runs
    renamed = {f"list.{m}": replace(runs[f"{m}.voc"], split="list", variant=f"list.{m}")
               for m in reading.METHODS}  # fmt: skip
    judged = {f"list.{m}": results[f"{m}.voc"] for m in reading.METHODS}
    table = tables.split_table(judged, renamed, claims=claims, **DRAWN)
    ours = table[table["backbone"] != ""]
    assert set(ours["direction"]) == {"list"} and ours["paper"].isna().all()
    assert tables.observations(table, claims=claims) == []
    assert set(tables.per_class_table(judged, renamed)["direction"]) == {"list"}


def test_a_direction_without_a_baseline_has_no_difference(
    opmask_study: Made, results: reading.Results, claims: Claims
) -> None:
    few = {"opmask.voc": opmask_study.runs["opmask.voc"]}
    table = tables.split_table(results, few, claims=claims, **DRAWN)
    ours = table[table["backbone"] != ""]
    assert set(ours["method"]) == {"opmask"}
    assert tables.observations(table, claims=claims) == []
    assert tables.per_class_table(results, few).empty
    assert tables.split_table({}, {}, claims=claims, **DRAWN)["ours"].isna().all()


def test_classes_without_an_instance_count_in_no_mean(opmask_study: Made, claims: Claims) -> None:
    some = of_voc_alone(opmask_study.val)
    runs = {
        v: replace(run, detections=[d for d in run.detections if d["category_id"] <= 18])
        for v, run in opmask_study.runs.items()
    }
    results = reading.judge(some, runs, "segm")
    of = partial(one, tables.split_table(results, runs, claims=claims, **DRAWN), beside="R50")
    empty = of(direction="voc_to_nonvoc", classes="unsupervised", method="opmask", metric="AP")
    assert np.isnan([empty["ours"], empty["ci_low"], empty["ci_high"]]).all()
    full = of(direction="nonvoc_to_voc", classes="unsupervised", method="opmask", metric="AP")
    assert full["ours"] > 0
    classes = tables.per_class_table(results, runs)
    assert classes.loc[classes["name"] == "cup", "opmask"].isna().all()
    counts = details.classes_table(some, runs)
    row = one(counts, direction="voc_to_nonvoc", classes="unsupervised")
    assert (row["number"], row["present"], row["instances"]) == (2, 0, 0)

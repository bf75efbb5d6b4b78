"""Table 2 of paper B and its figures, and the same class by class, on a small made set."""

from dataclasses import replace
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from lib.metrics.claims import Claims, load_claims
from lib.metrics.coco_ap import evaluate
from lib.opmask import per_class, table2
from lib.opmask.filled_boxes import judge_filled
from lib.opmask.predictions import (
    DIFFERENCE,
    DIRECTIONS,
    METHODS,
    Results,
    classes_table,
    judge,
)
from tests.fixtures.opmask import Made, changed, of_voc_alone, one, points

DRAWN = {"resamples": 40, "seed": 0}


@pytest.fixture(scope="module")
def claims() -> Claims:
    return load_claims()


@pytest.fixture(scope="module")
def results(opmask_study: Made) -> Results:
    val, models = opmask_study.val, opmask_study.models
    return {**judge(val, models, "segm"), **judge_filled(val, models)}


@pytest.fixture(scope="module")
def table(opmask_study: Made, results: Results, claims: Claims) -> pd.DataFrame:
    return table2.table2(results, opmask_study.models, claims=claims, **DRAWN)


@pytest.fixture(autouse=True)
def no_windows() -> None:
    mpl.use("agg")


def test_values_are_those_of_judging_each_group_of_classes_alone(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, models = opmask_study.val, opmask_study.models
    voc, others = val.categories.split("voc"), val.categories.split("non_voc")
    for split, given, rest in (("voc", voc, others), ("non_voc", others, voc)):
        methods = {"opmask": f"opmask.{split}", "class_specific": "class_specific.all"}
        for classes, labels in (("supervised", given), ("unsupervised", rest)):
            for method, variant in methods.items():
                found = models[variant].first.detections
                alone = evaluate(val, found, iou_type="segm", labels=labels)
                where = {"direction": DIRECTIONS[split], "beside": "R50", "metric": "AP75"}
                row = one(table, classes=classes, method=method, **where)
                assert row["ours"] == pytest.approx(100 * alone.summary["AP75"])


def test_differences_are_paired_and_the_paper_stands_beside_them(table: pd.DataFrame) -> None:
    where = {
        "direction": "voc_to_nonvoc", "beside": "R50", "classes": "unsupervised", "metric": "AP",
    }  # fmt: skip
    ours, base, gain = (one(table, method=m, **where) for m in ("opmask", "baseline", DIFFERENCE))
    assert gain["ours"] == pytest.approx(ours["ours"] - base["ours"])
    assert 0 < gain["ci_low"] <= gain["ours"] <= gain["ci_high"]
    assert (ours["paper"], base["paper"], gain["paper"]) == (31.9, 18.9, 13.0)
    own = one(table, method="gt_boxes - baseline", **where)
    assert own["ours"] > 0 and np.isnan(own["paper"])
    given = one(table, **{**where, "classes": "supervised"}, method=DIFFERENCE)
    assert (given["ours"], given["ci_low"], given["ci_high"]) == (0.0, 0.0, 0.0)
    assert np.isnan(given["paper"])
    assert table.loc[table["metric"] == "AP_L", "ours"].isna().all()  # none is that large


def test_filled_boxes_of_opmasks_detections_stand_beside_the_heads(table: pd.DataFrame) -> None:
    for classes in ("supervised", "unsupervised"):  # all objects fill their boxes
        for direction in DIRECTIONS.values():
            where = {"direction": direction, "classes": classes, "metric": "AP"}
            assert one(table, method="filled_box", **where)["ours"] == pytest.approx(100)
            assert one(table, method="opmask - filled_box", **where)["ours"] <= 0
    assert set(table.loc[table["method"] == "filled_box", "beside"]) == {"R50"}


def test_what_only_the_paper_has_is_shown_and_never_observed(
    table: pd.DataFrame, claims: Claims
) -> None:
    printed = [c.expected for c in claims.claims if c.id.startswith("B.table2.")]
    assert sorted(table["paper"].dropna()) == sorted(printed)
    alone = table[table["backbone"] == ""]
    assert alone["ours"].isna().all()
    assert not {"baseline", "opmask"} & set(alone.loc[alone["beside"] == "R50", "method"])
    observed = {o.id for o in table2.observations(table, claims=claims)}
    assert observed.isdisjoint(map(table2.claim_id, alone.to_dict("records")))


def test_observations_are_claims_at_their_backbone(table: pd.DataFrame, claims: Claims) -> None:
    own = {c.id: c.kind for c in claims.claims if c.id.startswith("B.table2.")}
    seen = {o.id for o in table2.observations(table, claims=claims)}
    directions = {name for name in seen if own[name] == "direction"}
    assert {n for n in directions if ".R101." not in n} == {
        f"B.table2.{d}.{m}.opmask_above_baseline"
        for d in DIRECTIONS.values()
        for m in table2.METRICS.values()
    }
    assert not any(".nonvoc_to_voc.R101." in name for name in seen)  # not trained
    assert all(".R101." in name for name in seen - directions)  # no ResNet-50 here
    large = table.assign(backbone=table["backbone"].replace("lite0", "resnet50"))
    known = {o.id for o in table2.observations(large, claims=claims)} - seen
    assert "B.table2.nonvoc_to_voc.R50.OPMask.AP_S" in known
    assert {own[name] for name in known} == {"value"}


def test_a_profiles_own_list_is_a_direction_without_a_paper(
    opmask_study: Made, results: Results, claims: Claims
) -> None:
    models = opmask_study.models
    renamed = {f"list.{m}": replace(models[f"{m}.voc"], split="list", variant=f"list.{m}")
               for m in METHODS}  # fmt: skip
    judged = {f"list.{m}": results[f"{m}.voc"] for m in METHODS}
    table = table2.table2(judged, renamed, claims=claims, **DRAWN)
    ours = table[table["backbone"] != ""]
    assert set(ours["direction"]) == {"list"} and ours["paper"].isna().all()
    assert table2.observations(table, claims=claims) == []
    assert set(per_class.per_class_table(judged, renamed)["direction"]) == {"list"}


def test_a_direction_without_a_baseline_has_no_difference(
    opmask_study: Made, results: Results, claims: Claims
) -> None:
    few = {"opmask.voc": opmask_study.models["opmask.voc"]}
    table = table2.table2(results, few, claims=claims, **DRAWN)
    there = set(table.loc[table["backbone"] != "", "method"])
    assert there == {"opmask", "filled_box", "opmask - filled_box"}
    assert table2.observations(table, claims=claims) == []
    assert per_class.per_class_table(results, few).empty
    assert table2.table2({}, {}, claims=claims, **DRAWN)["ours"].isna().all()


def test_classes_without_an_instance_count_in_no_mean(opmask_study: Made, claims: Claims) -> None:
    some = of_voc_alone(opmask_study.val)
    models = {
        v: changed(model, detections=[d for d in model.first.detections if d["category_id"] <= 18])
        for v, model in opmask_study.models.items()
    }
    results = judge(some, models, "segm")
    of = partial(one, table2.table2(results, models, claims=claims, **DRAWN), beside="R50")
    empty = of(direction="voc_to_nonvoc", classes="unsupervised", method="opmask", metric="AP")
    assert np.isnan([empty["ours"], empty["ci_low"], empty["ci_high"]]).all()
    full = of(direction="nonvoc_to_voc", classes="unsupervised", method="opmask", metric="AP")
    assert full["ours"] > 0
    classes = per_class.per_class_table(results, models)
    assert classes.loc[classes["name"] == "cup", "opmask"].isna().all()
    row = one(classes_table(some, models), direction="voc_to_nonvoc", classes="unsupervised")
    assert (row["number"], row["present"], row["instances"]) == (2, 0, 0)


def test_every_method_is_drawn_and_gains_beside_the_papers(table: pd.DataFrame) -> None:
    drawn = table2.ap_figure(table)
    assert drawn is not None
    where = {"direction": "voc_to_nonvoc", "beside": "R50", "classes": "unsupervised"}
    expected = [one(table, method=m, metric="AP", **where)["ours"] for m in table2.ROWS]
    assert [part[0, 1] for part in points(drawn.axes[0])] == pytest.approx(expected)
    drawn = table2.gain_figure(table)
    assert drawn is not None and len(drawn.axes) == 2
    for axes, direction in zip(drawn.axes, DIRECTIONS.values(), strict=True):
        ours, paper, *_ = points(axes)
        row = one(table, method=DIFFERENCE, metric="AP", **where | {"direction": direction})
        assert (ours[0, 0], paper[0, 0]) == pytest.approx((row["ours"], row["paper"]))
    of_paper = table[table["backbone"] == ""]
    assert table2.ap_figure(of_paper) is None and table2.gain_figure(of_paper) is None

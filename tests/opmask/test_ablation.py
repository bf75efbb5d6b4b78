"""The ablation of paper B's open choices, on a small made set."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from lib.metrics.claims import load_claims
from lib.metrics.coco_ap import evaluate
from lib.models.config import ModelConfig
from lib.opmask import ablation
from lib.pages import ablation as shared
from tests.fixtures.opmask import SIDE, Made, one, with_backbone

DRAWN = {"iou_from": 0.5, "resamples": 40, "seed": 0}


@pytest.fixture(scope="module")
def table(opmask_study: Made) -> pd.DataFrame:
    return ablation.ablation_table(opmask_study.val, opmask_study.models, **DRAWN)


def test_each_run_is_compared_in_what_it_changes(opmask_study: Made, table: pd.DataFrame) -> None:
    assert list(dict.fromkeys(table["group"])) == [
        "method", "prior_gradient", "prior_fusion", "cam_at_test.voc", "cam_at_test.non_voc",
    ]  # fmt: skip
    val, models = opmask_study.val, opmask_study.models
    labels = val.categories.split("voc")  # those without masks
    stopped = ablation.SETTINGS["prior_gradient"][False]
    values = {
        v: evaluate(val, models[f"ablation.{v}"].first.detections, iou_type="segm", labels=labels)
        for v in ("opmask", "vanilla")
    }
    for metric in ("AP", "AP50"):
        row = one(table, setting=stopped, metric=metric)
        ours, default = (100 * values[v].value(metric) for v in ("vanilla", "opmask"))
        assert row["ours"] == pytest.approx(ours)
        assert row["difference"] == pytest.approx(ours - default)
    iou = one(table, setting=stopped, metric=shared.MASK_IOU)
    assert iou["ours"] == pytest.approx(100 * (SIDE - 7) / SIDE)
    assert iou["difference"] == pytest.approx(-100 / SIDE)
    assert one(table, setting=stopped, metric="box_AP50")["ours"] == pytest.approx(100)
    ambiguous = one(table, setting=stopped, metric="AP_ambiguous")
    others = {x.id for x in val.all_instances() if (x.id - 1) % 5 not in (0, 4)}
    found = models["ablation.vanilla"].first.detections
    alone = evaluate(val, found, iou_type="segm", labels=labels, ignore=others)
    assert ambiguous["ours"] == pytest.approx(100 * alone.value("AP"))


def test_defaults_come_first_and_have_no_difference(table: pd.DataFrame) -> None:
    first = table.drop_duplicates("group")
    assert first["is_default"].all()
    assert table.loc[table["is_default"], "difference"].isna().all()
    assert table.loc[~table["is_default"], "difference"].notna().all()
    lines = shared.side_by_side(table, ablation.GROUPS)
    assert lines["what"].iloc[:2].tolist() == ["prior", ""]
    assert np.isnan(lines["Δ AP"].iloc[0])


def test_the_refined_box_is_compared_with_the_proposal(table: pd.DataFrame) -> None:
    for split in ("voc", "non_voc"):
        part = table[(table["group"] == f"cam_at_test.{split}") & (table["metric"] == "AP")]
        assert part["setting"].tolist() == ["proposal", "refined box"]
        assert part["difference"].iloc[1] > 0
        assert part["difference"].iloc[1] == pytest.approx(part["ours"].diff().iloc[1])


def test_the_claim_is_the_default_minus_stopped_gradients(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    models = opmask_study.models
    row = one(table, setting=ablation.SETTINGS["prior_gradient"][False], metric="AP")
    (seen,) = ablation.observations(table, models)
    assert seen.id == "B.sec4_4.nonvoc_to_voc.mask_gradients_help"
    assert (seen.observed, seen.ci_low, seen.ci_high) == (
        -row["difference"], -row["diff_high"], -row["diff_low"],
    )  # fmt: skip
    assert seen.observed > 0 and seen.ci_low <= seen.observed <= seen.ci_high
    assert (seen.p, seen.detectable) == (row["p"], row["detectable"])
    assert {c.id for c in load_claims().claims} >= set(ablation.CLAIMS)
    both = ablation.observations(table, with_backbone(models, "resnet50"))
    assert {o.id for o in both} == set(ablation.CLAIMS)
    assert not any(o.other_schedule for o in both)
    final = replace(models["opmask.non_voc"], iterations=10)  # the ablation has 9
    longer = ablation.observations(table, {**models, "opmask.non_voc": final})
    without = {v: m for v, m in models.items() if v != "opmask.non_voc"}
    for seen_so in (longer, ablation.observations(table, without)):
        assert [o.other_schedule for o in seen_so] == [True]
    other = replace(models[ablation.DEFAULT], split="voc")
    assert ablation.observations(table, {**models, ablation.DEFAULT: other}) == []


def test_nothing_is_concluded_from_models_that_find_too_little(opmask_study: Made) -> None:
    val, models = opmask_study.val, opmask_study.models
    lowest = min(
        evaluate(val, models[f"ablation.{v}"].first.detections, iou_type="bbox").value("AP50")
        for v in ("opmask", "vanilla")
    )
    assert ablation.reaches(val, models, lowest)
    assert not ablation.reaches(val, models, lowest + 1e-6)


def test_what_was_not_run_is_left_out(opmask_study: Made) -> None:
    val, models = opmask_study.val, opmask_study.models
    some = {v: models[v] for v in ("ablation.opmask", "ablation.concat")}
    assert set(ablation.ablation_table(val, some, **DRAWN)["group"]) == {"prior_fusion"}
    without = {v: models[v] for v in ("ablation.concat", "ablation.vanilla")}
    table = ablation.ablation_table(val, without, **DRAWN)
    assert table.empty and ablation.observations(table, without) == []
    assert shared.side_by_side(table, ablation.GROUPS).empty


def test_every_value_of_a_setting_has_a_name() -> None:
    for field, texts in ablation.SETTINGS.items():
        kind = ModelConfig.model_fields[field].annotation
        values = {True, False} if kind is bool else set(get_args(kind))
        assert set(texts) >= values - {"faster_rcnn"}
    assert set(ablation.GROUPS) > set(ablation.SETTINGS)

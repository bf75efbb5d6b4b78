"""Tables of paper A's results, on a small made set."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.hybridnet import ablation, boxes, mask_iou, predictions, table1, table2
from lib.masks.rle import decode
from lib.metrics.claims import Observation
from lib.metrics.coco_ap import evaluate
from lib.metrics.mask_iou import iou_on_boxes
from lib.models.config import ModelConfig
from lib.pages.ablation import side_by_side
from lib.study import Study
from lib.workspace import Workspace
from tests.fixtures.hybridnet import (
    CLAIMS,
    DRAWN,
    FUSION,
    HEIGHT,
    LARGE,
    SMALL,
    WIDTH,
    Made,
    make_study,
)


def observed(made: Made, backbone: str) -> list[Observation]:
    about: dict[str, Any] = {"claims": CLAIMS, "backbone": backbone}
    return table1.observations(made.first, **about) + table2.observations(made.second, **about)


def one(table: pd.DataFrame, **where: str) -> pd.Series:
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_every_method_has_masks_and_the_hybrid_takes_small_ones_from_the_small_branch(
    made: Made,
) -> None:
    assert list(made.rows) == list(predictions.NAMES)
    assert all("segmentation" in d for method in made.rows for d in made.found(method))
    sides = {
        b: {d["bbox"][2] for d in made.found("hybrid") if d["branch"] == b}
        for b in ("large", "small")
    }
    assert sides == {"large": {LARGE}, "small": {SMALL}}
    areas = {
        shape: sum(decode(d["segmentation"], HEIGHT, WIDTH).sum() for d in made.found(shape))
        for shape in predictions.SHAPES
    }
    assert areas["ellipse"] / areas["rectangle"] == pytest.approx(np.pi / 4, rel=0.01)
    assert areas["grabcut"] < areas["rectangle"]  # it found nothing in every third
    shapes = [d["shape"] for d in made.found("small_branch")]
    assert shapes == (["ellipse", "grabcut", "grabcut"] * 4)


def test_poor_masks_can_be_kept_and_replaced_by_another_shape(made: Made) -> None:
    small = made.models["small"]
    kept = predictions.small_branch(made.val, small, poor_below=0, shape_when_poor="ellipse")
    assert kept == made.rows["grabcut"]
    other = predictions.small_branch(made.val, small, poor_below=0.5, shape_when_poor="rectangle")
    assert {d["shape"] for d in other[0]} == {"grabcut", "rectangle"}


def test_table_2_is_the_judges_ap_by_size(made: Made) -> None:
    small = [x for x in made.val.all_instances() if x.area < 64**2]
    large = {x.id for x in made.val.all_instances()} - {x.id for x in small}
    for method in table2.METHODS:
        found = [d for d in made.found(method) if d["bbox"][2] < 64]
        alone = evaluate(made.val, found, iou_type="segm", ignore=large).value("AP")
        row = one(made.second, method=method, metric="AP_S")
        assert row["ours"] == pytest.approx(100 * alone)
        assert row["ci_low"] <= row["ours"] <= row["ci_high"]
    assert one(made.second, method="large_branch", metric="AP_S")["ours"] == 0
    assert one(made.second, method="pixel_level", metric="AP")["ours"] == pytest.approx(100)
    coco = one(made.second, method="pixel_level", metric="AP_S_coco")  # sides of 24, none above 80
    assert coco["ours"] == pytest.approx(100)
    assert np.isnan(one(made.second, method="pixel_level", metric="AP_L_coco")["ours"])


def test_differences_are_paired_and_the_paper_stands_beside_them(made: Made) -> None:
    gain, hybrid, large = (
        one(made.second, method=method, metric="AP_S")
        for method in ("hybrid - large_branch", "hybrid", "large_branch")
    )
    assert gain["ours"] == pytest.approx(hybrid["ours"] - large["ours"]) and gain["ci_low"] > 0
    assert (hybrid["paper"], large["paper"], gain["paper"]) == (8.52, 7.11, 1.41)
    same = one(made.second, method="hybrid - large_branch", metric="AP_L")
    assert (same["ours"], same["ci_low"], same["ci_high"]) == (0, 0, 0)
    assert np.isnan(one(made.second, method="pixel_level - hybrid", metric="AP")["paper"])
    assert "HybridNet − large branch" in set(predictions.named(made.second)["method"])


def test_table_1_has_every_protocol_and_the_numbers_of_others(made: Made) -> None:
    ours = made.first[~made.first["method"].isin(predictions.PRINTED)]
    assert ours.groupby("method", sort=False)["metric"].apply(tuple).map(
        lambda metrics: metrics == table1.METRICS
    ).all()  # fmt: skip
    assert not ours[["ours", "ci_low", "ci_high"]].isna().any(axis=None)
    assert not set(predictions.READINGS) & set(ours["method"])
    assert one(made.first, method="pixel_level", metric="mAP75")["ours"] == pytest.approx(100)
    assert one(made.first, method="pixel_level", metric="ABO")["paper"] == 57.4
    found = 0.5 * (1 - 30 / 80) + 0.5 * 0.5  # IoU of large and small masks, as often each
    assert one(made.first, method="baseline", metric="ABO")["ours"] == pytest.approx(100 * found)
    given = made.first.set_index("method")["supervision"]
    assert set(given["pixel_level"]) == {"pixel-level"} and set(given["hybrid"]) == {"box-level"}
    others = made.first[made.first["method"] == "DeepMask"]
    assert others["ours"].isna().all() and set(others["paper"]) == {39.4, 8.1, 45.8}
    wide = table1.beside_paper(made.first)
    assert {"mAP75", "ABO", "AP75 (COCO)"} <= set(wide.columns)
    assert wide["method"].value_counts()["hybrid"] == 2
    assert wide["method"].value_counts()["DeepMask"] == 1
    assert not wide["method"].str.contains(" - ").any()


@pytest.mark.parametrize(("backbone", "profile"), [("lite0", "demo"), ("resnet50", "paper")])
def test_observations_are_all_claims_of_this_step_that_can_be_seen(
    backbone: str, profile: str, tmp_path: Path
) -> None:
    made = make_study(tmp_path, profile=profile)
    own = {c.id: c for c in CLAIMS.claims if c.step == "05_hybrid_results"}
    seen = observed(made, backbone)
    ids = {o.id for o in seen}
    others = {i for i in own if any(name in i for name in predictions.PRINTED)}
    if backbone == "lite0":
        assert ids == {i for i in own if own[i].kind == "direction"} - others
    else:
        assert own.keys() - ids == {i for i in others if own[i].kind == "value"}
        above = next(o for o in seen if o.id == "A.table1.mAP50.hybrid_above_DeepLabBOX")
        hybrid = one(made.first, method="hybrid", metric="mAP50")
        assert above.observed == pytest.approx(hybrid["ours"] - 44.8)
        assert above.ci_high == pytest.approx(hybrid["ci_high"] - 44.8)
        least = 2 / (DRAWN["resamples"] + 1)  # all resamples are on one side
        assert above.p == pytest.approx(least) and above.ci_low * above.ci_high > 0
    gain = next(o for o in seen if o.id == "A.table2.AP_S.hybrid_above_large_branch")
    row = one(made.second, method="hybrid - large_branch", metric="AP_S")
    assert [gain.observed, gain.ci_low, gain.ci_high, gain.p, gain.detectable] == row[
        ["ours", "ci_low", "ci_high", "p", "detectable"]
    ].tolist()


def test_numbers_of_others_are_compared_with_on_their_own_data_alone(made: Made) -> None:
    seen = observed(made, "resnet50")
    assert not any("DeepLabBOX" in o.id for o in seen)
    assert any(o.id == "A.table1.hybrid.mAP50" for o in seen)


def test_the_fusion_is_counted_by_branch_size_and_shape(made: Made) -> None:
    table = predictions.branch_table(made.rows, FUSION, score_from=0.85)
    branches = [made.found(f"{branch}_branch") for branch in ("large", "small")]
    assert table["offered"].sum() == sum(map(len, branches))
    assert table["kept"].sum() == len(made.found("hybrid"))
    assert table["confident"].sum() == sum(d["score"] >= 0.85 for d in made.found("hybrid"))
    small = table[(table["branch"] == "small") & (table["size"] == "small")].set_index("mask")
    assert small["kept"].to_dict() == {"GrabCut": 4, "ellipse": 2}
    dropped = table[(table["branch"] == "small") & (table["size"] == "large")]
    assert dropped["offered"].sum() == 6 and dropped["kept"].sum() == 0


def test_mask_iou_is_the_share_of_columns_that_is_left(made: Made) -> None:
    frame = mask_iou.masks_on_boxes_frame(made.val, made.models)
    table = mask_iou.mask_iou_table(frame, **DRAWN)
    assert one(table, method="baseline", size="large")["ours"] == pytest.approx(100 * 50 / 80)
    gain = one(table, method="large_branch - baseline", size="large")
    assert gain["ours"] == pytest.approx(100 * 20 / 80) and gain["instances"] == 6
    assert one(table, method="large_branch - baseline", size="small")["ours"] == 0
    assert one(table, method="pixel_level", size="all")["instances"] == 12


def test_runs_without_masks_on_boxes_are_left_out(made: Made) -> None:
    bare = {
        v: replace(found, runs={0: replace(found.first, masks_on_boxes=None)})
        for v, found in made.models.items()
    }
    table = mask_iou.mask_iou_table(mask_iou.masks_on_boxes_frame(made.val, bare), **DRAWN)
    assert table.empty and "ours" in table
    some = mask_iou.masks_on_boxes_frame(made.val, {**bare, "large": made.models["large"]})
    assert set(mask_iou.mask_iou_table(some, **DRAWN)["method"]) == {"large_branch"}


def test_the_ablation_compares_each_group_with_its_default(made: Made) -> None:
    table = made.switches
    assert set(table["group"]) == set(ablation.GROUPS)
    defaults = table[table["is_default"]]
    assert defaults.groupby("group")["setting"].nunique().eq(1).all()
    assert defaults["difference"].isna().all()
    assert not table.duplicated(["group", "setting", "metric"]).any()
    plain, direct = (
        one(table, group="fpn", setting=ablation.FPN[kind], metric="AP_L")
        for kind in ("plain", "direct")
    )
    assert plain["difference"] == pytest.approx(plain["ours"] - direct["ours"])
    assert plain["difference"] < 0 and plain["diff_high"] <= 0
    detected = one(
        table, group="detector", setting="invalid ones, others background", metric="AP_L"
    )
    assert (detected["ours"], detected["difference"]) == (0, pytest.approx(-100))
    kept = one(table, group="poor", setting="kept as they are", metric="AP_S")
    assert kept["difference"] < 0  # empty masks instead of ellipses
    fused = table[table["group"] == "fusion"]
    assert fused["setting"].nunique() == 1 + 2 + 1 + 2 + 1 + 1
    line = side_by_side(table, ablation.GROUPS)
    assert len(line) == table["setting"].groupby(table["group"]).nunique().sum()
    assert line.iloc[1]["Δ AP_L"] == plain["difference"]
    mean = {
        kind: iou_on_boxes(made.val, made.models[f"ablation.{kind}"].masks_on_boxes[0])[
            "iou"
        ].mean()
        for kind in ("plain", "direct")
    }
    alone = one(table, group="fpn", setting=ablation.FPN["plain"], metric="mask_IoU")
    assert alone["difference"] == pytest.approx(100 * (mean["plain"] - mean["direct"]))
    assert set(table.loc[table["metric"] == "mask_IoU", "group"]) == {"fpn", "invalid"}


def test_variants_that_were_not_run_are_left_out(made: Made) -> None:
    about: dict[str, Any] = {"poor_below": 0.5, "shape_when_poor": "ellipse"}
    few = {v: run for v, run in made.models.items() if v != "ablation.direct"}
    compared = ablation.trials(made.val, few, made.rows, FUSION, **about)
    assert {t.group for t in compared} == set(ablation.GROUPS) - {"fpn", "invalid"}
    none = {v: run for v, run in made.models.items() if v in predictions.REQUIRED}
    compared = ablation.trials(made.val, none, made.rows, FUSION, **about)
    assert {t.group for t in compared} == {"fusion", "poor", "poor_fused"}
    methods = predictions.methods(made.val, none, FUSION, **about)
    assert list(methods) == [m for m in predictions.NAMES if m not in predictions.READINGS]
    drawn = {method: made.coco[method] for method in methods}
    second = table2.table2(drawn, claims=CLAIMS)
    assert set(second["method"]) == {
        m for m in made.second["method"] if not any(r in m for r in predictions.READINGS)
    }


def test_boxes_are_judged_for_every_run(made: Made) -> None:
    table = boxes.box_table(made.val, made.models).set_index("variant")
    assert list(table.index[:4]) == list(predictions.REQUIRED)
    assert table.loc["small", "box_AP"] == pytest.approx(100)
    assert table.loc["large", "box_AP_S"] == 0


def test_missing_runs_and_mixed_backbones_are_sentences(made: Made, tmp_path: Path) -> None:
    workspace = Workspace("demo", "05_hybrid_results", study=Study(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"--only 04_train_hybrid\.baseline"):
        predictions.read(workspace)
    assert predictions.backbone(made.models) == "lite0"
    config = ModelConfig(method="mask_rcnn", backbone="resnet50")
    with pytest.raises(ValueError, match="different backbones"):
        predictions.backbone({**made.models, "large": predictions.Predictions(config, {})})

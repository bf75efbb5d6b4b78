"""Table 3 of paper B, on a small made set whose maps cover a known part of each box.

OPMask's map is high in all of the box but a corner, the others' in 4 of its 7 columns.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.metrics.bootstrap import resample
from lib.metrics.cam_masks import read_cams
from lib.metrics.claims import load_claims
from lib.metrics.coco_ap import evaluate
from lib.opmask import table3
from lib.opmask.predictions import Models
from tests.fixtures.cams import cam_results
from tests.fixtures.opmask import Made, changed, one, with_backbone, without_masks

DRAWN = {"resamples": 20, "seed": 0}
THRESHOLDS = [0.2, 0.5, 0.9]


@pytest.fixture(scope="module", autouse=True)
def one_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table3, "AT_ONCE", 1)
        yield


@pytest.fixture(scope="module")
def table(opmask_study: Made) -> pd.DataFrame:
    return table_of(opmask_study, opmask_study.models)


def table_of(study: Made, models: Models, threshold: float = 0.5) -> pd.DataFrame:
    val = study.val
    swept, boxes = table3.sweep(val, models, THRESHOLDS), table3.boxes_as_masks(val, models)
    return table3.table3(swept, boxes, claims=load_claims(), threshold=threshold, **DRAWN)


def test_values_at_the_fixed_threshold_are_those_of_its_masks(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, models = opmask_study.val, opmask_study.models
    for variant in ("faster_rcnn.all", "baseline.voc", "opmask.non_voc"):
        method, split = variant.split(".")
        maps = read_cams(models[variant].first.folder / "cams_val.npz").maps
        found = cam_results(models[variant].first.detections, maps, val, threshold=0.5)
        for tested, classes in table3.TESTED.items():
            labels = val.categories.split(classes)
            alone = evaluate(val, found, iou_type="segm", labels=labels)
            for metric in table3.METRICS:
                row = one(table, trained=split, method=method, tested=tested, metric=metric)
                assert row["ours"] == pytest.approx(100 * alone.value(metric))
    row = one(table, trained="all", method="opmask", tested="all", metric="AP")
    assert row["ours"] > 80 and row["paper"] == 8.8
    row = one(table, trained="all", method="baseline", tested="all", metric="AP")
    assert 10 <= row["ours"] <= 30  # masks of an IoU between .5 and .65


def test_differences_are_paired_and_the_box_stands_beside(table: pd.DataFrame) -> None:
    where = {"trained": "all", "tested": "all", "metric": "AP"}
    gain = one(table, method="opmask - faster_rcnn", **where)
    ours, other = (one(table, method=m, **where)["ours"] for m in ("opmask", "faster_rcnn"))
    assert gain["ours"] == pytest.approx(ours - other)
    assert gain["ci_low"] <= gain["ours"] <= gain["ci_high"]
    assert one(table, method=table3.BOX, **where)["ours"] == pytest.approx(100)
    assert "opmask - faster_rcnn" not in set(table.loc[table["trained"] == "voc", "method"])


def test_the_best_of_the_sweep_is_its_largest_value(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    few = {"baseline.voc": opmask_study.models["baseline.voc"]}
    values = np.stack([table_of(opmask_study, few, t)["ours"].to_numpy() for t in THRESHOLDS])
    rows = table[(table["trained"] == "voc") & (table["method"] == "baseline")]
    assert rows["best"].tolist() == pytest.approx(values.max(axis=0).tolist())
    for best_at, column in zip(rows["best_at"], values.T, strict=True):
        assert column[THRESHOLDS.index(best_at)] == column.max()
    assert table.loc[table["method"] == table3.BOX, ["best", "best_at"]].isna().all(axis=None)


def test_differences_at_best_cut_each_model_at_its_own_threshold(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, models = opmask_study.val, opmask_study.models
    where = {"trained": "voc", "tested": "nonvoc", "metric": "AP"}
    row = one(table, method="opmask - baseline", **where)
    scores = []
    for method in ("opmask", "baseline"):
        model = models[f"{method}.voc"]
        maps = read_cams(model.first.folder / "cams_val.npz").maps
        best_at = one(table, method=method, **where)["best_at"]
        found = cam_results(model.first.detections, maps, val, threshold=best_at)
        result = evaluate(val, found, iou_type="segm", area_ranges={})
        scores.append(resample(result, **DRAWN).score("AP", val.categories.split("non_voc")))
    change = (scores[0] - scores[1]).interval.scaled(100)
    assert [row["best"], row["best_low"], row["best_high"]] == pytest.approx(list(change))
    assert np.isnan(row["best_at"])  # of two thresholds
    alone = table[~table["method"].str.contains(" - ")]
    assert alone[["best_low", "best_high"]].isna().all(axis=None)


def test_a_sweep_that_finds_nothing_is_best_nowhere(opmask_study: Made, tmp_path: Path) -> None:
    models = {v: opmask_study.models[v] for v in ("opmask.voc", "baseline.voc")}
    flat = changed(models["baseline.voc"], folder=tmp_path)  # constant maps: empty masks
    np.savez(tmp_path / "cams_val.npz", maps=np.ones((len(flat.first.detections), 7, 7)))
    table = table_of(opmask_study, {**models, "baseline.voc": flat})
    rows = table[table["method"] == "baseline"]
    assert (rows["best"] == 0).all() and rows["best_at"].isna().all()
    assert "baseline, CAM (masks of voc) nowhere" in table3.best_line(table, THRESHOLDS)
    where = {"tested": "all", "metric": "AP"}
    gain, ours = (one(table, method=m, **where) for m in ("opmask - baseline", "opmask"))
    assert gain["best"] == ours["best"] > 0


def test_observations_are_claims_at_their_backbone(opmask_study: Made, table: pd.DataFrame) -> None:
    claims, models = load_claims(), opmask_study.models
    own = {c.id: c for c in claims.claims if c.id.startswith("B.table3.")}
    seen = {o.id: o for o in table3.observations(table, models, claims=claims, reaching=models)}
    assert set(seen) == {name for name, c in own.items() if c.kind == "direction"}
    gain = one(table, trained="voc", method="opmask - baseline", tested="nonvoc", metric="AP")
    observed = seen["B.table3.train_voc.test_nonvoc.opmask_above_mask_rcnn"]
    assert (observed.observed, observed.ci_low) == (gain["ours"], gain["ci_low"])
    large = with_backbone(models, "resnet50")
    every = table3.observations(table, large, claims=claims, reaching=large)
    assert {o.id for o in every} == set(own)


def test_claims_on_a_model_that_finds_too_little_are_not_judged(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    models = opmask_study.models

    def seen(reaching: set[str]) -> set[str]:
        found = table3.observations(table, models, claims=load_claims(), reaching=reaching)
        return {observation.id for observation in found}

    dropped = seen(set(models)) - seen(set(models) - {"faster_rcnn.all"})
    assert dropped == {"B.table3.train_all.test_all.opmask_above_faster_rcnn"}
    assert not any("train_voc" in name for name in seen(set(models) - {"opmask.voc"}))


def test_models_without_maps_are_left_out(opmask_study: Made, tmp_path: Path) -> None:
    models = {v: opmask_study.models[v] for v in ("opmask.voc", "baseline.voc")}
    models["baseline.voc"] = changed(models["baseline.voc"], folder=tmp_path)
    assert table3.variants(models) == ["opmask.voc"]
    assert set(table_of(opmask_study, models)["method"]) == {"opmask", table3.BOX}
    none = table_of(opmask_study, {})
    assert none.empty and table3.side_by_side(none).empty and table3.differences(none).empty
    assert table3.observations(none, {}, claims=load_claims(), reaching=()) == []


def test_a_set_without_true_masks_has_unknown_maps(opmask_study: Made) -> None:
    bare = opmask_study._replace(val=without_masks(opmask_study.val))
    table = table_of(bare, bare.models)
    assert table[["ours", "best", "best_at"]].isna().all(axis=None)
    assert len(table3.side_by_side(table)) == 10 + 7  # models and their boxes, the paper's models
    assert table3.differences(table)["95 %"].isna().all()
    assert " at 0" not in table3.best_line(table, THRESHOLDS)

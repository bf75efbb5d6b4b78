"""Table 3 of paper B, on a small made set whose maps cover a known part of each box.

OPMask's map is high in all of the box but a corner, the others' in 4 of its 7 columns.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.metrics.bootstrap import resample
from lib.metrics.cam_masks import cam_results, read_cams
from lib.metrics.claims import load_claims
from lib.metrics.coco_ap import evaluate
from lib.metrics.mask_iou import iou_on_boxes
from lib.opmask import cam_iou
from lib.opmask import table3 as cams
from lib.opmask import trained as reading
from tests.fixtures.opmask import Made, one, without_masks

DRAWN = {"resamples": 20, "seed": 0}
THRESHOLDS = [0.2, 0.5, 0.9]


@pytest.fixture(scope="module")
def table(opmask_study: Made) -> pd.DataFrame:
    return table_of(opmask_study, opmask_study.runs)


def table_of(study: Made, runs: reading.Runs, threshold: float = 0.5) -> pd.DataFrame:
    val = study.val
    swept, boxes = cams.sweep(val, runs, THRESHOLDS), cams.boxes_as_masks(val, runs)
    return cams.table3(swept, boxes, claims=load_claims(), threshold=threshold, **DRAWN)


def test_values_at_the_fixed_threshold_are_those_of_its_masks(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    for variant in ("faster_rcnn.all", "baseline.voc", "opmask.non_voc"):
        method, split = variant.split(".")
        maps = read_cams(runs[variant].folder / "cams_val.npz").maps
        found = cam_results(runs[variant].detections, maps, val, threshold=0.5)
        for tested, classes in cams.TESTED.items():
            labels = val.categories.split(classes)
            alone = evaluate(val, found, iou_type="segm", labels=labels)
            for metric in cams.METRICS:
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
    assert one(table, method=cams.BOX, **where)["ours"] == pytest.approx(100)
    assert "opmask - faster_rcnn" not in set(table.loc[table["trained"] == "voc", "method"])


def test_the_best_of_the_sweep_is_its_largest_value(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    few = {"baseline.voc": opmask_study.runs["baseline.voc"]}
    at = {t: table_of(opmask_study, few, t)["ours"].to_numpy() for t in THRESHOLDS}
    rows = table[(table["trained"] == "voc") & (table["method"] == "baseline")]
    values = np.stack([at[t] for t in THRESHOLDS])
    assert rows["best"].tolist() == pytest.approx(values.max(axis=0).tolist())
    for best_at, column in zip(rows["best_at"], values.T, strict=True):
        assert column[THRESHOLDS.index(best_at)] == column.max()
    assert "3 thresholds" in cams.best_line(table, THRESHOLDS)
    assert table.loc[table["method"] == cams.BOX, ["best", "best_at"]].isna().all(axis=None)


def test_differences_at_best_cut_each_model_at_its_own_threshold(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    where = {"trained": "voc", "tested": "nonvoc", "metric": "AP"}
    row = one(table, method="opmask - baseline", **where)
    drawn = []
    for method in ("opmask", "baseline"):
        model = one(table, method=method, **where)
        run = runs[f"{method}.voc"]
        maps = read_cams(run.folder / "cams_val.npz").maps
        found = cam_results(run.detections, maps, val, threshold=model["best_at"])
        result = evaluate(val, found, iou_type="segm", area_ranges={})
        drawn.append(resample(result, **DRAWN))
    ours, base = (d.score("AP", val.categories.split("non_voc")) for d in drawn)
    change = (ours - base).interval.scaled(100)
    assert [row["best"], row["best_low"], row["best_high"]] == pytest.approx(list(change))
    assert np.isnan(row["best_at"])  # of two thresholds
    models = table[~table["method"].str.contains(" - ")]
    assert models[["best_low", "best_high"]].isna().all(axis=None)


def test_a_sweep_that_finds_nothing_is_best_nowhere(opmask_study: Made, tmp_path: Path) -> None:
    runs = {v: opmask_study.runs[v] for v in ("opmask.voc", "baseline.voc")}
    flat = replace(runs["baseline.voc"], folder=tmp_path)  # constant maps: empty masks
    np.savez(tmp_path / "cams_val.npz", maps=np.ones((len(flat.detections), 7, 7)))
    table = table_of(opmask_study, {**runs, "baseline.voc": flat})
    rows = table[table["method"] == "baseline"]
    assert (rows["best"] == 0).all() and rows["best_at"].isna().all()
    line = cams.best_line(table, THRESHOLDS)
    assert "baseline, CAM (masks of voc) nowhere above 0" in line and "OPMask, prior" in line
    where = {"tested": "all", "metric": "AP"}
    gain, ours = (one(table, method=m, **where) for m in ("opmask - baseline", "opmask"))
    assert gain["best"] == ours["best"] > 0


def test_observations_are_claims_at_their_backbone(opmask_study: Made, table: pd.DataFrame) -> None:
    claims, runs = load_claims(), opmask_study.runs
    own = {c.id: c for c in claims.claims if c.id.startswith("B.table3.")}
    seen = {o.id: o for o in cams.observations(table, runs, claims=claims, reaching=runs)}
    assert set(seen) == {name for name, c in own.items() if c.kind == "direction"}
    gain = one(table, trained="voc", method="opmask - baseline", tested="nonvoc", metric="AP")
    observed = seen["B.table3.train_voc.test_nonvoc.opmask_above_mask_rcnn"]
    assert (observed.observed, observed.ci_low) == (gain["ours"], gain["ci_low"])
    large = {
        v: replace(run, config=run.config.model_copy(update={"backbone": "resnet50"}))
        for v, run in runs.items()
    }
    assert {o.id for o in cams.observations(table, large, claims=claims, reaching=large)} == set(
        own
    )


def test_claims_on_a_model_that_finds_too_little_are_not_judged(
    opmask_study: Made, table: pd.DataFrame
) -> None:
    runs = opmask_study.runs

    def seen(reaching: set[str]) -> set[str]:
        found = cams.observations(table, runs, claims=load_claims(), reaching=reaching)
        return {observation.id for observation in found}

    dropped = seen(set(runs)) - seen(set(runs) - {"faster_rcnn.all"})
    assert dropped == {"B.table3.train_all.test_all.opmask_above_faster_rcnn"}
    assert not any("train_voc" in name for name in seen(set(runs) - {"opmask.voc"}))


def test_iou_on_boxes_is_that_of_the_cut_maps(opmask_study: Made) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    frame = cam_iou.iou_frame(val, runs, THRESHOLDS)
    run = runs["baseline.voc"]
    cut = cam_results(
        [{**x, "bbox": d["bbox"]} for x, d in zip(run.masks_on_boxes, run.detections, strict=True)],
        read_cams(run.folder / "cams_on_boxes_val.npz").maps, val, threshold=0.5,
    )  # fmt: skip
    expected = iou_on_boxes(val, cut).set_index("annotation_id")["iou"]
    part = frame[
        (frame["trained"] == "voc") & (frame["method"] == "baseline") & (frame["threshold"] == 0.5)
    ].set_index("annotation_id")
    pd.testing.assert_series_equal(part["iou"], expected, check_index=True)
    assert (frame.loc[frame["method"] == cams.BOX, "iou"] == 1).all()  # objects fill their boxes
    unsupervised = val.categories.split("non_voc")
    assert set(part.loc[part["classes"] == "unsupervised", "label"]) == set(unsupervised)
    assert set(frame.loc[frame["trained"] == "all", "classes"]) == {"all"}
    means = cam_iou.iou_table(frame, **DRAWN)
    row = one(means, trained="voc", method="baseline", classes="supervised", threshold=0.5)
    kept = part.loc[part["classes"] == "supervised", "iou"]
    assert row["ours"] == pytest.approx(100 * kept.mean()) and row["instances"] == len(kept)


def test_models_without_maps_are_left_out(opmask_study: Made, tmp_path: Path) -> None:
    runs = opmask_study.runs
    few = {
        "opmask.voc": runs["opmask.voc"],
        "baseline.voc": replace(runs["baseline.voc"], folder=tmp_path),
    }
    assert cams.variants(few) == ["opmask.voc"]
    table = table_of(opmask_study, few)
    assert set(table["method"]) == {"opmask", cams.BOX}
    none = table_of(opmask_study, {})
    assert none.empty and cams.side_by_side(none).empty and cams.verdicts(none).empty
    assert cams.observations(none, {}, claims=load_claims(), reaching=()) == []
    frame = cam_iou.iou_frame(opmask_study.val, {}, THRESHOLDS)
    assert frame.empty and cam_iou.iou_table(frame, **DRAWN).empty


def test_a_set_without_true_masks_has_unknown_maps(opmask_study: Made) -> None:
    bare = opmask_study._replace(val=without_masks(opmask_study.val))
    table = table_of(bare, bare.runs)
    assert table["ours"].isna().all() and table["best"].isna().all()
    assert table["best_at"].isna().all()
    cams.side_by_side(table)
    assert cams.verdicts(table)["95 %"].isna().all()
    line = cams.best_line(table, THRESHOLDS)
    assert line.endswith(".") and " at 0" not in line


def test_lines_for_people_have_the_sweep_and_the_paper_below(table: pd.DataFrame) -> None:
    wide = cams.side_by_side(table)
    name = (reading.unbroken("non-voc"), reading.unbroken("OPMask, prior"))
    start = wide.index[(wide["masks_of"] == name[0]) & (wide["method"] == name[1])]
    assert len(start) == 1
    part = wide.loc[start[0] : start[0] + 2]
    assert part["whose"].tolist() == [
        reading.unbroken(text) for text in ("ours, cut at 0.5", "ours, cut at best", "paper")
    ]
    assert part["method"].tolist() == [name[1], "", ""]
    assert part["AP50 nonvoc"].iloc[2] == 31.2


def test_differences_for_people_stand_beside_their_intervals(table: pd.DataFrame) -> None:
    wide = cams.verdicts(table)
    assert len(wide) == 4 * 3  # two other models with all masks, one of each split; three tested
    row = one(table, trained="all", method="opmask - faster_rcnn", tested="all", metric="AP")
    shown = wide.iloc[0]
    assert shown["difference in AP"].startswith("OPMask")
    assert (shown["cut at 0.5"], shown["each at its best"]) == (row["ours"], row["best"])
    assert shown["95 %"].split() == [f"{row['ci_low']:.1f}", "to", f"{row['ci_high']:.1f}"]

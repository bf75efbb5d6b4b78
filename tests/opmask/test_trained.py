"""The runs of paper B: which are read, and what they say of themselves."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from lib.opmask import trained as reading
from lib.study import Study
from lib.workspace import Workspace
from tests.fixtures.opmask import VARIANTS, Made


def test_runs_know_method_classes_and_predictions(opmask_study: Made) -> None:
    val, runs = opmask_study.val, opmask_study.runs
    assert set(runs) == set(VARIANTS)
    run = runs["opmask.voc"]
    assert (run.method, run.split, run.setting) == ("opmask", "voc", "voc_to_nonvoc")
    assert run.supervised == val.categories.split("voc")
    assert reading.unsupervised(run, val.categories) == val.categories.split("non_voc")
    assert len(run.detections) == len(run.masks_on_boxes) == len(val.all_instances())
    detector = runs["faster_rcnn.all"]
    assert (detector.masks_on_boxes, detector.supervised, detector.setting) == (
        [],
        frozenset(),
        "none",
    )
    assert not detector.config.has_masks


def test_only_the_named_variants_are_read_and_none_is_a_sentence(
    opmask_study: Made, tmp_path: Path
) -> None:
    val, ws, _ = opmask_study
    assert set(reading.read_runs(ws, val.categories, ["opmask.voc", "list.opmask"])) == {
        "opmask.voc"
    }
    empty = Workspace("demo", "07_opmask_results", study=Study(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"--only 06_train_opmask$"):
        reading.read_runs(empty, val.categories)
    with pytest.raises(FileNotFoundError, match=r"--only 06_train_opmask\.list\.opmask"):
        reading.read_runs(ws, val.categories, ["list.opmask"])


def test_masks_are_judged_of_models_that_have_some(opmask_study: Made) -> None:
    some = {v: opmask_study.runs[v] for v in ("faster_rcnn.all", "class_specific.all")}
    assert set(reading.judge(opmask_study.val, some, "bbox")) == set(some)
    masks = reading.judge(opmask_study.val, some, "segm")
    assert set(masks) == {"class_specific.all"}
    assert masks["class_specific.all"].value("AP") == pytest.approx(1)


def test_pairs_need_both_methods(opmask_study: Made) -> None:
    runs = opmask_study.runs
    assert list(reading.pairs(runs)) == ["full", "voc_to_nonvoc", "nonvoc_to_voc"]
    assert list(reading.pairs(runs, prefix="r101.")) == ["voc_to_nonvoc"]
    few = {v: run for v, run in runs.items() if v != "baseline.all"}
    assert "full" not in reading.pairs(few)
    listed = {f"list.{m}": replace(runs[f"{m}.voc"], split="list") for m in reading.METHODS}
    assert reading.pairs(listed)["list"]["opmask"].setting == "list"


def test_mixed_backbones_are_a_sentence(opmask_study: Made) -> None:
    runs = opmask_study.runs
    assert reading.backbone({"opmask.voc": runs["opmask.voc"]}) == "small"
    with pytest.raises(ValueError, match="different backbones"):
        reading.backbone(runs)


def test_directions_and_methods_are_named_for_people() -> None:
    table = pd.DataFrame(
        {"direction": ["voc_to_nonvoc", "full"], "method": ["opmask - gt_boxes", "something"]}
    )
    named = reading.named(table)
    direction = "voc\u00a0→\u00a0non\u2011voc"  # which pages do not break into lines
    assert named["direction"].tolist() == [direction, "masks of all classes"]
    assert named["method"].tolist() == ["OPMask − baseline, true boxes", "something"]
    assert reading.named(pd.DataFrame({"x": [1]})).columns.tolist() == ["x"]


def test_a_direction_stands_once_in_lines_below_each_other() -> None:
    named = reading.named(pd.DataFrame({"direction": ["full", "full", "list", "list", "full"]}))
    assert [bool(title) for title in named["direction"]] == [True, False, True, False, True]
    assert named["direction"].iloc[4] == named["direction"].iloc[0]


def test_an_interval_is_read_from_end_to_end() -> None:
    row = {"ci_low": -1.26, "ci_high": -0.04, "low": float("nan"), "high": 2.0}
    assert reading.span(row) == "\u22121.3\u00a0to\u00a0\u22120.04"
    assert reading.span(row, "low", "high") is None

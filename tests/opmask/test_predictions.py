"""What paper B's models predicted: which are read, and what is said of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from lib.opmask import predictions
from lib.study import Study
from lib.workspace import Workspace
from tests.fixtures.opmask import VARIANTS, Made


def test_models_know_method_classes_and_predictions(opmask_study: Made) -> None:
    val, models = opmask_study.val, opmask_study.models
    assert set(models) == set(VARIANTS)
    model = models["opmask.voc"]
    assert (model.method, model.split, model.setting) == ("opmask", "voc", "voc_to_nonvoc")
    assert model.supervised == val.categories.split("voc")
    assert predictions.unsupervised(model, val.categories) == val.categories.split("non_voc")
    run = model.first
    assert len(run.detections) == len(run.masks_on_boxes) == len(val.all_instances())
    detector = models["faster_rcnn.all"]
    assert not detector.first.masks_on_boxes and not detector.supervised
    assert detector.setting == "none" and not detector.config.has_masks


def test_only_the_named_variants_are_read_and_none_is_a_sentence(
    opmask_study: Made, tmp_path: Path
) -> None:
    val, ws, _ = opmask_study
    assert set(predictions.read(ws, val.categories, ["opmask.voc", "list.opmask"])) == {
        "opmask.voc"
    }
    empty = Workspace("demo", "07_opmask_results", study=Study(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"--only 06_train_opmask$"):
        predictions.read(empty, val.categories)
    with pytest.raises(FileNotFoundError, match=r"--only 06_train_opmask\.list\.opmask"):
        predictions.read(ws, val.categories, ["list.opmask"])


def test_masks_are_judged_of_models_that_have_some(opmask_study: Made) -> None:
    some = {v: opmask_study.models[v] for v in ("faster_rcnn.all", "class_specific.all")}
    assert set(predictions.judge(opmask_study.val, some, "bbox")) == set(some)
    masks = predictions.judge(opmask_study.val, some, "segm")
    assert set(masks) == {"class_specific.all"}
    assert masks["class_specific.all"][0].value("AP") == pytest.approx(1)


def test_pairs_need_both_methods(opmask_study: Made) -> None:
    models = opmask_study.models
    assert list(predictions.pairs(models)) == ["full", "voc_to_nonvoc", "nonvoc_to_voc"]
    few = {v: model for v, model in models.items() if v != "baseline.all"}
    assert "full" not in predictions.pairs(few)
    listed = {f"list.{m}": replace(models[f"{m}.voc"], split="list") for m in predictions.METHODS}
    assert predictions.pairs(listed)["list"]["opmask"].setting == "list"


def test_classes_are_counted_by_setting(opmask_study: Made) -> None:
    val = opmask_study.val
    counts = predictions.classes_table(val, opmask_study.models)
    assert counts["direction"].tolist()[::2] == ["full", "voc_to_nonvoc", "nonvoc_to_voc"]
    assert counts["classes"].tolist() == list(predictions.CLASSES) * 3
    assert counts["number"].tolist() == counts["present"].tolist() == [0, 4, 2, 2, 2, 2]
    assert counts["instances"].sum() == 3 * len(val.all_instances())


def test_mixed_backbones_are_a_sentence(opmask_study: Made) -> None:
    models = opmask_study.models
    assert predictions.backbone({"opmask.voc": models["opmask.voc"]}) == "lite0"
    with pytest.raises(ValueError, match="different backbones"):
        predictions.backbone(models)

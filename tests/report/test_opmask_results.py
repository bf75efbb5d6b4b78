"""Tables and figures of partially supervised training, on a small made set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lib.analysis.claims import judged, load_claims
from lib.data.coco import CocoSet, from_coco, load
from lib.evaluation.coco_ap import evaluate
from lib.files import write_json
from lib.masks.rle import encode
from lib.report import opmask_figures as figures
from lib.report import opmask_tables as tables
from lib.report.mask_gallery import overlay
from lib.report.style import COLOURS
from lib.runner.study import Study
from lib.runner.workspace import Workspace

NAMES = {1: "person", 18: "dog", 22: "elephant", 47: "cup"}  # two of VOC, two others
HEIGHT, WIDTH = 60, 80


@pytest.fixture(autouse=True)
def no_windows() -> None:
    mpl.use("agg")


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> CocoSet:
    folder = tmp_path_factory.mktemp("val")
    rng = np.random.default_rng(0)
    annotations, images = [], []
    for image in range(1, 9):
        picture = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{image}.png")
        images.append({"id": image, "file_name": f"{image}.png", "height": HEIGHT, "width": WIDTH})
        for category in [*NAMES, int(rng.choice([*NAMES]))]:
            x, y = (int(v) for v in rng.integers(0, [50, 30]))
            mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
            mask[y : y + 24, x : x + 24] = True
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image, "category_id": category,
                    "bbox": [x, y, 24, 24], "area": 576, "iscrowd": 0, "segmentation": encode(mask),
                }
            )  # fmt: skip
    categories = [{"id": i, "name": name} for i, name in NAMES.items()]
    write_json(
        folder / "labels.json",
        {"images": images, "annotations": annotations, "categories": categories},
    )
    return load(folder / "labels.json", folder)


def predictions(val: CocoSet, method: str, split: str) -> tuple[list[Any], list[Any]]:
    """Masks are right where supervised; else 6 columns are missing, with the baseline 16."""
    supervised = val.categories.split(split)
    found, on_boxes = [], []
    for number, instance in enumerate(val.all_instances()):
        x, y, _, _ = (int(v) for v in instance.box)
        missing = 0 if instance.label in supervised else {"opmask": 6, "baseline": 16}[method]
        mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
        mask[y : y + 24, x : x + 24 - missing] = True
        common = {
            "image_id": instance.image_id,
            "category_id": instance.category_id,
            "segmentation": encode(mask),
        }
        on_boxes.append({**common, "annotation_id": instance.id})
        score = round(0.99 - 0.01 * (number % 30), 4)
        found.append({**common, "bbox": [x, y, 24, 24], "score": score})
    return found, on_boxes


@pytest.fixture(scope="module")
def workspace(val: CocoSet, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    study = Study(tmp_path_factory.mktemp("study"))
    for split in tables.SPLITS:
        for method in tables.METHODS:
            folder = study.step_folder("demo", f"06_train_opmask.{method}.{split}")
            found, on_boxes = predictions(val, method, split)
            write_json(folder / "detections_val.json", found)
            write_json(folder / "masks_on_boxes_val.json", on_boxes)
            write_json(folder / "model.json", {"backbone": "small"})
    return Workspace("demo", "07_opmask_results", study=study)


@pytest.fixture(scope="module")
def runs(workspace: Workspace) -> tables.Runs:
    return tables.read_runs(workspace)


@pytest.fixture(scope="module")
def results(val: CocoSet, runs: tables.Runs) -> tables.Results:
    return tables.judge(val, runs, iou_type="segm")


@pytest.fixture(scope="module")
def table(results: tables.Results) -> pd.DataFrame:
    return tables.split_table(results, claims=load_claims(), resamples=40, seed=0)


def one(table: pd.DataFrame, **where: str) -> pd.Series:
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_values_are_those_of_judging_each_group_of_classes_alone(
    val: CocoSet, runs: tables.Runs, table: pd.DataFrame
) -> None:
    for split, direction in tables.DIRECTIONS.items():
        voc = val.categories.split("voc")
        others = val.categories.labels - voc
        given, rest = (voc, others) if split == "voc" else (others, voc)
        for classes, labels in (("supervised", given), ("unsupervised", rest)):
            for method in tables.METHODS:
                found = runs[split, method].detections
                alone = evaluate(val, found, iou_type="segm", labels=labels).summary
                row = one(table, direction=direction, classes=classes, method=method, metric="AP75")
                assert row["ours"] == pytest.approx(100 * alone["AP75"])


def test_differences_are_paired_and_the_paper_stands_beside_them(table: pd.DataFrame) -> None:
    where = {"direction": "voc_to_nonvoc", "classes": "unsupervised", "metric": "AP"}
    ours, base, gain = (
        one(table, method=method, **where)
        for method in (*reversed(tables.METHODS), tables.DIFFERENCE)
    )
    assert gain["ours"] == pytest.approx(ours["ours"] - base["ours"])
    assert 0 < gain["ci_low"] <= gain["ours"] <= gain["ci_high"]
    assert (ours["paper"], base["paper"], gain["paper"]) == (31.9, 18.9, 13.0)
    given = one(table, **{**where, "classes": "supervised"}, method=tables.DIFFERENCE)
    assert (given["ours"], given["ci_low"], given["ci_high"]) == (0.0, 0.0, 0.0)
    assert np.isnan(given["paper"])
    assert np.isnan(table.loc[table["metric"] == "AP_L", "ours"]).all()  # none is that large
    wide = tables.beside_paper(table)
    assert tables.named(wide)["direction"].tolist()[:1] == ["voc → non-voc"]
    assert wide["whose"].tolist() == ["ours", "paper"] * 6
    assert wide["AP"].iloc[3] == 31.9


def test_observations_are_claims_of_this_step(table: pd.DataFrame) -> None:
    own = {c.id: c for c in load_claims().claims if c.step == "07_opmask_results"}
    small = tables.observations(table, backbone="small")
    assert len(small) == 12
    assert all(own[o.id].kind == "direction" for o in small)
    large = tables.observations(table, backbone="resnet50")
    assert {o.id for o in large} == {name for name in own if name.startswith("B.table2.")}


def test_box_ap_ignores_masks_and_the_floor_is_said(val: CocoSet, runs: tables.Runs) -> None:
    boxes = tables.box_table(tables.judge(val, runs, iou_type="bbox"))
    assert boxes["box_AP50"].tolist() == pytest.approx([100.0] * 4)
    assert "yes, the lowest is 100.0" in tables.floor_line(boxes, 0.4)
    assert tables.reaches(boxes, 0.4)
    boxes.loc[2, "box_AP50"] = 39.9
    assert not tables.reaches(boxes, 0.4)
    assert not tables.reaches(boxes.assign(box_AP50=np.nan), 0.4)
    line = tables.floor_line(boxes, 0.4)
    assert "NO, the lowest is 39.9 (baseline, non-voc → voc)" in line


def test_mask_iou_is_the_share_of_columns_that_is_left(val: CocoSet, runs: tables.Runs) -> None:
    frame = tables.masks_on_boxes_frame(val, runs)
    means = tables.mask_iou_table(frame, resamples=20, seed=0)
    where = {"direction": "nonvoc_to_voc", "classes": "unsupervised"}
    assert one(means, method="opmask", **where)["ours"] == pytest.approx(75.0)
    gain = one(means, method=tables.DIFFERENCE, **where)
    assert gain["ours"] == pytest.approx(100 * 10 / 24)
    assert gain["instances"] == sum(
        x.label in val.categories.split("voc") for x in val.all_instances()
    )
    supervised = means[means["classes"] == "supervised"]
    assert supervised["ours"].tolist() == pytest.approx([100, 100, 0] * 2)


def test_classes_are_counted_by_direction(val: CocoSet, runs: tables.Runs) -> None:
    counts = tables.classes_table(val, runs)
    assert counts["classes"].tolist() == [2, 2, 2, 2]
    assert counts["instances"].tolist() == counts["instances"].tolist()[::-1]
    assert counts["instances"].sum() == 2 * len(val.all_instances())
    assert counts["group"].tolist() == ["unsupervised", "supervised"] * 2


def test_missing_runs_and_mixed_backbones_are_sentences(runs: tables.Runs, tmp_path: Path) -> None:
    workspace = Workspace("demo", "07_opmask_results", study=Study(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"--only 06_train_opmask\.baseline\.voc"):
        tables.read_runs(workspace)
    assert tables.backbone(runs) == "small"
    key = ("voc", "opmask")
    other = tables.Run("opmask", "voc", "resnet50", [], [])
    with pytest.raises(ValueError, match="different backbones"):
        tables.backbone({**runs, key: other})


def test_figures_draw_every_number(
    val: CocoSet, runs: tables.Runs, results: tables.Results, table: pd.DataFrame
) -> None:
    drawn = figures.ap_by_split(table)
    panel = drawn.axes[0]  # voc -> non-voc, unsupervised: baseline, then OPMask
    where = {"direction": "voc_to_nonvoc", "classes": "unsupervised", "metric": "AP"}
    for points, method in zip(panel.collections[1::2], tables.METHODS, strict=True):
        height = np.asarray(points.get_offsets())[0, 1]
        assert height == pytest.approx(one(table, method=method, **where)["ours"])
    assert len(figures.gains(table).axes) == 2
    classes = tables.per_class_table(results)
    labels = {text.get_text() for text in figures.per_class(classes).axes[0].get_yticklabels()}
    assert labels == set(NAMES.values())
    curves = figures.mask_iou(tables.masks_on_boxes_frame(val, runs)).axes[0].lines
    assert len(curves) == 4
    for curve in curves:  # every box has an IoU of 0 or more, none of more than 1
        places, shares = curve.get_data()
        assert (places[0], shares[0], places[-1], shares[-1]) == (0, 1, 1, 0)
        assert (np.diff(places) >= 0).all() and (np.diff(shares) <= 0).all()
    values = tables.masks_on_boxes_frame(val, runs).query(
        "direction == 'voc_to_nonvoc' and classes == 'unsupervised' and method == 'baseline'"
    )["iou"]
    places, shares = curves[0].get_data()
    for at in (0.2, 1 / 3, 0.5):  # drawn as steps to the left of each point
        shown = shares[np.searchsorted(places, at - 1e-9)]
        assert shown == pytest.approx((values >= at - 1e-9).mean())


def test_sets_without_classes_of_one_kind_still_give_tables_and_figures(
    val: CocoSet, runs: tables.Runs
) -> None:
    content = val.to_coco()
    content["categories"] = content["categories"][:2]  # VOC's alone
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] <= 18]
    some = {
        key: evaluate(
            content, [d for d in run.detections if d["category_id"] <= 18], iou_type="segm"
        )
        for key, run in runs.items()
    }
    table = tables.split_table(some, claims=load_claims(), resamples=5, seed=0)
    empty = table[(table["direction"] == "voc_to_nonvoc") & (table["classes"] == "unsupervised")]
    assert np.isnan(empty[["ours", "ci_low", "ci_high"]]).all(axis=None)
    figures.ap_by_split(table)
    figures.gains(table)
    figures.per_class(tables.per_class_table(some))


def test_pictures_colour_classes_by_supervision_and_ignore_results(
    val: CocoSet, runs: tables.Runs
) -> None:
    scenes = figures.scenes_to_show(val, "voc", count=3)
    assert len(scenes) == 3 and scenes == figures.scenes_to_show(val, "voc", count=3)
    assert figures.scenes_to_show(val, "all", count=3) == []
    assert figures.pictures(val, runs, "voc", [], score_from=0.0) is None
    drawn = figures.pictures(val, runs, "voc", scenes, score_from=0.0)
    panels = [axes for axes in drawn.axes if axes.images]
    assert len(panels) == 9
    truths = np.stack([np.asarray(axes.images[0].get_array()) for axes in panels[::3]])
    for name in ("supervised", "unsupervised"):
        grey = np.full((1, 1, 3), 128, dtype=np.uint8)
        tinted = overlay(grey, np.ones((1, 1), dtype=bool), COLOURS[name])
        assert (truths == tinted).all(axis=-1).any()
    nothing = figures.pictures(val, runs, "voc", scenes, score_from=1.1)
    panel = [axes for axes in nothing.axes if axes.images][1]
    assert (np.asarray(panel.images[0].get_array()) == 128).all()


def without_masks(val: CocoSet) -> CocoSet:
    content = val.to_coco()
    content["annotations"] = [a | {"segmentation": []} for a in content["annotations"]]
    return from_coco(content, val.annotations_path, val.image_root)


def ap_table(bare: CocoSet, runs: tables.Runs) -> pd.DataFrame:
    results = tables.judge(bare, runs, iou_type="segm")
    return tables.split_table(results, claims=load_claims(), resamples=5, seed=0)


STEPS_07: dict[str, Callable[[CocoSet, tables.Runs], Any]] = {
    "beside_paper": lambda bare, runs: tables.beside_paper(ap_table(bare, runs)),
    "ap_by_split": lambda bare, runs: figures.ap_by_split(ap_table(bare, runs)),
    "gains": lambda bare, runs: figures.gains(ap_table(bare, runs)),
    "per_class": lambda bare, runs: figures.per_class(
        tables.per_class_table(tables.judge(bare, runs, iou_type="segm"))
    ),
    "mask_iou_table": lambda bare, runs: tables.mask_iou_table(
        tables.masks_on_boxes_frame(bare, runs), resamples=5, seed=0
    ),
    "mask_iou": lambda bare, runs: figures.mask_iou(tables.masks_on_boxes_frame(bare, runs)),
    "pictures": lambda bare, runs: figures.pictures(bare, runs, "voc", [1], score_from=0.5),
    "observations": lambda bare, runs: tables.observations(ap_table(bare, runs), backbone="small"),
}


@pytest.mark.parametrize("name", STEPS_07)
def test_a_set_without_true_masks_has_unknown_mask_quality_and_no_error(
    name: str, val: CocoSet, runs: tables.Runs
) -> None:
    made = STEPS_07[name](without_masks(val), runs)
    if isinstance(made, Figure):
        made.canvas.draw()
    elif isinstance(made, pd.DataFrame):
        ours = [c for c in ("ours", "ci_low", "ci_high") if c in made]
        assert made[ours].isna().all(axis=None)
        tables.named(made)
    else:
        verdicts = judged(load_claims(), made, profile="demo")["verdict"]
        assert set(verdicts) == {"not run at this scale"}

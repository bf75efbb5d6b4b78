"""A small made set with the runs of paper B's study, as the steps write them."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lib.data.coco import CocoSet, from_coco, load
from lib.files import write_json
from lib.masks.rle import encode
from lib.report.opmask_runs import Runs, read_runs
from lib.runner.workspace import Workspace
from lib.study import Study

NAMES = {1: "person", 18: "dog", 22: "elephant", 47: "cup"}  # two of VOC, two others
HEIGHT, WIDTH, SIDE, IMAGES = 60, 140, 24, 8
SHIFT = 4  # of an image's last object from its first: their boxes have an IoU of 0.71
COARSE = {"method": "mask_rcnn", "box_head": "fc"}

MISSING = {"opmask": 6, "baseline": 10, "gt_boxes": 8, "mask_rcnn": 9, "class_specific": 0}
"""Columns of 24 that a method's masks of unsupervised classes lack; of few enough for an AP."""

VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{f"{m}.{s}": (m, s, {}) for m in ("baseline", "opmask") for s in ("voc", "non_voc", "all")},
    "gt_boxes.voc": ("gt_boxes", "voc", {"mask_rois": "gt_boxes"}),
    "mask_rcnn.voc": ("mask_rcnn", "voc", COARSE),
    "class_specific.all": ("class_specific", "all", COARSE | {"mask_per_class": True}),
    "faster_rcnn.all": ("faster_rcnn", "none", {"method": "faster_rcnn"}),
    "r101.baseline.voc": ("baseline", "voc", {"backbone": "resnet101"}),
    "r101.opmask.voc": ("opmask", "voc", {"backbone": "resnet101"}),
    "ablation.opmask": ("opmask", "non_voc", {}),
    "ablation.baseline": ("baseline", "non_voc", {}),
    "ablation.concat": ("opmask", "non_voc", {"prior_fusion": "concat"}),
    "ablation.vanilla": ("opmask", "non_voc", {"prior_gradient": False}),
}
"""Variant -> method, supervised split, settings other than the usual ones."""


class Made(NamedTuple):
    """The set, the workspace of the step that reads, and its runs."""

    val: CocoSet
    workspace: Workspace
    runs: Runs


def square(x: int, y: int, missing: int = 0) -> dict[str, Any]:
    """Return the run lengths of an object that lacks columns on its right side."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + SIDE, x : x + SIDE - missing] = True
    return encode(mask)


def make_set(folder: Path) -> CocoSet:
    """Write and open images with an object of each class, and one more that overlaps the first."""
    annotations: list[dict[str, Any]] = []
    for image in range(1, IMAGES + 1):
        last = [*NAMES][image % len(NAMES)]
        for place, category in enumerate([*NAMES, last]):
            x, y = 4 + image + (30 * place if place < len(NAMES) else SHIFT), 10 + image
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image, "category_id": category,
                    "bbox": [x, y, SIDE, SIDE], "area": SIDE**2, "iscrowd": 0,
                    "segmentation": square(x, y),
                }
            )  # fmt: skip
    images = [
        {"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH}
        for i in range(1, IMAGES + 1)
    ]
    categories = [{"id": i, "name": name} for i, name in NAMES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(folder / "labels.json", content)
    return load(folder / "labels.json", folder, check_images="none")


def without_masks(val: CocoSet) -> CocoSet:
    """Return the set as one of which nobody knows the true masks."""
    content = val.to_coco()
    content["annotations"] = [a | {"segmentation": []} for a in content["annotations"]]
    return from_coco(content, val.annotations_path, val.image_root, check_images="none")


def of_voc_alone(val: CocoSet) -> CocoSet:
    """Return the set without instances of the other classes; the classes stay."""
    content = val.to_coco()
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] <= 18]
    return from_coco(content, val.annotations_path, val.image_root, check_images="none")


def predictions(
    val: CocoSet, method: str, split: str, more: int = 0
) -> tuple[list[Any], list[Any]]:
    """Return detections and masks on boxes; right where supervised, or columns are missing.

    Args:
        val: the set.
        method: of :data:`MISSING`.
        split: the supervised classes.
        more: further columns that masks of unsupervised classes lack.
    """
    supervised = val.categories.split(split)
    found, on_boxes = [], []
    for number, instance in enumerate(val.all_instances()):
        x, y, _, _ = (int(v) for v in instance.box)
        missing = 0 if instance.label in supervised else MISSING[method] + more
        common = {
            "image_id": instance.image_id,
            "category_id": instance.category_id,
            "segmentation": square(x, y, missing),
        }
        on_boxes.append({**common, "annotation_id": instance.id})
        score = round(0.99 - 0.01 * (number % 30), 4)
        found.append({**common, "bbox": [x, y, SIDE, SIDE], "score": score})
    return found, on_boxes


def cam(method: str) -> np.ndarray:
    """Return a class activation map [7, 7]: nearly all of the box, or its left 4 of 7 columns."""
    values = np.full((7, 7), 3.0, dtype=np.float16)
    if method == "opmask":
        values[6, 6] = 1
    else:
        values[:, 4:] = -1
    return values


def make(folder: Path) -> Made:
    """Write the set and what the steps of the study write, and read them."""
    val = make_set(folder)
    study = Study(folder)
    for variant in VARIANTS:
        write_run(val, study.step_folder("demo", f"06_train_opmask.{variant}"), variant)
    workspace = Workspace("demo", "07_opmask_results", study=study)
    return Made(val, workspace, read_runs(workspace, val.categories))


def write_run(val: CocoSet, step: Path, variant: str) -> None:
    """Write what one training step leaves."""
    method, split, changes = VARIANTS[variant]
    known = "class_specific" if method == "faster_rcnn" else method
    more = {"ablation.vanilla": 1, "ablation.concat": 0}.get(variant, 0)
    found, on_boxes = predictions(val, known, split, more)
    detector = method == "faster_rcnn"
    if detector:
        found = [{k: v for k, v in d.items() if k != "segmentation"} for d in found]
    model = {"method": "opmask" if method == "opmask" else "mask_rcnn", "backbone": "small"}
    names = sorted(val.categories.name_of(k) for k in val.categories.split(split))
    card = {
        "variant": variant, "method": method, "split": split, "supervised": names,
        "model": model | changes,
    }  # fmt: skip
    write_json(step / "run.json", card)
    write_json(step / "detections_val.json", found)
    write_json(step / "stamp.json", {})
    write_json(step / "outputs.json", {})
    if not detector:
        write_json(step / "masks_on_boxes_val.json", on_boxes)
    if method == "opmask" and variant == f"opmask.{split}" and split != "all":
        refined, _ = predictions(val, known, split, -2)
        write_json(step / "detections_val_refined.json", refined)
    if changes.get("box_head") != "fc":
        maps = np.stack([cam(method)] * len(found))
        ids = np.array([x.id for x in val.all_instances()])
        np.savez(step / "cams_val.npz", maps=maps)
        np.savez(step / "cams_on_boxes_val.npz", maps=maps, annotation_id=ids)


def one(table: Any, **where: Any) -> Any:
    """Return the one row of a table with these values."""
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, (where, len(table))
    return table.iloc[0]

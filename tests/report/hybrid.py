"""A small made set with the runs of paper A's study, as the steps write them."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.data.coco import CocoSet, from_coco, load
from lib.files import write_json
from lib.masks.rle import encode
from lib.runner.workspace import Workspace
from lib.study import Study

NAMES = {1: "person", 18: "dog"}
HEIGHT, WIDTH = 120, 160
SMALL, LARGE = 24, 80
"""Sides of the objects: one small and one large in every image."""


def square(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    """Return the run lengths of a rectangle of pixels."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + height, x : x + width] = True
    return encode(mask)


def make_set(folder: Path, *, sides: tuple[int, ...] = (SMALL, LARGE)) -> CocoSet:
    """Write and open six images, each with one square object per side."""
    annotations: list[dict[str, Any]] = []
    images = []
    for image in range(1, 7):
        picture = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{image}.png")
        images.append({"id": image, "file_name": f"{image}.png", "height": HEIGHT, "width": WIDTH})
        for place, side in enumerate(sides):
            x, y = (5 + 3 * image, 5) if side == SMALL else (60, 20 + image)
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image, "iscrowd": 0,
                    "category_id": [1, 18][(image + place) % 2], "area": side**2,
                    "bbox": [x, y, side, side], "segmentation": square(x, y, side, side),
                }
            )  # fmt: skip
    categories = [{"id": i, "name": name} for i, name in NAMES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(folder / "labels.json", content)
    return load(folder / "labels.json", folder)


def without_masks(val: CocoSet) -> CocoSet:
    """Return the set as one of which nobody knows the true masks."""
    content = val.to_coco()
    content["annotations"] = [a | {"segmentation": []} for a in content["annotations"]]
    return from_coco(content, val.annotations_path, val.image_root)


def predictions(
    val: CocoSet, *, missing: dict[int, int], only: int | None = None
) -> tuple[list[Any], list[Any]]:
    """Return detections and masks on boxes whose masks lack columns on their right side.

    Args:
        val: the set.
        missing: side of the object -> columns that its mask lacks.
        only: side of the objects that are found; all by default.
    """
    found, on_boxes = [], []
    for instance in val.all_instances():
        x, y, x2, y2 = (int(v) for v in instance.box)
        side = x2 - x
        mask = square(x, y, side - missing.get(side, 0), y2 - y)
        common = {
            "image_id": instance.image_id,
            "category_id": instance.category_id,
            "segmentation": mask,
        }
        on_boxes.append({**common, "annotation_id": instance.id})
        if only in (None, side):
            score = round(0.9 - 0.01 * instance.id, 4)
            found.append({**common, "bbox": [x, y, side, side], "score": score})
    return found, on_boxes


def segmented(found: list[Any]) -> list[Any]:
    """Return detections with what GrabCut found: nothing in every third, else all of it."""
    rows = []
    for number, detection in enumerate(found):
        plain = {k: v for k, v in detection.items() if k != "segmentation"}
        poor = number % 3 == 0
        grabcut = [] if poor else detection["segmentation"]
        rows.append({**plain, "grabcut": grabcut, "box_iou": 0.0 if poor else 1.0})
    return rows


MISSING: dict[str, dict[int, int]] = {
    "baseline": {SMALL: 12, LARGE: 30},
    "large": {SMALL: 12, LARGE: 10},
    "small": {},
    "pixel": {},
    "ablation.direct": {SMALL: 12, LARGE: 10},
    "ablation.plain": {SMALL: 12, LARGE: 20},
    "ablation.control": {SMALL: 12, LARGE: 20},
    "ablation.all": {SMALL: 12, LARGE: 30},
    "ablation.small": {},
    "ablation.small_invalid": {},
}
"""Columns that the masks of each variant lack, by side of the object."""


def make_workspace(val: CocoSet, folder: Path, *, empty: bool = False) -> Workspace:
    """Write what the steps of the study write, and return the workspace that reads it.

    The large branch finds no small object, the detector of invalid masks alone no large one.
    """
    study = Study(folder)
    only = {"large": LARGE, "ablation.small_invalid": SMALL}
    for variant, missing in MISSING.items():
        step = study.step_folder("demo", f"04_train_hybrid.{variant}")
        found, on_boxes = predictions(val, missing=missing, only=only.get(variant))
        found = [] if empty else found
        boxes = "small" in variant
        model = {
            "method": "faster_rcnn" if boxes else "mask_rcnn", "backbone": "small",
            "fpn": variant.removeprefix("ablation.")
            if variant in ("ablation.direct", "ablation.control") else "plain",
            "fpn_channels": 8, "box_channels": [8], "mask_channels": 8, "mask_layers": 1,
        }  # fmt: skip
        write_json(step / "model.json", model)
        write_json(step / "outputs.json", {})
        write_json(step / "stamp.json", {})
        if variant == "small":
            content = {"detections": segmented(found), "info": {}}
            write_json(step / "segmented_val.json", content)
        elif not boxes:
            write_json(step / "masks_on_boxes_val.json", on_boxes)
        if boxes:
            found = [{k: v for k, v in d.items() if k != "segmentation"} for d in found]
        write_json(step / "detections_val.json", found)
    return Workspace("demo", "05_hybrid_results", study=study)

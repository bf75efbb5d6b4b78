"""A small made set, and models of both methods of paper B on it: what masks lack is known."""

from pathlib import Path
from typing import Any

import numpy as np

from lib.data.coco import CocoSet, from_coco
from lib.masks.rle import encode
from lib.models.config import ModelConfig
from lib.opmask.predictions import Models, Predictions, Results, Run, judge
from tests.fixtures.models import LITE0

NAMES = {1: "person", 17: "cat", 18: "dog", 22: "elephant", 47: "cup", 53: "apple"}
"""Three classes of VOC and three others, one of them (apple) of the list of 40."""

HEIGHT, WIDTH, SIDE, IMAGES = 60, 100, 24, 8
_MISSING = {"baseline": (1, 15, 3, 5, 9, 7), "opmask": (1, 7, 2, 3, 5, 4)}
# Columns that the mask of an object lacks if its class has none in training, by class.


def make_set() -> CocoSet:
    """Return eight images with one object of each class; the later a class, the more alone."""
    annotations: list[dict[str, Any]] = []
    for image in range(1, IMAGES + 1):
        for place, category in enumerate(NAMES):
            x, y = place * 7 + place * (place - 1) + image % 3, image
            mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
            mask[y : y + SIDE, x : x + SIDE] = True
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image, "category_id": category,
                    "bbox": [x, y, SIDE, SIDE], "area": SIDE**2, "iscrowd": 0,
                    "segmentation": encode(mask),
                }
            )  # fmt: skip
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH}
            for i in range(1, IMAGES + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
    }
    return from_coco(content, Path("labels.json"), None)


def make_model(
    coco_set: CocoSet, method: str, split: str, *, backbone: str = "lite0"
) -> Predictions:
    """Return a model whose masks lack columns where their class had none, with OPMask fewer."""
    supervised = coco_set.categories.split(split)
    found = []
    for number, instance in enumerate(coco_set.all_instances()):
        x, y, _, _ = (int(v) for v in instance.box)
        missing = 0 if instance.label in supervised else _MISSING[method][instance.label - 1]
        mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
        mask[y : y + SIDE, x : x + SIDE - missing - (method == "baseline" and number % 4 == 0)] = 1
        found.append(
            {
                "image_id": instance.image_id, "category_id": instance.category_id,
                "bbox": [x, y, SIDE, SIDE], "score": 0.99 - 0.001 * number,
                "segmentation": encode(mask),
            }
        )  # fmt: skip
    named = "opmask" if method == "opmask" else "mask_rcnn"
    config = ModelConfig.model_validate({"method": named, **LITE0})
    return Predictions(
        variant=f"{method}.{split}",
        method=method,
        split=split,
        supervised=supervised,
        config=config.model_copy(update={"backbone": backbone}),
        iterations=9,
        runs={0: Run(detections=found, masks_on_boxes=[], folder=Path())},
    )


def make_models(coco_set: CocoSet, *splits: str, backbone: str = "lite0") -> Models:
    """Return both methods' models with the masks of some splits."""
    made = [
        make_model(coco_set, method, split, backbone=backbone)
        for split in splits
        for method in ("baseline", "opmask")
    ]
    return {model.variant: model for model in made}


def judged(coco_set: CocoSet, models: Models) -> Results:
    """Return mask AP of every model."""
    return judge(coco_set, models, "segm")

"""The box itself as a mask: what every trained mask must be better than to show an object."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lib.masks.rle import encode
from lib.masks.shapes import rectangle_mask
from lib.metrics.coco_ap import APResult, evaluate
from lib.opmask.predictions import FILLED, Models, Results, pairs, variant_of

if TYPE_CHECKING:
    from lib.data.coco import CocoSet


def filled_on_boxes(coco_set: "CocoSet") -> list[dict[str, Any]]:
    """Return the true boxes as masks, given as models' masks on them are."""
    sizes = _sizes(coco_set)
    return [
        {"annotation_id": x.id, "segmentation": encode(rectangle_mask(x.box, *sizes[x.image_id]))}
        for x in coco_set.all_instances()
    ]


def filled(coco_set: "CocoSet", detections: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return COCO results with their whole box as the mask."""
    sizes, found = _sizes(coco_set), []
    for detection in detections:
        x, y, width, height = detection["bbox"]
        mask = rectangle_mask((x, y, x + width, y + height), *sizes[detection["image_id"]])
        found.append({**detection, "segmentation": encode(mask)})
    return found


def judge_filled(coco_set: "CocoSet", models: Models) -> Results:
    """Return the mask AP of OPMask's detections with filled boxes, for Table 2.

    By ``filled_box.`` and the split, and by seed; for the settings that both methods have.
    """
    labels = coco_set.to_coco()
    results: dict[str, dict[int, APResult]] = {}
    for of in pairs(models).values():
        model = of["opmask"]
        results[variant_of(FILLED, model.split)] = {
            seed: evaluate(labels, filled(coco_set, run.detections), iou_type="segm")
            for seed, run in model.runs.items()
        }
    return results


def _sizes(coco_set: "CocoSet") -> dict[int, tuple[int, int]]:
    return {image.id: (image.height, image.width) for image in coco_set.images}

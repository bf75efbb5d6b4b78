"""What pycocotools is given: ground truth and detections, checked and in the form it handles well.

pycocotools trusts its input. A mask of the wrong size is silently a miss, a detection that carries
a box gets the box's area even when masks are judged, annotation id 0 counts as "no match", an
empty list of results crashes. Here each of these is either put right or met by one sentence.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pycocotools import mask as mask_api

from lib.data.numbers import as_array
from lib.data.segmentation import compressed

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

IouType = Literal["bbox", "segm"]

_SHOWN = 5  # examples named per kind of problem: enough to find the cause


class BadDetections(ValueError):
    """Detections that cannot be judged against this ground truth; the message lists why."""


def as_dict(source: "CocoSet | Mapping[str, Any]") -> Mapping[str, Any]:
    """Return labels as a COCO dictionary, whether they come as one or as an opened set.

    Raises:
        ValueError: if ``source`` lacks one of COCO's lists.
    """
    labels: Mapping[str, Any] = source if isinstance(source, Mapping) else source.to_coco()
    missing = [key for key in ("images", "annotations", "categories") if key not in labels]
    if missing:
        raise ValueError(
            f"Ground truth needs COCO's lists 'images', 'annotations' and 'categories'; "
            f"missing: {', '.join(missing)}."
        )
    return labels


def ground_truth(
    labels: Mapping[str, Any], *, iou_type: IouType, ignore: Iterable[int] = ()
) -> dict[str, Any]:
    """Return a COCO dictionary for pycocotools; ``labels`` itself is not touched.

    Annotations are renumbered from 1. Where masks are judged, an instance without one, or with one
    that has no pixel, becomes a crowd region of its box: what is found mostly inside it is neither
    right nor wrong, since nobody can say which. Areas are the ``area`` field, as COCO does for
    masks and boxes alike; only where it is absent it is computed, from what is judged.

    Args:
        labels: A COCO dictionary; boxes are xywh in pixels.
        iou_type: What will be judged.
        ignore: Ids of annotations to mark ``left_out``.

    Raises:
        ValueError: if ``ignore`` names an annotation that does not exist.
    """
    sizes = {image["id"]: (image["height"], image["width"]) for image in labels["images"]}
    left_out = set(ignore)
    unknown = left_out - {annotation["id"] for annotation in labels["annotations"]}
    if unknown:
        raise ValueError(
            f"{len(unknown)} annotation ids to ignore are not in the ground truth "
            f"({examples(unknown)}). They seem to come from another set."
        )
    annotations = []
    for number, source in enumerate(labels["annotations"], start=1):
        annotation = {
            "id": number,
            "image_id": source["image_id"],
            "category_id": source["category_id"],
            "bbox": list(source["bbox"]),
            "iscrowd": int(source.get("iscrowd", 0)),
            "left_out": source["id"] in left_out,
        }
        area = source.get("area")
        if iou_type == "segm":
            height, width = sizes[source["image_id"]]
            segmentation = source.get("segmentation")
            rle = compressed(segmentation, height, width) if segmentation else None
            if rle is None or not mask_api.area(rle):
                annotation["iscrowd"] = 1
                rle = compressed(rectangle(source["bbox"]), height, width)
            annotation["segmentation"] = rle
            area = mask_api.area(rle) if area is None else area
        elif area is None:
            area = source["bbox"][2] * source["bbox"][3]
        annotation["area"] = float(area)
        annotations.append(annotation)
    return {
        "info": {},
        "images": [{"id": i, "height": h, "width": w} for i, (h, w) in sizes.items()],
        "categories": [dict(category) for category in labels["categories"]],
        "annotations": annotations,
    }


def masks_found(
    detections: Sequence[Mapping[str, Any]], truth: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return detections as they are judged by their masks: image_id, category_id, score, mask.

    Args:
        detections: COCO results with ``segmentation`` (RLE). May be empty.
        truth: the dictionary that :func:`ground_truth` returned.

    Raises:
        BadDetections: listing every kind of problem with its count and first examples.
    """
    check(detections, truth, iou_type="segm")
    return [
        {
            "image_id": detection["image_id"],
            "category_id": detection["category_id"],
            "score": float(detection["score"]),
            "segmentation": shape_of(detection, "segm"),
        }
        for detection in detections
    ]


def shape_of(detection: Mapping[str, Any], iou_type: IouType) -> Any:
    """Return a detection's box (list xywh) or mask (compressed RLE), whichever is judged."""
    if iou_type == "bbox":
        return list(detection["bbox"])
    segmentation = detection["segmentation"]
    return compressed(segmentation, *segmentation["size"])


def check(
    detections: Sequence[Mapping[str, Any]], truth: Mapping[str, Any], *, iou_type: IouType
) -> None:
    """Make sure that detections fit ground truth.

    Args:
        detections: COCO results: ``image_id``, ``category_id``, ``score`` and ``bbox`` (xywh,
            pixels) or ``segmentation`` (RLE), whichever ``iou_type`` asks for. May be empty.
        truth: the dictionary that :func:`ground_truth` returned.
        iou_type: what will be judged.

    Raises:
        BadDetections: listing every kind of problem with its count and first examples.
    """
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    field = "bbox" if iou_type == "bbox" else "segmentation"
    if _all_fit(detections, sizes, categories, field):
        return
    problems: dict[str, list[Any]] = {}
    for position, detection in enumerate(detections):
        problem = _problem(detection, sizes, categories, field)
        if problem:
            kind, example = problem
            problems.setdefault(kind, []).append(position if example is None else example)
    if problems:
        kinds = "; ".join(f"{len(v)} {kind} ({examples(v)})" for kind, v in problems.items())
        raise BadDetections(
            f"Of {len(detections)} detections, some do not fit the ground truth: {kinds}. "
            "Judge them against the set they were predicted on."
        )


def _all_fit(
    detections: Sequence[Mapping[str, Any]],
    sizes: Mapping[int, tuple[int, int]],
    categories: set[int],
    field: str,
) -> bool:
    """Return whether detections are as files of COCO results have them; if not, look at each."""
    try:
        scores = [detection["score"] for detection in detections]
        if not (
            {detection["image_id"] for detection in detections} <= sizes.keys()
            and {detection["category_id"] for detection in detections} <= categories
            and set(map(type, scores)) <= {int, float}
            and np.isfinite(np.array(scores, dtype=float)).all()
        ):
            return False
        shapes = [detection[field] for detection in detections]
        if field == "bbox":
            return bool(np.isfinite(as_array(shapes, 4)).all())
        return all(
            type(code) is dict
            and type(code["counts"]) in (str, bytes, list)
            and tuple(code["size"]) == sizes[detection["image_id"]]
            for code, detection in zip(shapes, detections, strict=True)
        )
    except (KeyError, TypeError, OverflowError):
        return False


def _problem(
    detection: Mapping[str, Any],
    sizes: Mapping[int, tuple[int, int]],
    categories: set[int],
    field: str,
) -> tuple[str, Any] | None:
    """Return what is wrong with one detection and what to show for it, or None."""
    missing = [k for k in ("image_id", "category_id", "score", field) if k not in detection]
    if missing:
        return f"without {' and '.join(map(repr, missing))}, at positions", None
    if detection["image_id"] not in sizes:
        return "of unknown images, with ids", detection["image_id"]
    if detection["category_id"] not in categories:
        return "of unknown categories, with ids", detection["category_id"]
    if not _is_finite(detection["score"]):
        return "whose score is not a number, at positions", None
    if field == "bbox":
        box = detection["bbox"]
        good = isinstance(box, Sequence | np.ndarray) and len(box) == 4
        good = good and all(map(_is_finite, box))
        return None if good else ("whose box is not four finite numbers, at positions", None)
    return _mask_problem(detection, sizes[detection["image_id"]])


def _mask_problem(detection: Mapping[str, Any], size: tuple[int, int]) -> tuple[str, Any] | None:
    segmentation = detection["segmentation"]
    if (
        not isinstance(segmentation, Mapping)
        or not isinstance(segmentation.get("size"), Sequence)
        or not isinstance(segmentation.get("counts"), str | bytes | list)
    ):
        return "whose mask is not run-length encoded ('size' and 'counts'), at positions", None
    if tuple(segmentation["size"]) != size:
        return "whose mask is not as large as its image, of images", detection["image_id"]
    return None


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def rectangle(box: Sequence[float]) -> list[list[float]]:
    """Return a box (xywh, pixels) as COCO polygons."""
    x, y, width, height = box
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def examples(values: Iterable[Any]) -> str:
    """Return the first few different values as a text; "none" if there is none."""
    different = list(dict.fromkeys(values))
    shown = ", ".join(map(str, different[:_SHOWN]))
    return (shown or "none") + (", ..." if len(different) > _SHOWN else "")

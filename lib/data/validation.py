"""Bad labels and files: what is wrong with a COCO-format set, found when it is opened.

Every image and annotation that cannot be used is found in one pass and given one *kind* (the first
that applies). ``lib.data.coco.load`` turns the findings into one ``BadLabels`` error, or drops them
and counts them. A JSON that is not a COCO set at all cannot be mended by dropping: it is always an
error.

A box may stick out of its image by up to ``ROUNDING`` pixels on each side, as rounded boxes of real
sets do; it is clipped and not reported. More is a bad label: most often the image is another one.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lib.data.numbers import all_finite, are_numbers, as_array
from lib.data.rle_runs import total_lengths

ROUNDING = 1.0
"""Pixels by which a box may stick out of its image and is clipped silently."""

KINDS: Mapping[str, str] = {
    "image_malformed": "images without an integer id, a file name, or a width and height",
    "image_not_finite": "images with a NaN or infinite number in a field",
    "image_id_repeated": "images whose id another image has",
    "image_missing": "images whose file is missing",
    "image_outside": "images whose file lies outside the picture folder",
    "image_not_regular": "images whose file is no plain file",
    "image_too_large": "images of more pixels than this machine's memory allows",
    "image_unknown": "images whose file is no picture of a form that is read",
    "image_unreadable": "images whose file is truncated, damaged or may not be read",
    "image_other_size": "images whose file has another size than the JSON says",
    "annotation_malformed": (
        "annotations without integer id, image_id and category_id and a bbox of four numbers, or "
        "whose area is no number or iscrowd neither 0 nor 1"
    ),
    "annotation_id_repeated": "annotations whose id another annotation has",
    "annotation_of_unknown_image": "annotations of an image that is not in the list",
    "unknown_category": "annotations of a category that is not in the list",
    "not_finite": "annotations with a NaN or infinite number in a field",
    "area_negative": "annotations of negative area",
    "box_zero_area": "boxes of zero or negative width or height",
    "box_outside": f"boxes that reach more than {ROUNDING:g} px outside their image",
    "mask_malformed": "masks that are neither RLE nor polygons of three points or more",
    "mask_other_size": "RLE masks of another size than their image",
    "annotation_of_dropped_image": "annotations of an image that is dropped",
}
"""The kinds of bad labels, in the order in which they are looked for, as messages name them."""

_JUDGED = frozenset(("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"))
"""Fields of an annotation that have checks of their own; the others are kept as they are."""


class Problem(NamedTuple):
    """One bad image or annotation: its kind, its id in the file, and what was found."""

    kind: str
    id: Any
    detail: str


class BadLabels(ValueError):
    """A set has labels or files that cannot be used.

    Args:
        name: the annotation file, for the message.
        problems: all that was found; ``counts`` holds their number by kind.
    """

    def __init__(self, name: str, problems: Collection[Problem]) -> None:
        self.counts = count(problems)
        lines = []
        for kind, number in self.counts.items():
            first = [p for p in problems if p.kind == kind][:3]
            cases = "; ".join(f"id {p.id!r}: {p.detail}" for p in first)
            lines.append(f"  {number} {KINDS[kind]} ({cases}{'; ...' if number > 3 else ''})")
        super().__init__(
            f"{name} has {len(problems)} bad labels:\n" + "\n".join(lines) + "\n"
            'Mend the file, or open it with on_bad="drop" (the parameter data_on_bad) to leave '
            "them out."
        )


def count(problems: Collection[Problem]) -> dict[str, int]:
    """Return the number of problems by kind, in the order of ``KINDS``."""
    numbers = Counter(p.kind for p in problems)
    return {kind: numbers[kind] for kind in KINDS if numbers[kind]}


def check_structure(content: Any, name: str) -> None:
    """Raise ``ValueError`` unless ``content`` is a COCO set: three lists, images among them."""
    ask = (
        "Expected a COCO-format object with the lists images, annotations and categories "
        '(annotations may be empty, boxes need no "segmentation").'
    )
    if isinstance(content, list):
        raise ValueError(
            f"{name} is a JSON list, which is COCO's format for detection results. {ask}"
        )
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds a JSON {type(content).__name__}, no object. {ask}")
    for key in ("images", "annotations", "categories"):
        if key not in content:
            raise ValueError(f"{name} has no {key!r} (it has: {', '.join(content) or '-'}). {ask}")
        if not isinstance(content[key], list) or any(type(e) is not dict for e in content[key]):
            raise ValueError(f"{key!r} in {name} is not a list of objects. {ask}")
    for category in content["categories"]:
        if type(category.get("id")) is not int or not isinstance(category.get("name"), str):
            raise ValueError(
                f"A category in {name} lacks an integer id or a name: {category!r}. {ask}"
            )
    for key in ("images", "categories"):
        if not content[key]:
            raise ValueError(f"The list of {key} in {name} is empty: there is nothing to work on.")
    for key in content.keys() - {"images", "annotations"}:
        if not all_finite(content[key]):
            raise ValueError(f"{key!r} in {name} holds NaN or infinity, which are not JSON.")


def check_annotations(
    annotations: Sequence[Mapping[str, Any]],
    *,
    sizes: Mapping[int, tuple[int, int]],
    dropped_images: Collection[int],
    category_ids: Collection[int],
    turned: Collection[int] = (),
) -> tuple[dict[int, Problem], np.ndarray]:
    """Find annotations that cannot be used, and turn boxes to ``xyxy``.

    Args:
        annotations: the ``annotations`` of a COCO file; boxes are ``xywh`` there.
        sizes: (width, height) of every usable image, by id.
        dropped_images: ids of images that are in the list but cannot be used.
        category_ids: the known categories.
        turned: ids of images that are read as stored, although their EXIF tag turns them.

    Returns:
        Problems by position in ``annotations``, and boxes float64 [N, 4] ``xyxy`` in pixels,
        clipped to their images (rows of bad annotations mean nothing).
    """
    problems: dict[int, Problem] = {}
    seen: set[int] = set()
    boxes = as_array([a.get("bbox") for a in annotations], 4)
    areas = as_array([(_area(a),) for a in annotations], 1)[:, 0]
    limits = np.full((len(annotations), 2), np.inf)
    no_numbers = set(np.flatnonzero(np.isnan(boxes).all(axis=1) | np.isnan(areas)).tolist())
    for i, a in enumerate(annotations):
        key, image, category = a.get("id"), a.get("image_id"), a.get("category_id")
        if type(key) is not int or type(image) is not int or type(category) is not int:
            found = f"id {key!r}, image_id {image!r}, category_id {category!r}"
            problems[i] = Problem("annotation_malformed", key, found)
        elif i in no_numbers and not are_numbers(a.get("bbox"), 4):
            problems[i] = Problem("annotation_malformed", key, f"bbox {a.get('bbox')!r}")
        elif i in no_numbers and not are_numbers((_area(a),), 1):
            problems[i] = Problem("annotation_malformed", key, f"area {a.get('area')!r}")
        elif a.get("iscrowd") not in (0, 1, None):
            problems[i] = Problem("annotation_malformed", key, f"iscrowd {a.get('iscrowd')!r}")
        elif key in seen:
            problems[i] = Problem("annotation_id_repeated", key, f"image {image}")
        elif image in sizes:
            if category in category_ids:
                limits[i] = sizes[image]
            else:
                problems[i] = Problem("unknown_category", key, f"category {category}")
        elif image in dropped_images:
            problems[i] = Problem("annotation_of_dropped_image", key, f"image {image}")
        else:
            problems[i] = Problem("annotation_of_unknown_image", key, f"image {image}")
        if type(key) is int:
            seen.add(key)
    boxes, bad_boxes = _check_numbers(annotations, boxes, areas, limits, turned)
    bad_masks = _check_masks(annotations, limits)
    return {**bad_masks, **bad_boxes, **problems}, boxes


def _area(annotation: Mapping[str, Any]) -> Any:
    """Return an annotation's area; 0 where the file does not say."""
    area = annotation.get("area")
    return 0 if area is None else area


def _check_numbers(
    annotations: Sequence[Mapping[str, Any]],
    xywh: np.ndarray,
    areas: np.ndarray,
    limits: np.ndarray,
    turned: Collection[int],
) -> tuple[np.ndarray, dict[int, Problem]]:
    """Return boxes as clipped ``xyxy`` and bad numbers; ``limits`` [N, 2] is (width, height)."""
    others = [all_finite([a[key] for key in a.keys() - _JUDGED]) for a in annotations]
    with np.errstate(invalid="ignore"):
        boxes = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        clipped = np.clip(boxes, 0, np.hstack([limits, limits]))
        tests = {
            "not_finite": ~np.isfinite(np.c_[xywh, areas]).all(axis=1) | ~np.array(others, bool),
            "area_negative": areas < 0,
            "box_zero_area": (xywh[:, 2:] <= 0).any(axis=1),
            "box_outside": (np.abs(boxes - clipped) > ROUNDING).any(axis=1)
            | (clipped[:, 2:] <= clipped[:, :2]).any(axis=1),
        }
    problems: dict[int, Problem] = {}
    for kind, bad in tests.items():
        for i in np.flatnonzero(bad).tolist():
            detail = f"xywh {annotations[i].get('bbox')}"
            if kind == "box_outside":
                detail += f" in an image of {limits[i, 0]:g} x {limits[i, 1]:g}"
                if (boxes[i] >= -ROUNDING).all() and (boxes[i, 2:] <= limits[i, ::-1] + 1).all():
                    detail += _if_turned(limits[i], annotations[i]["image_id"] in turned)
            elif kind in ("not_finite", "area_negative"):
                detail += f", area {annotations[i].get('area', '-')}"
                detail += "" if others[i] else ", in another field"
            problems.setdefault(i, Problem(kind, annotations[i].get("id"), detail))
    return clipped, problems


def _if_turned(limits: np.ndarray, by_exif: bool) -> str:
    """Say that a box outside its image would be inside one of exchanged width and height."""
    size = f", inside one of {limits[1]:g} x {limits[0]:g}"
    if not by_exif:
        return size
    return size + (
        " as the picture's EXIF tag turns it: the size is of the stored file, the box is not; "
        "--orientation upright of python -m lib.masks, or data_orientation=upright, reads it so"
    )


def _check_masks(
    annotations: Sequence[Mapping[str, Any]], limits: np.ndarray
) -> dict[int, Problem]:
    problems: dict[int, Problem] = {}
    compressed: list[int] = []
    for i, a in enumerate(annotations):
        mask = a.get("segmentation")
        if not mask:
            continue
        kind = None
        if isinstance(mask, list):
            kind = None if _are_polygons(mask) else "mask_malformed"
        elif not isinstance(mask, dict) or not _is_rle(mask):
            kind = "mask_malformed"
        elif tuple(mask["size"]) != (limits[i, 1], limits[i, 0]):
            kind = "mask_other_size"
        elif isinstance(mask["counts"], str):
            compressed.append(i)
        elif sum(mask["counts"]) != math.prod(mask["size"]):
            kind = "mask_malformed"
        if kind:
            problems[i] = Problem(kind, a.get("id"), _describe_mask(mask, limits[i]))
    lengths = total_lengths([annotations[i]["segmentation"]["counts"] for i in compressed])
    for i, length in zip(compressed, lengths.tolist(), strict=True):
        mask = annotations[i]["segmentation"]
        if length != math.prod(mask["size"]):
            detail = f"its runs cover {length} pixels" if length >= 0 else "its counts are no RLE"
            problems[i] = Problem("mask_malformed", annotations[i].get("id"), detail)
    return problems


def _are_polygons(mask: list[Any]) -> bool:
    try:
        return all(len(p) >= 6 and len(p) % 2 == 0 and math.isfinite(sum(p)) for p in mask)
    except (TypeError, OverflowError):
        return False


def _is_rle(mask: dict[str, Any]) -> bool:
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2 or any(type(s) is not int for s in size):
        return False
    if isinstance(counts, list):
        return all(type(c) is int and c >= 0 for c in counts)
    return isinstance(counts, str) and bool(counts)


def _describe_mask(mask: Any, limits: np.ndarray) -> str:
    if isinstance(mask, dict) and isinstance(mask.get("size"), list):
        height, width = limits[1], limits[0]
        return f"RLE [height, width] {mask['size']}, its image {height:g} x {width:g}"
    return f"segmentation {str(mask)[:60]}"

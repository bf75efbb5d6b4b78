"""Bad labels and files: what is wrong with a COCO-format set, found when it is opened.

Every image and annotation that cannot be used is found in one pass and given one *kind* (the first
that applies). ``lib.data.coco.load`` turns the findings into one ``BadLabels`` error, or drops them
and counts them. A JSON that is not a COCO set at all cannot be mended by dropping: it is always an
error.

A box may stick out of its image by up to ``ROUNDING`` pixels on each side, as rounded boxes of real
sets do; it is clipped and not reported. More is a bad label: most often the image is another one.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from lib.data.numbers import all_finite, are_numbers, as_array, is_integer, shown

log = logging.getLogger(__name__)

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
        "whose area is no number, iscrowd neither 0 nor 1, or pseudo no object"
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
    "mask_not_filled": "RLE masks whose runs do not fill their image",
    "annotation_of_dropped_image": "annotations of an image that is dropped",
}
"""The kinds of bad labels, in the order in which they are looked for, as messages name them."""

OnBad = Literal["error", "repair", "drop"]
"""What is done about bad labels; see ``lib.data.coco.load``."""


def choice(name: str, value: str) -> str:
    """Return how messages say what to choose: an argument of ``lib.data.coco.load``."""
    option = f"--{name.replace('_', '-')} {value}"
    return f'{option} (--set data.{name}={value} for run_all.py, {name}="{value}" in Python)'


JUDGED = frozenset(("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"))
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
            cases = "; ".join(f"id {shown(p.id)}: {p.detail}" for p in first)
            lines.append(f"  {number} {KINDS[kind]} ({cases}{'; ...' if number > 3 else ''})")
        labels = "1 bad label" if len(problems) == 1 else f"{len(problems)} bad labels"
        super().__init__(
            f"{name} has {labels}:\n" + "\n".join(lines) + "\n"
            f"Mend the file, or use {choice('on_bad', 'repair')} to repair what can be and leave "
            "out the rest; drop instead of repair leaves all of them out."
        )


def said(dropped: Mapping[str, int]) -> str:
    """Return numbers by kind as a text."""
    kept = {kind: ", their boxes are kept" for kind in KINDS if kind.startswith("mask_")}
    return "; ".join(f"{n} {KINDS[kind]}{kept.get(kind, '')}" for kind, n in dropped.items())


def count(problems: Collection[Problem]) -> dict[str, int]:
    """Return the number of problems by kind, in the order of ``KINDS``."""
    numbers = Counter(p.kind for p in problems)
    return {kind: numbers[kind] for kind in KINDS if numbers[kind]}


def warn_of_dropped(problems: Collection[Problem], name: str) -> None:
    """Log one warning for each kind, with the number and the first one."""
    for kind, number in count(problems).items():
        first = next(p for p in problems if p.kind == kind)
        log.warning(
            "%s: dropped %s (id %s: %s%s)",
            name, said({kind: number}), shown(first.id), first.detail[:300],
            "; ..." if number > 1 else "",
        )  # fmt: skip


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
            has = ", ".join(content)[:200] or "-"
            raise ValueError(f"{name} has no {key!r} (it has: {has}). {ask}")
        if not isinstance(content[key], list) or any(type(e) is not dict for e in content[key]):
            raise ValueError(f"{key!r} in {name} is not a list of objects. {ask}")
    for key in ("images", "categories"):
        if not content[key]:
            raise ValueError(f"The list of {key} in {name} is empty: there is nothing to work on.")


def check_categories(content: Mapping[str, Any], name: str) -> None:
    """Raise ``ValueError`` unless all categories have an id and a name, and the rest is JSON."""
    for category in content["categories"]:
        if not is_integer(category.get("id")) or not isinstance(category.get("name"), str):
            raise ValueError(
                f"A category in {name} lacks an integer id or a name: {shown(category)}. Expected "
                'something like {"id": 1, "name": "cell"}.'
            )
    for key in content.keys() - {"images", "annotations"}:
        if not all_finite(content[key]):
            raise ValueError(
                f"{key!r} in {name} holds NaN, infinity or too deep nesting, which no JSON file "
                "can hold."
            )


def check_annotations(
    annotations: Sequence[Mapping[str, Any]],
    *,
    sizes: Mapping[int, tuple[int, int]],
    dropped_images: Collection[int],
    category_ids: Collection[int],
    unturned: Collection[int],
) -> tuple[dict[int, Problem], np.ndarray, np.ndarray]:
    """Find annotations that cannot be used, masks apart, and turn boxes to ``xyxy``.

    Args:
        annotations: the ``annotations`` of a COCO file; boxes are ``xywh`` there.
        sizes: (width, height) of every usable image, by id.
        dropped_images: ids of images that are in the list but cannot be used.
        category_ids: the known categories.
        unturned: ids of images that are read as stored, although their EXIF tag turns them.

    Returns:
        Problems by position in ``annotations``; boxes float64 [N, 4] ``xyxy`` in pixels, clipped
        to their images; and (width, height) of the images, [N, 2]. Rows of bad annotations mean
        nothing.
    """
    problems: dict[int, Problem] = {}
    seen: set[int] = set()
    limits = np.full((len(annotations), 2), np.inf)
    for i, a in enumerate(annotations):
        if found := _malformed(a):
            problems[i] = Problem("annotation_malformed", a.get("id"), found)
            continue
        key, image, category = a["id"], a["image_id"], a["category_id"]
        if key in seen:
            problems[i] = Problem("annotation_id_repeated", key, f"image {image}")
        elif image in dropped_images:
            problems[i] = Problem("annotation_of_dropped_image", key, f"image {image}")
        elif image not in sizes:
            problems[i] = Problem("annotation_of_unknown_image", key, f"image {image}")
        elif category not in category_ids:
            problems[i] = Problem("unknown_category", key, f"category {category}")
        else:
            limits[i] = sizes[image]
        seen.add(key)
    boxes, bad_boxes = _check_numbers(annotations, limits, unturned)
    return {**bad_boxes, **problems}, boxes, limits


def _malformed(a: Mapping[str, Any]) -> str:
    """Return what is wrong with the types of an annotation's fields, or nothing."""
    bad = [field for field in ("id", "image_id", "category_id") if not is_integer(a.get(field))]
    if not are_numbers(a.get("bbox"), 4):
        bad.append("bbox")
    if not are_numbers((_area(a),), 1):
        bad.append("area")
    if a.get("iscrowd") not in (0, 1, None):
        bad.append("iscrowd")
    if not isinstance(a.get("pseudo"), dict | None):
        bad.append("pseudo")
    return ", ".join(f"{field} {shown(a.get(field))}" for field in bad)


def _area(annotation: Mapping[str, Any]) -> Any:
    """Return an annotation's area; 0 where the file does not say."""
    area = annotation.get("area")
    return 0 if area is None else area


def _check_numbers(
    annotations: Sequence[Mapping[str, Any]], limits: np.ndarray, unturned: Collection[int]
) -> tuple[np.ndarray, dict[int, Problem]]:
    """Return boxes as clipped ``xyxy`` and bad numbers; ``limits`` [N, 2] is (width, height)."""
    xywh = as_array([a.get("bbox") for a in annotations], 4)
    areas = as_array([(_area(a),) for a in annotations], 1)[:, 0]
    others = [all(all_finite(a[key]) for key in a.keys() - JUDGED) for a in annotations]
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
            detail = f"xywh {shown(annotations[i].get('bbox'))}"
            width, height = limits[i]
            if kind == "box_outside":
                detail += f" in an image of {width:g} x {height:g}"
                if np.isfinite(width) and annotations[i]["image_id"] in unturned:
                    detail += f", {height:g} x {width:g} as its EXIF tag turns it: "
                    detail += f"{choice('orientation', 'upright')} reads it so"
            elif kind in ("not_finite", "area_negative"):
                detail += f", area {shown(annotations[i].get('area', '-'))}"
                detail += "" if others[i] else ", in another field"
            problems.setdefault(i, Problem(kind, annotations[i].get("id"), detail))
    return clipped, problems

"""The masks of a set: which can be used, which mean something else than they say, where they lie.

A bad mask costs the mask and never the box.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.data.numbers import shown
from lib.data.repair.counts import Repairs
from lib.data.repair.mask_forms import are_polygons, is_rle, mended
from lib.data.repair.polygons import polygon_extents
from lib.data.repair.rle_runs import extents
from lib.data.validation import ROUNDING, Problem


@dataclass(frozen=True)
class Masks:
    """What was found of masks, by position.

    Attributes:
        problems: kind and detail of those that cannot be used.
        mended: those read as something else than they say.
        boxes: ``xyxy`` in pixels around each usable mask; NaN where it has no pixel.
    """

    problems: dict[int, tuple[str, str]]
    mended: dict[int, Any]
    boxes: dict[int, np.ndarray]


def measure(masks: Mapping[int, Any], sizes: np.ndarray, *, mend: bool) -> Masks:
    """Look at masks.

    Args:
        masks: ``segmentation`` fields that are not empty, by position.
        sizes: (width, height) of the image, for every position [N, 2].
        mend: whether masks in other forms than COCO's are taken for what they mean.
    """
    problems, boxes = _judge(masks, sizes)
    forms = {i: form for i in problems if (form := mended(masks[i])) is not None} if mend else {}
    still, more = _judge(forms, sizes)
    read = {i: form for i, form in forms.items() if i not in still}
    left = {i: still.get(i, found) for i, found in problems.items() if i not in read}
    return Masks(left, read, boxes | more)


def check_masks(
    annotations: Sequence[Mapping[str, Any]],
    boxes: np.ndarray,
    sizes: np.ndarray,
    bad: Collection[int],
    repairs: Repairs,
    *,
    mend: bool,
) -> tuple[dict[int, Problem], dict[int, Any]]:
    """Find masks that cannot be used, and what takes the place of masks.

    Args:
        annotations: the ``annotations`` of a COCO file.
        boxes: their boxes, ``xyxy`` [N, 4].
        sizes: (width, height) of their images, [N, 2].
        bad: positions that are not looked at.
        repairs: where masks that were mended, are empty, or lie beside their box are counted.
        mend: see ``measure``.

    Returns:
        Problems by position, and by position the masks to take instead of those in the file:
        mended ones, and ``None`` for those that cannot be used or have no pixel.
    """
    masks = {
        i: mask
        for i, annotation in enumerate(annotations)
        if (mask := annotation.get("segmentation")) and i not in bad
    }
    found = measure(masks, sizes, mend=mend)
    name = [annotation.get("id") for annotation in annotations]
    repairs.add("mask_form", *(name[i] for i in found.mended))
    where = np.array(list(found.boxes), np.int64)
    around = np.array([found.boxes[i] for i in where.tolist()]).reshape(-1, 4)
    nothing = where[np.isnan(around).any(axis=1)].tolist()
    repairs.add("mask_empty", *(name[i] for i in nothing))
    apart = np.maximum(around[:, :2], boxes[where, :2]) - np.minimum(
        around[:, 2:], boxes[where, 2:]
    )
    beside = where[(apart > ROUNDING).any(axis=1)].tolist()
    repairs.add("mask_beside_box", *(name[i] for i in beside))
    problems = {i: Problem(kind, name[i], text) for i, (kind, text) in found.problems.items()}
    return problems, {**found.mended, **dict.fromkeys([*found.problems, *nothing])}


def _judge(
    masks: Mapping[int, Any], sizes: np.ndarray
) -> tuple[dict[int, tuple[str, str]], dict[int, np.ndarray]]:
    """Return what is wrong with masks, and the boxes around the others."""
    problems: dict[int, tuple[str, str]] = {}
    codes: list[int] = []
    polygons: list[int] = []
    for i, mask in masks.items():
        if isinstance(mask, list):
            if are_polygons(mask):
                polygons.append(i)
            else:
                problems[i] = ("mask_malformed", f"segmentation {shown(mask)}")
        elif not isinstance(mask, dict) or not is_rle(mask):
            problems[i] = ("mask_malformed", f"segmentation {shown(mask)}")
        elif (mask["size"][1], mask["size"][0]) != tuple(sizes[i]):
            image = f"{sizes[i, 1]:g} x {sizes[i, 0]:g}"
            text = f"RLE [height, width] {mask['size']}, its image {image}"
            problems[i] = ("mask_other_size", text)
        else:
            codes.append(i)
    lengths, around = extents(
        [masks[i]["counts"] for i in codes], [masks[i]["size"][0] for i in codes]
    )
    boxes = dict(zip(codes, around, strict=True))
    for i, length in zip(codes, lengths.tolist(), strict=True):
        pixels = math.prod(masks[i]["size"])
        if length != pixels:
            text = f"its runs cover {length} of {pixels} pixels"
            problems[i] = ("mask_not_filled", text if length >= 0 else "its counts are no RLE")
            del boxes[i]
    boxes.update(
        zip(polygons, polygon_extents([masks[i] for i in polygons], sizes[polygons]), strict=True)
    )
    return problems, boxes

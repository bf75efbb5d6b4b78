"""Boxes that are missing, written as text, or partly outside their image, as COCO's xywh."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from lib.data.numbers import as_array, number
from lib.data.repair.counts import Repairs
from lib.data.repair.masks import measure
from lib.data.validation import ROUNDING, choice

Entry = dict[str, Any]
Sizes = Mapping[int, tuple[int, int]]

_LEAST_SIDE = 8
"""Pixels of the longer side from which boxes within 0..1 are fractions, no boxes of a pixel."""

_FEW = 5
"""Boxes below which most being outside tells nothing of the set."""


def refuse_other_forms(
    annotations: list[Entry], sizes: Sizes, name: str, *, clipped: bool = False
) -> None:
    """Raise ``ValueError`` if the boxes of a set are hardly COCO's xywh in pixels.

    Args:
        annotations: of a COCO file.
        sizes: (width, height) of every usable image, by id.
        name: the file, for messages.
        clipped: whether boxes outside their image will be clipped: where most are outside, they
            mean something else, and clipping would make boxes that nobody drew.
    """
    boxes, limits = _boxes(annotations), _limits(annotations, sizes)
    known = np.isfinite(np.c_[boxes, limits]).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    boxes, limits = boxes[known], limits[known]
    if not len(boxes):
        return
    outside = (boxes[:, :2] + boxes[:, 2:] > limits + ROUNDING).any(axis=1)
    small = (boxes >= 0).all() and (boxes <= 1).all() and (boxes % 1 != 0).any()
    if small and (limits.max(axis=1) >= _LEAST_SIDE).all():
        raise ValueError(
            f"The boxes of {name} lie within 0..1, as fractions of the image do. COCO's are x, y, "
            "width and height in pixels: convert them."
        )
    if clipped and len(boxes) >= _FEW and outside.mean() > 0.5:
        raise ValueError(
            f"{outside.sum()} of {len(boxes)} boxes of {name} leave their image, as corners (x1, "
            "y1, x2, y2) do, or boxes of pictures of another size. COCO's are x, y, width and "
            f"height in pixels: convert them, or use {choice('on_bad', 'drop')} to leave out the "
            "boxes outside."
        )


def repair_boxes(
    annotations: list[Entry],
    sizes: Sizes,
    name: str,
    repairs: Repairs,
    *,
    unturned: Collection[int] = (),
) -> list[Entry]:
    """Return annotations whose boxes are COCO's, as far as it is clear what they mean.

    Args:
        annotations: with ids of images that are numbers. They are not changed.
        sizes: (width, height) of every usable image, by id.
        name: the file, for messages.
        repairs: where changes are counted.
        unturned: ids of images that are not turned although their EXIF tag says so: a box outside
            one may well mean the turned picture, and is not clipped.

    Raises:
        ValueError: if the boxes are fractions, or most leave their images.
    """
    result = list(annotations)

    def replace_box(i: int, box: list[float]) -> None:
        result[i] = {**annotations[i], "bbox": box}

    texts = np.flatnonzero(np.isnan(_boxes(annotations)).all(axis=1)).tolist()
    read = {i: box for i in texts if (box := _as_box(annotations[i].get("bbox")))}
    for i, box in read.items():
        replace_box(i, box)
    refuse_other_forms(result, sizes, name, clipped=True)
    boxes, limits = _boxes(result), _limits(result, sizes)
    usable, known = np.isfinite(boxes).all(axis=1), np.isfinite(limits).all(axis=1)
    lost = ~usable | (boxes[:, 2:] <= 0).any(axis=1)
    masks = {
        i: mask
        for i in np.flatnonzero(lost & known).tolist()
        if (mask := annotations[i].get("segmentation"))
    }
    around = measure(masks, limits, mend=True).boxes
    masked = {i: box for i, box in around.items() if np.isfinite(box).all()}
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    corners[list(masked)] = np.reshape(list(masked.values()), (-1, 4))
    inside = np.clip(corners, 0, np.hstack([limits, limits]))
    turned = np.isin(as_array([(a.get("image_id"),) for a in annotations], 1)[:, 0], list(unturned))
    with np.errstate(invalid="ignore"):
        partly = (np.abs(inside - corners) > ROUNDING).any(axis=1)
        partly &= (inside[:, 2:] > inside[:, :2]).all(axis=1) & ~turned
    partly[list(masked)] = False
    clipped = np.flatnonzero(partly).tolist()
    for i in [*masked, *clipped]:
        x1, y1, x2, y2 = inside[i].tolist()
        replace_box(i, [x1, y1, x2 - x1, y2 - y1])
    bare = {
        i
        for i in np.flatnonzero(~usable).tolist()
        if not annotations[i].get("bbox") and not annotations[i].get("segmentation")
    }
    for kind, rows in (
        ("number_as_text", read),
        ("box_from_mask", masked),
        ("box_clipped", clipped),
        ("placeholder", bare),
    ):
        repairs.add(kind, *(annotations[i].get("id") for i in sorted(rows)))
    return [a for i, a in enumerate(result) if i not in bare]


def _as_box(value: Any) -> list[float] | None:
    """Return the four numbers that a list of texts, or a text, holds."""
    if isinstance(value, str):
        value = value.strip(" []()").replace(",", " ").split()
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [n for n in map(number, value) if n is not None]
    return numbers if len(numbers) == 4 else None


def _boxes(annotations: list[Entry]) -> np.ndarray:
    return as_array([a.get("bbox") for a in annotations], 4)


def _limits(annotations: list[Entry], sizes: Sizes) -> np.ndarray:
    """Return (width, height) of each annotation's image, [N, 2]; NaN where it has none."""
    images = (a.get("image_id") for a in annotations)
    return as_array([sizes.get(i) if type(i) is int else None for i in images], 2)

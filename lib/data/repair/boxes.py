"""Boxes that are missing, in another form, or partly outside their image, as COCO's xywh."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from lib.data.numbers import as_array, is_natural, number
from lib.data.repair.box_readings import Reading, reading_of
from lib.data.repair.counts import Repairs
from lib.data.repair.masks import measure, mended
from lib.data.validation import ROUNDING, choice

Entry = dict[str, Any]
Sizes = Mapping[int, tuple[int, int]]


def refuse_other_readings(annotations: list[Entry], images: list[Entry], name: str) -> None:
    """Raise ``ValueError`` if the boxes of a set are clearly written in another way than COCO's."""
    how = _reading(annotations, _sizes(images))
    if not how.is_coco:
        raise ValueError(
            f"The boxes of {name} are written as {how}, not as COCO's xywh in pixels. Mend the "
            f"file, or use {choice('on_bad', 'repair')} to have them converted."
        )


def repair_boxes(
    annotations: list[Entry],
    images: list[Entry],
    name: str,
    repairs: Repairs,
    *,
    unturned: Collection[int] = (),
) -> list[Entry]:
    """Return annotations whose boxes are COCO's, as far as it is clear what they mean.

    Args:
        annotations: with ids of images that are numbers. They are not changed.
        images: with their sizes.
        name: the file, for messages.
        repairs: where changes are counted.
        unturned: ids of images that are not turned although their EXIF tag says so: boxes that
            would be inside the turned picture are no boxes to clip.

    Raises:
        ValueError: if most boxes leave their images and it is not clear how they are meant.
    """
    sizes = _sizes(images)
    annotations = _read_texts(annotations, repairs)
    how = _reading(annotations, sizes)
    if how.doubt:
        raise ValueError(
            f"{name}: {how.doubt}. Mend the file, or use {choice('on_bad', 'drop')} to leave out "
            "the boxes outside."
        )
    boxes, limits = _boxes(annotations), _limits(annotations, sizes)
    usable = np.isfinite(boxes).all(axis=1)
    corners = how.corners(boxes, limits)
    changed = set()
    if not how.is_coco:
        changed = set(np.flatnonzero(usable & np.isfinite(limits).all(axis=1)).tolist())
        if how.fractions:
            repairs.add("box_fractions", *_ids(annotations, changed))
        if how.form != "xywh":
            repairs.add(f"box_{how.form}", *_ids(annotations, changed))
    empty = usable & (boxes[:, 2:] <= 0).any(axis=1)
    masked = _from_masks(annotations, np.flatnonzero(~usable | empty), limits)
    for i, box in masked.items():
        corners[i] = box
    repairs.add("box_from_mask", *_ids(annotations, masked))
    clipped = np.clip(corners, 0, np.hstack([limits, limits]))
    with np.errstate(invalid="ignore"):
        outside = (np.abs(clipped - corners) > ROUNDING).any(axis=1)
        outside &= (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
        if unturned:
            images_of = [a.get("image_id") for a in annotations]
            untold = np.array([type(i) is int and i in unturned for i in images_of], bool)
            fits = (corners[:, 2:] <= limits[:, ::-1] + ROUNDING).all(axis=1)
            outside &= ~(untold & fits & (corners >= -ROUNDING).all(axis=1))
    outside[list(masked)] = False
    partly = np.flatnonzero(outside).tolist()
    repairs.add("box_clipped", *_ids(annotations, partly))
    result = list(annotations)
    for i in {*changed, *masked, *partly}:
        x1, y1, x2, y2 = (clipped[i] if i in masked or outside[i] else corners[i]).tolist()
        result[i] = {**annotations[i], "bbox": [x1, y1, x2 - x1, y2 - y1]}
        if i in changed:  # areas are often made of the same numbers
            result[i].pop("area", None)
        if i in changed and how.fractions:
            result[i]["segmentation"] = _scaled(annotations[i].get("segmentation"), limits[i])
    bare = [i for i in np.flatnonzero(~usable).tolist() if _is_placeholder(result[i])]
    repairs.add("placeholder", *_ids(annotations, bare))
    left_out = set(bare)
    return [a for i, a in enumerate(result) if i not in left_out] if bare else result


def _reading(annotations: list[Entry], sizes: Sizes) -> Reading:
    boxes, limits = _boxes(annotations), _limits(annotations, sizes)
    return reading_of(boxes, limits, as_array([(a.get("area"),) for a in annotations], 1)[:, 0])


def _sizes(images: list[Entry]) -> Sizes:
    """Return (width, height) of the images that have them, by id."""
    return {
        image["id"]: (image["width"], image["height"])
        for image in images
        if is_natural(image.get("id"), zero_allowed=True)
        and all(is_natural(image.get(side), zero_allowed=False) for side in ("width", "height"))
    }


def _read_texts(annotations: list[Entry], repairs: Repairs) -> list[Entry]:
    result = list(annotations)
    read = []
    for i in np.flatnonzero(np.isnan(_boxes(annotations)).all(axis=1)).tolist():
        if (box := _as_box(annotations[i].get("bbox"))) is not None:
            result[i] = {**annotations[i], "bbox": box}
            read.append(i)
    repairs.add("number_as_text", *_ids(annotations, read))
    return result


def _as_box(value: Any) -> list[float] | None:
    """Return the four numbers that a list of texts, a list of one list, or a text holds."""
    if isinstance(value, str):
        value = value.strip(" []()").replace(",", " ").split()
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [n for n in map(number, value) if n is not None]
    return numbers if len(numbers) == 4 else None


def _from_masks(
    annotations: list[Entry], rows: np.ndarray, limits: np.ndarray
) -> dict[int, np.ndarray]:
    """Return the boxes around the masks of some annotations, clipped to their images."""
    masks = {
        i: mask
        for i in rows.tolist()
        if (mask := annotations[i].get("segmentation")) and np.isfinite(limits[i]).all()
    }
    found = measure(masks, limits, mend=True).boxes
    return {i: box for i, box in found.items() if np.isfinite(box).all()}


def _scaled(mask: Any, size: np.ndarray) -> Any:
    """Return polygons in fractions of the image as pixels, and any other mask as it is."""
    polygons = mended(mask)
    if not isinstance(polygons, list) or not all(0 <= v <= 1 for part in polygons for v in part):
        return mask
    return [(np.reshape(part, (-1, 2)) * size).ravel().tolist() for part in polygons]


def _is_placeholder(annotation: Entry) -> bool:
    return not annotation.get("bbox") and not annotation.get("segmentation")


def _boxes(annotations: list[Entry]) -> np.ndarray:
    return as_array([a.get("bbox") for a in annotations], 4)


def _limits(annotations: list[Entry], sizes: Sizes) -> np.ndarray:
    """Return (width, height) of each annotation's image, [N, 2]; NaN where it has none."""
    unknown = (np.nan, np.nan)
    images = (a.get("image_id") for a in annotations)
    rows = [sizes.get(i, unknown) if type(i) is int else unknown for i in images]
    return np.array(rows, np.float64).reshape(-1, 2)


def _ids(annotations: list[Entry], rows: Any) -> list[Any]:
    return [annotations[i].get("id") for i in sorted(rows)]

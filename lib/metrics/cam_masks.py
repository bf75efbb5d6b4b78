"""Class activation maps as masks, judged like masks (paper B, Table 3).

The paper does not say how a map becomes a mask. Here the map of the predicted class is scaled to
[0, 1], interpolated to the 28 x 28 cells of a mask head's output, placed in its box, and cut at a
threshold, one or several, since a fixed one may suit one model's maps better than another's. A
constant map has nothing that stands out and becomes an empty mask.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lib.masks.paste import Window, sample
from lib.masks.rle import encode
from lib.metrics.coco_ap import APResult, accumulate, prepare
from lib.metrics.coco_input import BadDetections, check
from lib.metrics.coco_match import Matcher, by_image
from lib.models.prior import min_max

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

SIDE = 28
"""Cells along a side of a map within its box, as those of a mask head's output."""

AT_ONCE = 256
"""Maps that are interpolated together."""

MAX_DETECTIONS = 100
"""Best-scored detections that count per image and class, as COCO has it."""


@dataclass(frozen=True)
class Cams:
    """Class activation maps of a set's detections or ground-truth boxes, as the model gave them.

    Attributes:
        maps: float32 [D, h, w], before any scaling.
        annotation_id: whose box each map is of, int64 [D]; None for maps of detections.
    """

    maps: np.ndarray
    annotation_id: np.ndarray | None


def read_cams(path: str | Path) -> Cams:
    """Return the maps of a file that ``python -m lib.training.predict --cams`` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds values that are no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file of class activation maps {path}. Predict with --cams to write it."
        )
    with np.load(path) as content:
        maps, ids = content["maps"].astype(np.float32), content.get("annotation_id")
    if not np.isfinite(maps).all():
        raise ValueError(
            f"{path} holds maps with infinite values or NaN: the model or its training diverged."
        )
    return Cams(maps, ids)


def cam_ap_sweep(
    coco_set: "CocoSet",
    detections: Sequence[Mapping[str, Any]],
    maps: np.ndarray,
    thresholds: Sequence[float],
) -> dict[float, APResult]:
    """Return the mask AP of class activation maps as masks, by threshold.

    The masks of one image are held at a time, so memory hardly grows with the set.

    Args:
        coco_set: the ground truth.
        detections: COCO results with ``bbox`` (xywh, pixels).
        maps: the map of each detection's class in its box, float [D, h, w], in the same order.
        thresholds: shares of a map's range from which a pixel is set, above 0 and up to 1.

    Returns:
        Results with AP, AP50 and AP75, and no area ranges.

    Raises:
        BadDetections: if there is not one map per detection, or an image is unknown.
    """
    if len(detections) != len(maps):
        raise BadDetections(
            f"There are {len(detections)} detections and {len(maps)} class activation maps: they "
            "are not of one run of lib.training.predict --cams."
        )
    prepared = prepare(coco_set, iou_type="segm", area_ranges={})
    check(detections, prepared.content, iou_type="bbox")
    sizes = {image.id: (image.height, image.width) for image in coco_set.images}
    matchers = {
        threshold: Matcher(prepared.truth, max_detections=MAX_DETECTIONS)
        for threshold in thresholds
    }
    for group in by_image(detections, prepared.truth):
        ours = [detections[row] for row in group.rows]
        placed = list(_windows(ours, maps[group.rows], sizes))
        for threshold, matcher in matchers.items():
            matcher.add(
                group, [encode(window.at_least(threshold, *size)) for window, size in placed]
            )
    return {threshold: accumulate(prepared, matcher) for threshold, matcher in matchers.items()}


def masks_on_boxes(coco_set: "CocoSet", cams: Cams, threshold: float) -> list[dict[str, Any]]:
    """Return class activation maps of true boxes as masks, given as models' masks on them are.

    Args:
        coco_set: the set that the boxes are of.
        cams: maps of its boxes, with their annotations.
        threshold: share of a map's range from which a pixel is set, above 0 and up to 1.

    Returns:
        One for each map: ``annotation_id`` and ``segmentation`` (run lengths).

    Raises:
        ValueError: if the maps are not of annotations of this set.
    """
    by_id = {x.id: x for x in coco_set.all_instances()}
    ids = [] if cams.annotation_id is None else cams.annotation_id.tolist()
    if len(ids) != len(cams.maps) or not by_id.keys() >= set(ids):
        raise ValueError(
            f"Expected class activation maps of true boxes of {coco_set.annotations_path.name}, "
            "found maps of others. Predict with --cams on this very set."
        )
    boxes = []
    for x in (by_id[i] for i in ids):
        x1, y1, x2, y2 = x.box
        boxes.append({"image_id": x.image_id, "bbox": [x1, y1, x2 - x1, y2 - y1]})
    sizes = {image.id: (image.height, image.width) for image in coco_set.images}
    return [
        {"annotation_id": i, "segmentation": encode(window.at_least(threshold, *size))}
        for i, (window, size) in zip(ids, _windows(boxes, cams.maps, sizes), strict=True)
    ]


def _windows(
    detections: Sequence[Mapping[str, Any]],
    maps: np.ndarray,
    sizes: Mapping[int, tuple[int, int]],
) -> Iterator[tuple[Window, tuple[int, int]]]:
    """Yield each map in its place, and the size of its image."""
    for detection, values in zip(detections, _cells(maps), strict=True):
        x, y, width, height = detection["bbox"]
        size = sizes[detection["image_id"]]
        yield sample(values, torch.tensor([x, y, x + width, y + height]), *size), size


def _cells(maps: np.ndarray) -> Iterator[Tensor]:
    """Yield maps scaled to [0, 1] and interpolated, float32 [SIDE, SIDE]; some are held at once."""
    for start in range(0, len(maps), AT_ONCE):
        part = np.asarray(maps[start : start + AT_ONCE], dtype=np.float32)
        scaled = min_max(torch.from_numpy(part))[:, None]
        yield from interpolate(scaled, size=(SIDE, SIDE), mode="bilinear")[:, 0]

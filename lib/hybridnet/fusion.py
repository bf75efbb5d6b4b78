"""The fusion of paper A's two branches (Sec. 2): small objects from both, large ones from one.

"All the object instance segmentation results with size less than 64 x 64 pixels come from
Non-maximum Suppression (NMS) results of both small and big object instance branches, and all [...]
with size more than 64 x 64 pixels come from the big object instance branch." The paper leaves open
what size is, which NMS is meant, and whether the scores of two detectors can be compared; each is
a setting. Sizes and boxes are in pixels of the original image, boxes xywh as in files.

The rule, image by image. Large results of the large branch are kept as they are; large ones of the
small branch are dropped. The small results of both compete, best score first (at equal scores the
large branch first, then the order given): one is dropped if its IoU with a result of the *other*
branch that is kept exceeds the threshold. Large results of the large branch count as kept, so that
an object at the limit does not appear twice. Within a branch nothing is dropped, since each branch
has done its own NMS. Hence no two results of different branches (and the same class, if NMS is per
class) overlap by more than the threshold, and without results of the small branch the large
branch's come out unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass
from scipy.stats import rankdata

from lib.data.coco import Result
from lib.data.numbers import as_array
from lib.data.segmentation import areas, compressed

FEW = 5
"""A class with fewer detections than this in a branch has no score distribution of its own."""


@checked_dataclass(frozen=True, kw_only=True)
class FusionSettings:
    """What paper A leaves open about its fusion.

    Attributes:
        small_side: side of the square that parts small from large, pixels.
        size: what is small: ``mask`` (its area below ``small_side`` squared, as "segmentation
            results with size less than 64 x 64" may be read, and as AP_S judges it), ``box`` (area
            of the box below it) or ``sides`` (both sides of the box below ``small_side``).
        nms: the IoU of ``box`` or ``mask``.
        nms_iou: two results of different branches with a larger IoU are the same object.
        per_class: only results of one class compete.
        calibration: ``none``, or ``quantile``: see `calibrated`.
    """

    small_side: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 64
    size: Literal["box", "mask", "sides"] = "mask"
    nms: Literal["box", "mask"] = "box"
    nms_iou: Annotated[float, Field(ge=0, le=1)] = 0.5
    per_class: bool = True
    calibration: Literal["none", "quantile"] = "none"


@dataclass(frozen=True)
class _Group:
    """A branch's results on one image, as arrays of N rows."""

    results: list[Result]
    boxes: np.ndarray  # float [N, 4], xywh: corners cost the last bit, 64 must stay 64
    classes: np.ndarray  # int [N]
    masks: list[Any]  # compressed run lengths

    @property
    def sides(self) -> np.ndarray:
        return self.boxes[:, 2:]

    @property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        return self.boxes[:, :2], self.boxes[:, :2] + self.boxes[:, 2:]


def fuse(
    large: Sequence[Result], small: Sequence[Result], settings: FusionSettings
) -> list[Result]:
    """Return the results of both branches as one; the rule is the module's text.

    Args:
        large: COCO results of the large-object branch over a whole set, in any order: image_id,
            category_id, bbox (xywh, pixels), score, segmentation (run lengths).
        small: those of the small-object branch, for example from `lib.hybridnet.small_branch`.
        settings: what the paper leaves open.

    Returns:
        Copies of what is kept, with ``branch``: ``large`` or ``small``; nothing else is changed
        but the small branch's scores, if they are calibrated. Ordered by image as they first
        appear (in ``large``, then in ``small``), within it by falling score, ties as in the NMS.
    """
    if settings.calibration == "quantile":
        small = calibrated(large, small)
    first, second = _by_image(large), _by_image(small)
    fused: list[Result] = []
    for image_id in dict.fromkeys([*first, *second]):
        groups = _group(first.get(image_id, [])), _group(second.get(image_id, []))
        fused += _fuse_image(*groups, settings)
    return fused


def calibrated(large: Sequence[Result], small: Sequence[Result]) -> list[Result]:
    """Return the small branch's results with scores as the large branch would give them.

    A score is replaced by the quantile of the large branch's scores that has the same rank among
    those of the small branch: within the class, over the set, with results of any size; where
    either branch has fewer than :data:`FEW` of the class, over all classes. The lowest score
    becomes the lowest, the best the best, those between are interpolated; equal scores share
    their middle rank, a single one becomes the median. A distribution is mapped onto itself
    without change. If the large branch found nothing, scores stay as they are.
    """
    if not large or not small:
        return list(small)
    scores, classes, target_scores, target_classes = (
        np.array([result[field] for result in results])
        for results in (small, large)
        for field in ("score", "category_id")
    )
    mapped = _mapped(scores, target_scores)
    for category in np.unique(classes):
        own, target = classes == category, target_classes == category
        if min(own.sum(), target.sum()) >= FEW:
            mapped[own] = _mapped(scores[own], target_scores[target])
    return [{**r, "score": s} for r, s in zip(small, mapped.tolist(), strict=True)]


def _mapped(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the value of ``target`` at the rank that each of ``source`` has there."""
    last = len(source) - 1
    return np.quantile(target, (rankdata(source) - 1) / last if last else np.array([0.5]))


def is_small(results: Sequence[Result], settings: FusionSettings) -> np.ndarray:
    """Return which results are small, bool [N]."""
    return _is_small(_group(list(results)), settings)


def _fuse_image(large: _Group, small: _Group, settings: FusionSettings) -> list[Result]:
    rivals = _overlaps(large, small, settings.nms) > settings.nms_iou
    if settings.per_class:
        rivals &= large.classes[:, None] == small.classes
    competes = _is_small(large, settings), _is_small(small, settings)
    kept = ~competes[0], np.zeros(len(small.results), dtype=bool)
    rivals_of = rivals, rivals.T
    order = sorted(
        (-result["score"], branch, index)  # at equal scores 0, the large branch, comes first
        for branch, group in enumerate((large, small))
        for index, result in enumerate(group.results)
    )
    for _, branch, index in order:
        if competes[branch][index]:
            kept[branch][index] = not (rivals_of[branch][index] & kept[1 - branch]).any()
    return [
        {**(large, small)[branch].results[index], "branch": ("large", "small")[branch]}
        for _, branch, index in order
        if kept[branch][index]
    ]


def _is_small(group: _Group, settings: FusionSettings) -> np.ndarray:
    """Return which results are small, bool [N]."""
    if settings.size == "sides":
        return group.sides.max(axis=1) < settings.small_side
    masks = settings.size == "mask"
    area = areas(group.masks) if masks else group.sides.prod(axis=1)
    return area < settings.small_side**2


def _overlaps(first: _Group, second: _Group, kind: str) -> np.ndarray:
    """Return the IoU of every result of one group with every one of the other, [N, M].

    It is 0 where both have no area.
    """
    if not first.results or not second.results:
        return np.zeros((len(first.results), len(second.results)))
    if kind == "mask":
        return coco_mask.iou(first.masks, second.masks, [0] * len(second.masks))
    (low, high), (other_low, other_high) = first.corners, second.corners
    sides = np.minimum(high[:, None], other_high) - np.maximum(low[:, None], other_low)
    common = sides.clip(min=0).prod(axis=-1)
    union = first.sides.prod(axis=1)[:, None] + second.sides.prod(axis=1) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _by_image(results: Sequence[Result]) -> dict[int, list[Result]]:
    images: dict[int, list[Result]] = {}
    for result in results:
        images.setdefault(result["image_id"], []).append(result)
    return images


def _group(results: list[Result]) -> _Group:
    boxes = as_array([result["bbox"] for result in results], 4)
    classes = np.array([result["category_id"] for result in results], dtype=int)
    codes = [result["segmentation"] for result in results]
    return _Group(results, boxes, classes, [compressed(code, *code["size"]) for code in codes])

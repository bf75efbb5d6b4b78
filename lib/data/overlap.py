"""How the boxes of one image overlap, and which instances are ambiguous.

Crowd regions are no instances here. Three notions of overlap between boxes of one image are used:

- *box IoU with the nearest other*: the largest IoU with any other instance, 0 if it is alone;
- *ambiguous*: that IoU is 0.5 or more (paper B, Sec. 4.2);
- *standing in a box*: at least half of the other's box lies inside. This is what an RoI shows of
  others, and what a mask head trained on that RoI learns as background (paper B, Sec. 4.2).
"""

from dataclasses import dataclass

import numpy as np

from lib.data.coco import CocoSet, Instance

AMBIGUOUS_FROM = 0.5
"""Box IoU with another instance from which an instance is ambiguous (paper B, Sec. 4.2)."""

INSIDE_FROM = 0.5
"""Share of a box inside another from which it stands in it."""


@dataclass(frozen=True)
class Pairs:
    """All ordered pairs of overlapping instances of one image.

    Attributes:
        host: row of the one, int64 [P].
        guest: row of the other, int64 [P].
        iou: IoU of their boxes, float64 [P].
        inside: share of the guest's box that lies inside the host's, float64 [P].
    """

    host: np.ndarray
    guest: np.ndarray
    iou: np.ndarray
    inside: np.ndarray


def overlapping_pairs(boxes: np.ndarray, image: np.ndarray) -> Pairs:
    """Return the pairs of boxes that overlap, image by image.

    Args:
        boxes: float [N, 4] xyxy.
        image: the image of each box, int [N], in any order.
    """
    order = np.argsort(image, kind="stable")
    starts = np.flatnonzero(np.diff(image[order], prepend=np.nan))
    parts: list[tuple[np.ndarray, ...]] = []
    for rows in np.split(order, starts[1:]):
        if len(rows) < 2:
            continue
        b = boxes[rows]
        area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
        sides = np.minimum(b[:, None, 2:], b[None, :, 2:]) - np.maximum(b[:, None, :2], b[:, :2])
        common = np.prod(np.clip(sides, 0, None), axis=2)
        np.fill_diagonal(common, 0)
        i, j = np.nonzero(common)
        shared = common[i, j]
        parts.append((rows[i], rows[j], shared / (area[i] + area[j] - shared), shared / area[j]))
    if not parts:
        none = np.zeros(0)
        return Pairs(none.astype(int), none.astype(int), none, none)
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def objects(coco_set: CocoSet) -> list[Instance]:
    """Return the instances that are single objects: all but crowd regions."""
    return [x for x in coco_set.all_instances() if not x.iscrowd]


def ambiguous_ids(coco_set: CocoSet, iou_from: float = AMBIGUOUS_FROM) -> frozenset[int]:
    """Return the annotation ids of the ambiguous instances (paper B, Sec. 4.2).

    An instance is ambiguous if its box has an IoU of ``iou_from`` or more with the box of at least
    one other instance of its image, of whatever class. Crowd regions neither are ambiguous nor
    make others so: the paper does not say what it does with them.

    Args:
        coco_set: the labels.
        iou_from: least box IoU, above 0 and up to 1.

    Raises:
        ValueError: if ``iou_from`` is not in that range.
    """
    if not 0 < iou_from <= 1:
        raise ValueError(
            f"Instances are ambiguous from a box IoU above 0 and up to 1 on, not from {iou_from}."
        )
    some = objects(coco_set)
    boxes = np.array([x.box for x in some], dtype=float).reshape(-1, 4)
    pairs = overlapping_pairs(boxes, np.array([x.image_id for x in some], dtype=np.int64))
    return frozenset(some[row].id for row in np.unique(pairs.host[pairs.iou >= iou_from]))

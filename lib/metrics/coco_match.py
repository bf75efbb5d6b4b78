"""COCO's matching: which detections are right, image by image.

pycocotools' compiled code measures the overlap of masks and boxes; its rules of matching, loops in
Python there, are in C here (:func:`verdicts`). Shapes are needed for one image at a time: what
is kept of a detection is its score and, per area range and IoU threshold, a verdict of one byte.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as mask_api

from lib.compiled import INT, CFile, read, written
from lib.data.segmentation import areas as mask_areas
from lib.metrics.coco_input import IouType

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)

WRONG, RIGHT, NEITHER = 0, 1, 2
"""Verdicts on a detection. Neither right nor wrong: crowds, left out, outside the area range."""

_C = CFile(Path(__file__).with_name("coco_match.c"))
_verdicts = _C.function(
    "verdicts",
    [
        *(read(np.float64, 2), INT, INT, read(np.bool_, 2), INT, read(np.bool_, 1)),
        *(read(np.float64, 1), INT, written(np.bool_, 1), written(np.uint8, 3)),
    ],
)


@dataclass(frozen=True)
class Matches:
    """What became of the detections of one class in one area range, best score first.

    Detections that are neither right nor wrong (crowds, left out, outside the range) are in
    neither ``true`` nor ``false``.
    """

    image: np.ndarray  # [D] position of the detection's image in APResult.image_ids
    score: np.ndarray  # [D]
    true: np.ndarray  # [T, D] bool: matches an instance at the IoU threshold
    false: np.ndarray  # [T, D] bool: counts and matches none
    instances: np.ndarray  # [I] instances that count, per image


@dataclass(frozen=True)
class _Instances:
    """The instances of one image, ordered by class."""

    classes: np.ndarray  # [G] positions in Truth.category_ids
    shapes: list[Any]  # [G] boxes xywh or RLEs
    crowd: np.ndarray  # [G] bool
    ignored: np.ndarray  # [A, G] bool


class Truth:
    """Ground truth as matching needs it; several sets of detections can be judged against one.

    Attributes:
        iou_type: ``"segm"`` or ``"bbox"``: what is judged.
        category_ids: the classes that are judged, ascending.
        image_ids: of all images, ascending.
        areas: lowest and highest area of each range, both included, float ``[A, 2]``.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        *,
        iou_type: IouType,
        category_ids: Sequence[int],
        areas: Sequence[tuple[float, float]],
    ) -> None:
        """Take over what `lib.metrics.coco_input.ground_truth` returned for ``iou_type``."""
        self.iou_type: IouType = iou_type
        self.category_ids = sorted(set(category_ids))
        self.image_ids = sorted({image["id"] for image in content["images"]})
        self.areas = np.array(areas, dtype=float).reshape(-1, 2)
        classes = {category_id: k for k, category_id in enumerate(self.category_ids)}
        groups: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}
        for instance in content["annotations"]:
            if instance["category_id"] in classes:
                of_class = classes[instance["category_id"]], instance
                groups.setdefault(instance["image_id"], []).append(of_class)
        self._images = {
            position: self._instances(groups[image_id])
            for position, image_id in enumerate(self.image_ids)
            if image_id in groups
        }

    def _instances(self, group: list[tuple[int, Mapping[str, Any]]]) -> _Instances:
        group = sorted(group, key=lambda of_class: of_class[0])
        instances = [instance for _, instance in group]
        crowd = np.array([bool(x["iscrowd"]) for x in instances])
        left_out = np.array([bool(x["left_out"]) for x in instances])
        field = "bbox" if self.iou_type == "bbox" else "segmentation"
        area = np.array([x["area"] for x in instances], dtype=float)
        return _Instances(
            classes=np.array([k for k, _ in group]),
            shapes=[x[field] for x in instances],
            crowd=crowd,
            ignored=crowd | left_out | self.outside(area),
        )

    def outside(self, area: np.ndarray) -> np.ndarray:
        """Return which areas [N] lie outside each range, bool [A, N]."""
        return (area < self.areas[:, :1]) | (area > self.areas[:, 1:])

    def on(self, position: int) -> _Instances | None:
        """Return the instances on an image, if there are any."""
        return self._images.get(position)

    def counted(self) -> np.ndarray:
        """Return how many instances count: per class, area range and image, [K, A, I]."""
        counts = np.zeros(
            (len(self.category_ids), len(self.areas), len(self.image_ids)), dtype=np.int64
        )
        for position, instances in self._images.items():
            for area, ignored in enumerate(instances.ignored):
                np.add.at(counts[:, area, position], instances.classes[~ignored], 1)
        return counts


class Group(NamedTuple):
    """The detections of one image that are of a class that is judged, in the order given."""

    position: int  # of the image in Truth.image_ids
    rows: list[int]  # their positions among all detections
    classes: np.ndarray  # [D] positions in Truth.category_ids
    scores: np.ndarray  # [D]


def by_image(detections: Sequence[Mapping[str, Any]], truth: Truth) -> Iterator[Group]:
    """Yield detections (COCO results that fit ``truth``) image by image."""
    positions = {image_id: position for position, image_id in enumerate(truth.image_ids)}
    classes = {category_id: k for k, category_id in enumerate(truth.category_ids)}
    groups: dict[int, list[int]] = {}
    for row, detection in enumerate(detections):
        if detection["category_id"] in classes:
            groups.setdefault(positions[detection["image_id"]], []).append(row)
    for position, rows in sorted(groups.items()):
        yield Group(
            position,
            rows,
            np.array([classes[detections[row]["category_id"]] for row in rows]),
            np.array([detections[row]["score"] for row in rows], dtype=float),
        )


class Matcher:
    """Judges one set of detections; they are handed over image by image, each image once."""

    def __init__(self, truth: Truth, *, max_detections: int) -> None:
        """Judge against ``truth`` the ``max_detections`` best-scored per image and class."""
        self.truth = truth
        self.max_detections = max_detections
        areas, thresholds = len(truth.areas), len(IOU_THRESHOLDS)
        none = np.zeros(0, dtype=np.int64)
        self._classes, self._ranks, self._images = [none], [none], [none]
        self._scores = [np.zeros(0)]
        self._verdicts = [np.zeros((areas, thresholds, 0), dtype=np.uint8)]

    def add(self, group: Group, shapes: Sequence[Any]) -> None:
        """Judge the detections of one image.

        Args:
            group: of equal scores the one given first comes first.
            shapes: their boxes (xywh, lists) or RLEs (compressed), whichever ``truth`` judges.
        """
        order = np.lexsort((-group.scores, group.classes))
        of_class = group.classes[order]
        rank = np.arange(len(order)) - np.searchsorted(of_class, of_class)
        best = rank < self.max_detections
        order, of_class, rank = order[best], of_class[best], rank[best]
        kept = [shapes[i] for i in order.tolist()]
        found = np.zeros((len(self.truth.areas), len(IOU_THRESHOLDS), len(kept)), dtype=np.uint8)
        instances = self.truth.on(group.position)
        if instances is not None and kept:
            overlap = _overlaps(of_class, kept, instances)
            found = verdicts(overlap, instances.ignored, instances.crowd, IOU_THRESHOLDS)
        outside = self.truth.outside(_areas(kept, self.truth.iou_type))
        found[(found == WRONG) & outside[:, None]] = NEITHER
        self._classes.append(of_class)
        self._ranks.append(rank)
        self._images.append(np.full(len(kept), group.position))
        self._scores.append(group.scores[order])
        self._verdicts.append(found)

    def result(self) -> "Judged":
        """Return the verdicts on all detections so far."""
        classes, images = np.concatenate(self._classes), np.concatenate(self._images)
        scores = np.concatenate(self._scores)
        order = np.lexsort((images, -scores, classes))
        return Judged(
            classes=classes[order],
            images=images[order],
            scores=scores[order],
            ranks=np.concatenate(self._ranks)[order],
            verdicts=np.concatenate(self._verdicts, axis=2)[:, :, order],
            counted=self.truth.counted(),
        )


@dataclass(frozen=True)
class Judged:
    """Verdicts on detections, by class and then best score first, as pycocotools breaks ties."""

    classes: np.ndarray  # [D] positions in Truth.category_ids, ascending
    images: np.ndarray  # [D] positions in Truth.image_ids
    scores: np.ndarray  # [D]
    ranks: np.ndarray  # [D] how many of its class and image have a better score
    verdicts: np.ndarray  # [A, T, D] uint8
    counted: np.ndarray  # [K, A, I] instances that count

    def matches(self, of_class: int) -> list[Matches]:
        """Return the matches of one class, per area range."""
        part = self._part(of_class)
        image, score = self.images[part], self.scores[part]
        return [
            Matches(image, score, found == RIGHT, found == WRONG, self.counted[of_class, area])
            for area, found in enumerate(self.verdicts[:, :, part])
        ]

    def recalled(self, of_class: int, max_detections: int) -> np.ndarray:
        """Return how many instances the best few of each image match, int [A, T]."""
        part = self._part(of_class)
        right = self.verdicts[:, :, part] == RIGHT
        return np.asarray((right & (self.ranks[part] < max_detections)).sum(axis=2))

    def _part(self, of_class: int) -> slice:
        begin, end = np.searchsorted(self.classes, [of_class, of_class + 1])
        return slice(int(begin), int(end))


def _areas(shapes: list[Any], iou_type: IouType) -> np.ndarray:
    """Return the areas of boxes or masks, square pixels [D]."""
    if iou_type == "segm":
        return mask_areas(shapes).astype(float)
    boxes = np.array(shapes, dtype=float).reshape(-1, 4)
    return boxes[:, 2] * boxes[:, 3]


def _overlaps(classes: np.ndarray, shapes: list[Any], instances: _Instances) -> np.ndarray:
    """Return the overlap of each detection with each instance of its class, [D, G]; else -1."""
    overlap = np.full((len(shapes), len(instances.shapes)), -1.0)
    for k in np.unique(instances.classes):
        d = slice(*np.searchsorted(classes, [k, k + 1]).tolist())
        g = slice(*np.searchsorted(instances.classes, [k, k + 1]).tolist())
        if d.start < d.stop:
            crowd = instances.crowd[g].astype(int).tolist()
            overlap[d, g] = mask_api.iou(shapes[d], instances.shapes[g], crowd)
    return overlap


def verdicts(
    overlap: np.ndarray, ignored: np.ndarray, crowd: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Match detections with instances by COCO's rules, as pycocotools' ``evaluateImg`` does.

    Best score first, each takes the instance that it overlaps most (of equals the last) among
    those not yet taken; only if none that counts overlaps enough, one that does not. A crowd
    region can be taken again and again.

    Args:
        overlap: float [D, G], best score first: IoU, and with a crowd region the share of the
            detection that lies in it; -1 where detection and instance are of different classes.
        ignored: bool [A, G], instances that do not count in an area range.
        crowd: bool [G]; crowd regions are ignored in every range.
        thresholds: float [T], the overlap that is enough.

    Returns:
        uint8 [A, T, D]: RIGHT where it takes an instance that counts, NEITHER where one that does
        not, else WRONG.
    """
    found = np.empty((len(ignored), len(thresholds), len(overlap)), dtype=np.uint8)
    _verdicts(
        *(overlap, *overlap.shape, ignored, len(ignored), crowd, thresholds, len(thresholds)),
        *(np.empty(len(crowd), dtype=np.bool_), found),
    )
    return found

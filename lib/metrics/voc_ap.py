"""mAP^r of paper A's Table 1: VOC's average precision of masks, with intervals.

It differs from COCO's AP in ways that together move results by more than most methods differ:
the area under the precision envelope is taken at all points (not at 101 recalls), all detections
count (not the best 100 of an image and class), and a detection is matched as in
:mod:`lib.metrics.voc_match`, where the two readings in use are. Three more choices:

* Void. VOC's masks have pixels that belong to nobody's account (borders, unlabelled objects). Where
  an image of the set carries them (``void``, run lengths, in the COCO dictionary's ``images``),
  ``"ignore"`` takes them out of detections and instances before the IoU. A detection on void alone
  is then empty, and wrong. ``"background"`` counts them as background, as BBTP's code does (it
  means to ignore them, but its masks have become logical by then) and chainercv's.
* Difficult. ``"count"`` treats instances flagged ``difficult`` as all others, as SDS and BBTP do;
  ``"ignore"`` is VOC's own detection protocol: they are not missed, and detections held against
  one are neither right nor wrong.
* Images without a label. SDS' benchmark skips images on which nothing is labelled, of any class:
  what is detected there is not counted. So it is under ``matching="sds"``, while ``"argmax"``
  counts it as wrong. An image with nothing but a crowd region or a box has a label and is kept.
  VOC's sets have no unlabelled image.

All values are fractions of 1; papers print them times 100.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lib.data.categories import Categories
from lib.metrics.bootstrap import (
    Score,
    best_from_there,
    counts_at_right,
    image_weights,
    in_parts,
    mean_over_classes,
)
from lib.metrics.coco_input import as_dict, ground_truth, masks_found
from lib.metrics.coco_match import Matches
from lib.metrics.voc_match import (
    IOU_THRESHOLDS,
    Difficult,
    Matching,
    check_choice,
    match_class,
    remove_void,
)

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

Void = Literal["ignore", "background"]

METRICS = tuple(f"mAP{round(100 * threshold)}" for threshold in IOU_THRESHOLDS)


@dataclass(frozen=True)
class VOCResult:
    """mAP^r of one set of detections, per class, and the matches that a bootstrap needs."""

    categories: Categories
    labels: tuple[int, ...]
    image_ids: tuple[int, ...]
    matches: Mapping[int, Matches]

    @property
    def images(self) -> int:
        """How many images hold an instance that counts."""
        return int(np.count_nonzero(sum(m.instances for m in self.matches.values())))

    @cached_property
    def average_precision(self) -> np.ndarray:
        """AP of each class at each IoU threshold, [K, T]; NaN for a class without instances."""
        return average_precisions(self, np.ones((1, len(self.image_ids)), dtype=np.int64))[0]

    @cached_property
    def summary(self) -> dict[str, float]:
        """Each metric over all classes that have an instance; NaN where none has one."""
        values = mean_over_classes(self.average_precision.T)
        return dict(zip(METRICS, values.tolist(), strict=True))

    def value(self, metric: str) -> float:
        """Return one metric.

        Raises:
            ValueError: if there is no such metric.
        """
        return self.summary[METRICS[_position(metric)]]


@dataclass(frozen=True)
class VOCReplicates:
    """AP of every resample, class and IoU threshold, [B, K, T]; NaN without instances."""

    result: VOCResult
    seed: int
    values: np.ndarray

    def score(self, name: str) -> Score:
        """Return a metric over the judged classes; those absent from a resample are left out of it.

        On few images its interval leans upwards, for the reason :mod:`lib.metrics.bootstrap` gives.
        """
        return Score(
            estimate=self.result.value(name),
            resampled=mean_over_classes(self.values[:, :, _position(name)]),
            images=self.result.images,
            drawn_from=(self.result.image_ids, self.result.labels, self.seed),
        )


def evaluate_voc(
    source: "CocoSet | Mapping[str, Any]",
    detections: Sequence[Mapping[str, Any]],
    *,
    matching: Matching = "sds",
    void: Void = "ignore",
    difficult: Difficult = "count",
    labels: Iterable[int] | None = None,
) -> VOCResult:
    """Judge detected masks by VOC's rules; the module says what they are.

    Args:
        source: Opened labels or a COCO dictionary. Crowd regions and instances without a mask are
            regions where what is not right is not wrong either.
        detections: COCO results with ``segmentation`` (RLE); an empty list gives 0.
        matching: How a detection finds its instance, and unlabelled images: ``"sds"`` or
            ``"argmax"``.
        void: What the pixels of an image's ``void`` are: to ``"ignore"`` or ``"background"``.
        difficult: Whether instances flagged so ``"count"``, or VOC's ``"ignore"``.
        labels: Labels 1..K to judge; all classes of the set by default.

    Raises:
        BadDetections: if detections do not fit the set (no mask, unknown image or class, wrong
            size, NaN).
        ValueError: if a label, a void region, a choice or the ground truth is not as described.
    """
    check_choice("matching", matching, Matching)
    check_choice("void", void, Void)
    check_choice("difficult", difficult, Difficult)
    content = as_dict(source)
    categories = Categories.from_coco(list(content["categories"]))
    chosen = tuple(sorted(categories.labels if labels is None else set(labels)))
    category_ids = [categories.id_of(label) for label in chosen]
    truth = ground_truth(content, iou_type="segm")
    instances = truth["annotations"]
    found = masks_found(detections, truth)
    for instance, annotation in zip(instances, content["annotations"], strict=True):
        flagged = bool(int(annotation.get("difficult") or 0))
        instance["uncounted"] = flagged and difficult == "ignore"
    if void == "ignore":
        remove_void(content["images"], [*instances, *found])
    image_ids = sorted(image["id"] for image in content["images"])
    if matching == "sds":
        labelled = {instance["image_id"] for instance in instances}
        found = [d for d in found if d["image_id"] in labelled]
    truth_by_class, found_by_class = _by_category(instances), _by_category(found)
    matches = {
        label: match_class(
            truth_by_class.get(category_id, []),
            found_by_class.get(category_id, []),
            image_ids=image_ids,
            matching=matching,
        )
        for label, category_id in zip(chosen, category_ids, strict=True)
    }
    return VOCResult(
        categories=categories,
        labels=chosen,
        image_ids=tuple(image_ids),
        matches=matches,
    )


def resample_voc(result: VOCResult, *, resamples: int = 300, seed: int = 0) -> VOCReplicates:
    """Return the AP of every class in every resample of the images.

    Equal ``seed``, ``resamples`` and number of images give the resamples that
    :mod:`lib.metrics.bootstrap` draws for COCO's AP.
    """
    weights = image_weights(len(result.image_ids), resamples=resamples, seed=seed)
    return VOCReplicates(result=result, seed=seed, values=average_precisions(result, weights))


def average_precisions(result: VOCResult, weights: np.ndarray) -> np.ndarray:
    """Return the AP of every class per weighting of the images [B, I] and threshold: [B, K, T]."""
    if not result.labels:
        return np.zeros((len(weights), 0, len(IOU_THRESHOLDS)))
    return np.stack([all_point_ap(result.matches[k], weights) for k in result.labels], axis=1)


def all_point_ap(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """Return the area under one class's precision envelope per weighting and threshold, [B, T].

    Recall grows at right detections alone, so the area is the sum over them of the recall each
    adds times the best precision from there on.

    Args:
        matches: One class.
        weights: Weight of each image in each resample, [B, I], non-negative integers; drawing an
            image twice is the same as weight 2 (see :mod:`lib.metrics.bootstrap`).

    Returns:
        AP, NaN in resamples whose images hold no instance.
    """
    return in_parts(_all_point_ap, matches, weights)


def _all_point_ap(matches: Matches, by_image: np.ndarray) -> np.ndarray:
    instances = matches.instances @ by_image
    area = np.zeros((len(matches.true), by_image.shape[1]))
    for t in range(len(matches.true)):
        right, judged = counts_at_right(matches, t, by_image)
        best = best_from_there(right / np.maximum(judged, 1))  # none drawn so far: no recall either
        area[t] = (np.diff(right, axis=0, prepend=0) * best).sum(axis=0)
    return np.where(instances > 0, area / np.maximum(instances, 1), np.nan)


def _position(metric: str) -> int:
    if metric not in METRICS:
        raise ValueError(f"No metric {metric!r}. Known are {', '.join(METRICS)}.")
    return METRICS.index(metric)


def _by_category(annotations: Iterable[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    parts: dict[int, list[dict[str, Any]]] = {}
    for annotation in annotations:
        parts.setdefault(annotation["category_id"], []).append(annotation)
    return parts

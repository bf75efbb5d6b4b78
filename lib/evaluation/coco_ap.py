"""COCO average precision for boxes and masks, by pycocotools, behind one function.

pycocotools stays the judge; this module owns its quirks. It is quiet, an empty range is NaN and
never -1, area ranges are the caller's (COCO's three, or the two sides of 64x64 that paper A
compares), annotations can be left out as COCO leaves out crowds, and the result knows every class,
so that the AP of a subset (the classes with masks, those without) is a selection and not another
run. The matches of every image are kept for :mod:`lib.evaluation.bootstrap`.

All values are fractions of 1, as pycocotools prints them; papers print them times 100.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lib.data.categories import Categories
from lib.evaluation.coco_input import IouType, as_dict, ground_truth, results
from lib.masks.quality import SMALL_SIDE

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

AREA_RANGES_COCO: dict[str, tuple[float, float]] = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""COCO's ranges of area in square pixels. Both ends belong to a range, as in COCO's own code."""

AREA_RANGES_64: dict[str, tuple[float, float]] = {
    "small": (0.0, float(np.nextafter(float(SMALL_SIDE**2), 0.0))),
    "large": (float(SMALL_SIDE**2), 1e10),
}
"""Paper A's two ranges (Sec. 1, Table 2): small < 64*64 <= large; each instance is in one."""

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
ALL = "all"


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
class APResult:
    """AP of one set of detections, whole, per class, and in the parts a bootstrap needs.

    ``precision`` is pycocotools' array [T thresholds, R recalls, K classes, A areas] with NaN for
    a class that has no instance in an area range.
    """

    iou_type: IouType
    categories: Categories
    labels: tuple[int, ...]
    image_ids: tuple[int, ...]
    areas: tuple[str, ...]
    precision: np.ndarray
    matches: Mapping[tuple[int, str], Matches]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the summary's metrics: AP, AP50, AP75 and AP_<area> for each area range."""
        return ("AP", "AP50", "AP75", *(f"AP_{area}" for area in self.areas if area != ALL))

    @cached_property
    def summary(self) -> dict[str, float]:
        """Each metric over all classes of the result; NaN where no class has an instance."""
        return {metric: self.value(metric) for metric in self.metrics}

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """One row per class: label, category_id, name, instances, and every metric."""
        rows = []
        for label in self.labels:
            part = self.select([label])
            rows.append(
                {
                    "label": label,
                    "category_id": self.categories.id_of(label),
                    "name": self.categories.name_of(label),
                    "instances": int(self.matches[label, ALL].instances.sum()),
                    **{metric: part.value(metric) for metric in self.metrics},
                }
            )
        return pd.DataFrame(
            rows, columns=["label", "category_id", "name", "instances", *self.metrics]
        )

    def value(self, metric: str) -> float:
        """Return one metric over the classes of this result, as pycocotools averages it."""
        area, threshold = metric_parts(metric, self.areas)
        values = self.precision[:, :, :, self.areas.index(area)]
        values = values if threshold is None else values[threshold : threshold + 1]
        values = values[~np.isnan(values)]
        return float(values.mean()) if values.size else float("nan")

    def select(self, labels: Iterable[int]) -> "APResult":
        """Return the result for some of its classes, the same as evaluating those alone.

        Raises:
            ValueError: if a label was not evaluated.
        """
        chosen = tuple(sorted(set(labels)))
        unknown = sorted(set(chosen) - set(self.labels))
        if unknown:
            raise ValueError(
                f"Labels {unknown} were not evaluated; this result has {list(self.labels)}."
            )
        positions = [self.labels.index(label) for label in chosen]
        matches = {key: value for key, value in self.matches.items() if key[0] in set(chosen)}
        return replace(
            self, labels=chosen, precision=self.precision[:, :, positions], matches=matches
        )


def metric_parts(metric: str, areas: Sequence[str]) -> tuple[str, int | None]:
    """Return the area range and the position of the IoU threshold (None: all) of a metric.

    Metrics are ``AP``, ``AP50`` ... ``AP95`` in steps of 5, and ``AP_<area>``.

    Raises:
        ValueError: if there is no such metric.
    """
    if metric == "AP":
        return ALL, None
    found = re.fullmatch(r"AP([5-9][05])", metric)
    if found:
        return ALL, (int(found[1]) - 50) // 5
    if metric.startswith("AP_") and metric[3:] in areas:
        return metric[3:], None
    known = ", ".join(f"AP_{area}" for area in areas if area != ALL)
    raise ValueError(f"No metric {metric!r}. Known are AP, AP50 to AP95 in steps of 5, {known}.")


def evaluate(
    source: "CocoSet | Mapping[str, Any]",
    detections: Sequence[Mapping[str, Any]],
    *,
    iou_type: IouType,
    labels: Iterable[int] | None = None,
    area_ranges: Mapping[str, tuple[float, float]] | None = None,
    ignore: Iterable[int] | None = None,
    max_detections: int = 100,
) -> APResult:
    """Judge detections against ground truth by COCO's rules, with pycocotools.

    Sizes: an instance belongs to a range by its ``area`` field (for COCO the mask's area, for
    boxes too), a detection by the area of its mask or box, whichever is judged. Instances without
    a mask are regions to ignore where masks are judged (see :mod:`lib.evaluation.coco_input`).
    Annotations in ``ignore`` are treated as COCO treats an instance outside an area range: a
    detection that matches one at the IoU threshold is neither right nor wrong.

    Args:
        source: Opened labels or a COCO dictionary.
        detections: COCO results (``bbox`` xywh in pixels and/or ``segmentation`` RLE); an empty
            list gives AP 0.
        iou_type: ``"segm"`` judges masks, ``"bbox"`` boxes.
        labels: Labels 1..K to judge; all classes of the set by default.
        area_ranges: Name -> (lowest, highest) area in square pixels, both ends included;
            COCO's by default. ``"all"`` is always there.
        ignore: Ids of annotations to leave out.
        max_detections: Best-scored detections that count per image and class.

    Raises:
        BadDetections: if detections do not fit the set (unknown image or class, wrong size, NaN).
        ValueError: if a label, an ignored annotation or the ground truth is not as described.
    """
    truth_labels = as_dict(source)
    categories = Categories.from_coco(list(truth_labels["categories"]))
    chosen = tuple(sorted(categories.labels if labels is None else set(labels)))
    category_ids = [categories.id_of(label) for label in chosen]
    truth = ground_truth(truth_labels, iou_type=iou_type, ignore=ignore or ())
    found = results(detections, truth, iou_type=iou_type)
    ranges = {ALL: (0.0, 1e10), **(AREA_RANGES_COCO if area_ranges is None else area_ranges)}
    with contextlib.redirect_stdout(io.StringIO()):
        judge = _Judge(_index(truth), _index(found), iouType=iou_type)
        judge.params.catIds = category_ids
        judge.params.areaRng = [list(limits) for limits in ranges.values()]
        judge.params.areaRngLbl = list(ranges)
        judge.params.maxDets = [max_detections]
        judge.params.iouThrs = IOU_THRESHOLDS
        judge.params.recThrs = RECALL_THRESHOLDS
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            judge.evaluate()
            judge.accumulate()
    precision = judge.eval["precision"][..., 0]
    return APResult(
        iou_type=iou_type,
        categories=categories,
        labels=chosen,
        image_ids=tuple(int(i) for i in judge.params.imgIds),
        areas=tuple(ranges),
        precision=np.where(precision < 0, np.nan, precision),
        matches=_matches(judge, chosen, tuple(ranges)),
    )


class _Judge(COCOeval):
    """COCOeval that honours our flag ``left_out``; its own code overwrites ``ignore``."""

    def _prepare(self) -> None:
        super()._prepare()
        for instances in self._gts.values():
            for instance in instances:
                instance["ignore"] = int(instance["ignore"] or instance["left_out"])


def _index(content: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _matches(
    judge: COCOeval, labels: Sequence[int], areas: Sequence[str]
) -> dict[tuple[int, str], Matches]:
    """Return the matches per class and area; pycocotools lists them class, area, image."""
    images = len(judge.params.imgIds)
    entries = iter(judge.evalImgs)
    # pycocotools sorts the category ids; labels are in the same order.
    return {(label, area): _one(entries, images) for label in labels for area in areas}


def _one(entries: Any, images: int) -> Matches:
    """Return the matches of one class and area from the next ``images`` entries."""
    instances = np.zeros(images, dtype=np.int64)
    none = np.zeros((len(IOU_THRESHOLDS), 0), dtype=bool)
    positions, scores, true, false = [np.zeros(0, np.int64)], [np.zeros(0)], [none], [none]
    for position in range(images):
        entry = next(entries)
        if entry is None:
            continue
        instances[position] = np.count_nonzero(np.asarray(entry["gtIgnore"]) == 0)
        counts = ~entry["dtIgnore"].astype(bool)
        matched = entry["dtMatches"].astype(bool)
        positions.append(np.full(len(entry["dtScores"]), position))
        scores.append(np.asarray(entry["dtScores"], dtype=float))
        true.append(matched & counts)
        false.append(~matched & counts)
    score = np.concatenate(scores)
    order = np.argsort(-score, kind="stable")  # as pycocotools breaks ties
    return Matches(
        image=np.concatenate(positions)[order],
        score=score[order],
        true=np.concatenate(true, axis=1)[:, order],
        false=np.concatenate(false, axis=1)[:, order],
        instances=instances,
    )

"""COCO average precision for boxes and masks, to the last digit as pycocotools has it.

pycocotools' compiled code measures overlaps; what it does in Python loops, matching and averaging,
is done by :mod:`lib.metrics.coco_match` and here, many times as fast on a set like COCO's
(``python -m lib.bench.evaluation`` compares the two). An empty range is NaN and never -1, area
ranges are the caller's (COCO's three, or the two sides of 64x64 that paper A compares), annotations
can be left out as COCO leaves out crowds, and the result knows every class, so that the AP of a
subset (the classes with masks, those without) is a selection and not another run. The matches of
every image are kept for :mod:`lib.metrics.bootstrap`.

All values are fractions of 1, as pycocotools prints them; papers print them times 100.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lib.data.categories import Categories
from lib.masks.quality import SMALL_SIDE
from lib.metrics.coco_input import IouType, as_dict, check, ground_truth, shape_of
from lib.metrics.coco_match import IOU_THRESHOLDS, Matcher, Matches, Truth, by_image

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

RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
RECALL_DETECTIONS = (1, 10)
"""COCO's average recall is of so many detections per image and class, and of all that count."""

ALL = "all"


@dataclass(frozen=True)
class APResult:
    """AP of one set of detections, whole, per class, and in the parts a bootstrap needs.

    ``precision`` is pycocotools' array [T thresholds, R recalls, K classes, A areas] with NaN for
    a class that has no instance in an area range, ``recall`` its array [T, K, A, M] for M numbers
    of ``detections`` per image and class.
    """

    iou_type: IouType
    categories: Categories
    labels: tuple[int, ...]
    image_ids: tuple[int, ...]
    areas: tuple[str, ...]
    precision: np.ndarray
    recall: np.ndarray
    detections: tuple[int, ...]
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
        return _mean(values)

    @cached_property
    def coco_numbers(self) -> dict[str, float]:
        """The summary and average recall, which with COCO's area ranges are COCO's twelve numbers.

        AR1, AR10, AR100 are of so many detections, AR_<area> of as many as count.
        """
        by_count = {
            f"AR{count}": _mean(self.recall[:, :, self.areas.index(ALL), m])
            for m, count in enumerate(self.detections)
        }
        by_area = {
            f"AR_{area}": _mean(self.recall[:, :, a, -1])
            for a, area in enumerate(self.areas)
            if area != ALL
        }
        return {**self.summary, **by_count, **by_area}

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
            self,
            labels=chosen,
            precision=self.precision[:, :, positions],
            recall=self.recall[:, positions],
            matches=matches,
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
    """Judge detections against ground truth by COCO's rules.

    Sizes: an instance belongs to a range by its ``area`` field (for COCO the mask's area, for
    boxes too), a detection by the area of its mask or box, whichever is judged. Instances without
    a mask are regions to ignore where masks are judged (see :mod:`lib.metrics.coco_input`).
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
    prepared = prepare(
        source, iou_type=iou_type, labels=labels, area_ranges=area_ranges, ignore=ignore
    )
    check(detections, prepared.content, iou_type=iou_type)
    matcher = Matcher(prepared.truth, max_detections=max_detections)
    for group in by_image(detections, prepared.truth):
        matcher.add(group, [shape_of(detections[row], iou_type) for row in group.rows])
    return accumulate(prepared, matcher)


@dataclass(frozen=True)
class Prepared:
    """Ground truth to judge detections against, once or several times."""

    content: Mapping[str, Any]  # as coco_input.ground_truth has it
    truth: Truth
    categories: Categories
    labels: tuple[int, ...]
    areas: tuple[str, ...]


def prepare(
    source: "CocoSet | Mapping[str, Any]",
    *,
    iou_type: IouType,
    labels: Iterable[int] | None = None,
    area_ranges: Mapping[str, tuple[float, float]] | None = None,
    ignore: Iterable[int] | None = None,
) -> Prepared:
    """Return ground truth ready to judge detections against; see :func:`evaluate`."""
    given = as_dict(source)
    categories = Categories.from_coco(list(given["categories"]))
    chosen = tuple(sorted(categories.labels if labels is None else set(labels)))
    category_ids = [categories.id_of(label) for label in chosen]  # ascending as well
    content = ground_truth(given, iou_type=iou_type, ignore=ignore or ())
    ranges = {ALL: (0.0, 1e10), **(AREA_RANGES_COCO if area_ranges is None else area_ranges)}
    truth = Truth(
        content, iou_type=iou_type, category_ids=category_ids, areas=list(ranges.values())
    )
    return Prepared(content, truth, categories, chosen, tuple(ranges))


def accumulate(prepared: Prepared, matcher: Matcher) -> APResult:
    """Return the AP of the detections that a matcher has judged against prepared ground truth."""
    judged = matcher.result()
    most = matcher.max_detections
    counts = (*(count for count in RECALL_DETECTIONS if count < most), most)
    shape = len(prepared.labels), len(prepared.areas)
    precision = np.empty((len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS), *shape))
    recall = np.empty((len(IOU_THRESHOLDS), *shape, len(counts)))
    matches = {}
    for k, label in enumerate(prepared.labels):
        for a, (area, found) in enumerate(zip(prepared.areas, judged.matches(k), strict=True)):
            precision[:, :, k, a] = precision_at_recall(found)
            matches[label, area] = found
        instances = judged.counted[k].sum(axis=1)
        with np.errstate(invalid="ignore"):  # none of none is NaN
            for m, count in enumerate(counts):
                recall[:, k, :, m] = judged.recalled(k, count).T / instances
    return APResult(
        iou_type=prepared.truth.iou_type,
        categories=prepared.categories,
        labels=prepared.labels,
        image_ids=tuple(int(i) for i in prepared.truth.image_ids),
        areas=prepared.areas,
        precision=precision,
        recall=recall,
        detections=counts,
        matches=matches,
    )


def precision_at_recall(matches: Matches) -> np.ndarray:
    """Return the best precision at each recall or beyond, [T, R]; NaN without instances."""
    instances = matches.instances.sum()
    read = np.full((len(matches.true), len(RECALL_THRESHOLDS)), np.nan)
    if not instances:
        return read
    right = np.cumsum(matches.true, axis=1).astype(float)
    wrong = np.cumsum(matches.false, axis=1).astype(float)
    precision = right / (wrong + right + np.spacing(1))  # as pycocotools divides
    best = np.zeros((len(right), right.shape[1] + 1))  # beyond the highest recall it is 0
    best[:, :-1] = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for t, reached in enumerate(right / instances):
        read[t] = best[t, np.searchsorted(reached, RECALL_THRESHOLDS, side="left")]
    return read


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is not NaN, in the order in which pycocotools adds up."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")

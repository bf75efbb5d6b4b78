"""AP of ambiguous instances and of the others apart (paper B, Table 1).

An instance is ambiguous if its box has an IoU of at least 0.5 with the box of another one of its
image. How AP is taken over some of the instances is not said in the paper. Here the rest are
ignored as COCO ignores instances outside an area range: a detection that matches one of them at
the IoU threshold is neither right nor wrong. Taking them out of the labels instead would turn the
detections on them into false ones.

What still counts against a group: detections that match nothing at the threshold, a poor mask on
an ignored instance among them. They are the same ones for the small group of ambiguous instances
and for the large group of the others, so the AP of the small one is pressed down, and the two AP
cannot be read against each other. Two models within one group can, which is what Table 1 does, and
so can their gains in relation to the baseline. A class counts in a group where it has instances.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lib.data.overlap import AMBIGUOUS_FROM, ambiguous_ids, objects
from lib.evaluation.bootstrap import CONFIDENCE, FEWEST_IMAGES, Interval, Replicates
from lib.evaluation.coco_ap import APResult, evaluate
from lib.evaluation.coco_input import IouType

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

Group = Literal["ambiguous", "not_ambiguous"]

GROUPS: tuple[Group, ...] = get_args(Group)


def evaluate_by_ambiguity(
    coco_set: "CocoSet",
    detections: Sequence[Mapping[str, Any]],
    *,
    iou_type: IouType = "segm",
    iou_from: float = AMBIGUOUS_FROM,
) -> dict[Group, APResult]:
    """Judge detections on the ambiguous instances, and on the others.

    Every instance is in one of the two groups. Crowd regions are in none: they are ignored in
    both, and make nobody ambiguous.

    Args:
        coco_set: the ground truth.
        detections: COCO results with ``segmentation`` (RLE) or ``bbox``, whichever is judged.
        iou_type: ``"segm"`` judges masks, ``"bbox"`` boxes. Which instances are ambiguous is a
            matter of their boxes either way.
        iou_from: least box IoU with another instance.

    Raises:
        BadDetections: if detections do not fit the set.
        ValueError: if ``iou_from`` is not above 0 and up to 1.
    """
    ambiguous = ambiguous_ids(coco_set, iou_from)
    others = frozenset(x.id for x in objects(coco_set)) - ambiguous
    labels = coco_set.to_coco()
    left_out: dict[Group, frozenset[int]] = {"ambiguous": others, "not_ambiguous": ambiguous}
    return {
        group: evaluate(labels, detections, iou_type=iou_type, ignore=ids)
        for group, ids in left_out.items()
    }


def gain_ratio(
    model: Mapping[Group, Replicates],
    baseline: Mapping[Group, Replicates],
    name: str = "AP",
    labels: Iterable[int] | None = None,
) -> Interval:
    """Return by how much more a model gains on ambiguous instances, in relation to a baseline.

    The gain on a group is ``model / baseline - 1``; returned is the gain on ambiguous instances
    minus that on the others, all four values from the same resamples.

    Where the baseline is 0 its gain has no value. Resamples of that kind could lie anywhere, so
    they count as lowest at the interval's low end and as highest at its high end; if there are
    more of them than the interval leaves out at an end, there is no interval (NaN).

    Args:
        model: the replicates of both groups.
        baseline: likewise.
        name: of the metric.
        labels: classes to average over; all by default.

    Raises:
        ValueError: if the four do not rest on the same images, seed and number of resamples.
    """
    every = [part[group] for part in (model, baseline) for group in GROUPS]
    if len({(r.result.image_ids, r.seed, len(r.metric(name))) for r in every}) > 1:
        raise ValueError(
            "Gains can be compared where both models and both groups are judged on the same "
            "images and resampled with the same seed and number of resamples."
        )
    chosen = every[0].result.labels if labels is None else tuple(labels)
    estimate = float(_difference([np.array(r.result.select(chosen).value(name)) for r in every]))
    drawn = np.stack([r.metric(name, chosen) for r in every])
    values = _difference(drawn[:, ~np.isnan(drawn).any(axis=0)])  # both groups have instances
    images = min(r.images(name, chosen) for r in every)
    if images < FEWEST_IMAGES or not values.size or not np.isfinite(estimate):
        return Interval(estimate, float("nan"), float("nan"))
    tail = (1 - CONFIDENCE) / 2
    with np.errstate(invalid="ignore"):  # between two infinite values
        low = np.quantile(np.nan_to_num(values, nan=-np.inf), tail)
        high = np.quantile(np.nan_to_num(values, nan=np.inf), 1 - tail)
    if not np.isfinite([low, high]).all():
        return Interval(estimate, float("nan"), float("nan"))
    return Interval(estimate, float(low), float(high))


def _difference(values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the difference of gains; NaN where a baseline is 0.

    Args:
        values: AP of the model on ambiguous instances and on the others, and of the baseline.
    """
    ambiguous, others, base_ambiguous, base_others = values
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = ambiguous / base_ambiguous - others / base_others
    return np.where((base_ambiguous > 0) & (base_others > 0), gains, np.nan)

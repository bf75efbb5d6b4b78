"""Ambiguous instances and the others apart: their AP (paper B, Table 1), and masks on true boxes.

An instance is ambiguous if its box has an IoU of at least 0.5 with the box of another one of its
image. How AP is taken over some of the instances is not said in the paper. Here the rest are
ignored as COCO ignores instances outside an area range: a detection that matches one of them at
the IoU threshold is neither right nor wrong. Taking them out of the labels instead would turn the
detections on them into false ones.

What still counts against a group: detections that match nothing at the threshold, a poor mask on
an ignored instance among them. They are the same ones for the small group of ambiguous instances
and for the large group of the others, so the AP of the small one is pressed down, and a model that
outlines the others better takes false detections from it too. So neither AP nor gains in AP, in
points or in relation to a baseline, can be compared between the groups; two models within one can,
which is what Table 1 does. A class counts in a group where it has instances.

Where gains are compared between the groups (:func:`iou_gains`), they are gains in the IoU of the
masks on true boxes, for which each instance stands for itself.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from lib.data.overlap import AMBIGUOUS_FROM, ambiguous_ids, objects
from lib.metrics.bootstrap import ImageSums, Score
from lib.metrics.coco_ap import APResult, evaluate
from lib.metrics.coco_input import IouType

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

Group = Literal["ambiguous", "not_ambiguous"]

GROUPS: tuple[Group, ...] = get_args(Group)

BETWEEN: Literal["difference"] = "difference"
"""Key of what ambiguous instances have over the others."""


class Gain(NamedTuple):
    """Mean mask IoU of two models, and what the first has over the second; fractions of 1.

    All rest on the same resamples.

    Attributes:
        model: of the model.
        baseline: of the one that it is compared with.
        gain: model minus baseline, paired.
        relative: model / baseline - 1, paired.
    """

    model: Score
    baseline: Score
    gain: Score
    relative: Score


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


def iou_gains(
    model: pd.DataFrame,
    baseline: pd.DataFrame,
    ambiguous: AbstractSet[int],
    *,
    resamples: int = 300,
    seed: int = 0,
) -> dict[Group | Literal["difference"], Gain]:
    """Return what a model gains over a baseline in mean mask IoU, by group, and how they differ.

    Given the true boxes, the mask of an instance counts for that instance alone, so both groups
    are judged alike and gains can be compared. Means are over instances. All values are from the
    same resamples of the images that hold an instance of either group.

    Where the baseline's mean is 0 its relative gain has no value; resamples of that kind are left
    out of its interval.

    Args:
        model: from :func:`lib.metrics.mask_iou.iou_on_boxes`.
        baseline: likewise, of the same instances.
        ambiguous: ids of the ambiguous instances (:func:`lib.data.overlap.ambiguous_ids`).
        resamples: number of resamples.
        seed: of the resamples.

    Returns:
        The gains of both groups, and for ``difference`` each value of ambiguous instances minus
        that of the others. NaN for a group without instances; no intervals where a group is on
        fewer than four images.

    Raises:
        ValueError: if the two frames are not of the same instances.
    """
    first, second = (frame.set_index("annotation_id") for frame in (model, baseline))
    if set(first.index) != set(second.index):
        raise ValueError("Gains of masks need those of both models on the same instances.")
    pairs = first.assign(baseline=second["iou"], count=1.0)
    in_group = pairs.index.isin(list(ambiguous))
    columns = ["iou", "baseline", "count"]
    images = np.unique(pairs["image_id"])
    scores: list[tuple[Score, ...]] = []
    for chosen in (in_group, ~in_group):
        per_image = pairs[chosen].groupby("image_id")[columns].sum().reindex(images).fillna(0)
        sums = ImageSums(per_image, resamples=resamples, seed=seed)
        ours, base = sums.ratio("iou", "count"), sums.ratio("baseline", "count")
        scores.append((ours, base, ours - base, sums.ratio("iou", "baseline") - 1))
    scores.append(tuple(a - b for a, b in zip(*scores, strict=True)))
    names: tuple[Group | Literal["difference"], ...] = (*GROUPS, BETWEEN)
    return dict(zip(names, (Gain(*of) for of in scores), strict=True))

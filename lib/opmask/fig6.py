"""AP over the number of classes with masks, and what the prior adds at every number: Fig. 6.

Paper B trains both methods with the masks of 20 (VOC), 40, 60 (non-VOC) and all 80 classes, and
states that OPMask is better "across all class splits, including the fully supervised setup". A
point is judged on the classes that had no masks; with masks of all classes none are left, and that
point is of all classes. So the points of one line are of different classes: the line is no curve of
what further masks are worth, and only the two methods at one point can be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.metrics.bootstrap import CONFIDENCE, Interval, Replicates, resample
from lib.metrics.coco_ap import APResult

SPLITS = ("voc", "official_40", "non_voc", "all")
"""The paper's ratios: 20, 40, 60 and 80 of COCO's classes have masks."""

METRIC = "AP"
BASELINE, OPMASK = "baseline", "opmask"
DIFFERENCE = f"{OPMASK} - {BASELINE}"
PLOTTED = "plotted"
GROUPS = (PLOTTED, "unsupervised", "supervised", "all")
"""Classes that a point is judged on; ``plotted`` are those of the paper's figure."""


@dataclass(frozen=True)
class Ratio:
    """Both methods, trained with the masks of the same classes.

    Attributes:
        split: the supervised classes, one of :data:`SPLITS`.
        supervised: their labels.
        baseline: mask AP of the method without the prior, with its resamples of the images.
        opmask: of OPMask, in the same resamples.
    """

    split: str
    supervised: frozenset[int]
    baseline: Replicates
    opmask: Replicates

    @property
    def labels(self) -> dict[str, frozenset[int]]:
        """The labels of every group of :data:`GROUPS`."""
        every = frozenset(self.opmask.result.labels)
        unsupervised = every - self.supervised
        return {
            PLOTTED: unsupervised or every,
            "unsupervised": unsupervised,
            "supervised": every & self.supervised,
            "all": every,
        }

    def intervals(self, group: str) -> dict[str, Interval]:
        """Return AP of both methods and their paired difference on a group, fractions of 1."""
        labels = self.labels[group]
        return {
            BASELINE: self.baseline.score(METRIC, labels).interval,
            OPMASK: self.opmask.score(METRIC, labels).interval,
            DIFFERENCE: (
                self.opmask.score(METRIC, labels) - self.baseline.score(METRIC, labels)
            ).interval,
        }


def make_ratios(
    results: Mapping[str, tuple[APResult, APResult]],
    supervised: Mapping[str, frozenset[int]],
    *,
    resamples: int,
    seed: int,
) -> list[Ratio]:
    """Return the ratios that were run, fewest classes with masks first.

    Args:
        results: split -> mask AP of the baseline and of OPMask, over all classes.
        supervised: split -> labels of the classes whose masks were learnt.
        resamples: bootstrap resamples, over images; the same for all models.
        seed: of the resamples.

    Raises:
        ValueError: if a split is none of the paper's, or models were judged on different classes.
    """
    if unknown := [split for split in results if split not in SPLITS]:
        raise ValueError(
            f"The class ratios are those of the splits {', '.join(SPLITS)}, not "
            f"{', '.join(unknown)}."
        )
    classes = {result.labels for pair in results.values() for result in pair}
    if len(classes) > 1:
        raise ValueError(
            "The models were judged on different classes. Judge all of them on the same images: "
            "python run_all.py --from 06_train_opmask"
        )
    ratios = [
        Ratio(
            split,
            supervised[split],
            *(
                resample(result, areas=["all"], resamples=resamples, seed=seed)
                for result in results[split]
            ),
        )
        for split in SPLITS
        if split in results
    ]
    return sorted(ratios, key=lambda ratio: len(ratio.labels["supervised"]))


def ratio_table(ratios: list[Ratio]) -> pd.DataFrame:
    """Return AP and gains over the number of classes with masks.

    Returns:
        Columns split, classes_with_masks, classes (the group judged), judged (its number), method,
        ours, ci_low, ci_high; points of 100, NaN for a group without an instance.
    """
    rows = [
        {
            "split": ratio.split,
            "classes_with_masks": len(ratio.labels["supervised"]),
            "classes": group,
            "judged": len(ratio.labels[group]),
            "method": method,
            **dict(zip(("ours", "ci_low", "ci_high"), interval.scaled(100), strict=True)),
        }
        for ratio in ratios
        for group in GROUPS
        if ratio.labels[group]
        for method, interval in ratio.intervals(group).items()
    ]
    columns = [
        "split", "classes_with_masks", "classes", "judged", "method", "ours", "ci_low", "ci_high"
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def smallest_gain(ratios: list[Ratio]) -> Interval:
    """Return the smallest of the gains that the paper plots, fractions of 1; see :func:`smallest`.

    Raises:
        ValueError: if there is no ratio.
    """
    if not ratios:
        raise ValueError("No class ratio has been run, so there is no smallest gain.")
    gains = [ratio.intervals(PLOTTED)[DIFFERENCE] for ratio in ratios]
    drawn = [
        ratio.opmask.score(METRIC, ratio.labels[PLOTTED]).resampled
        - ratio.baseline.score(METRIC, ratio.labels[PLOTTED]).resampled
        for ratio in ratios
    ]
    return smallest(gains, drawn)


def smallest(gains: Sequence[Interval], drawn: Sequence[np.ndarray]) -> Interval:
    """Return the smallest of several gains, with limits to judge "every gain is positive" by.

    That claim holds if each gain's own interval is above zero (an intersection-union test, which
    needs no correction), so the lower limit is the smallest of theirs. It fails if any gain is
    below zero; among several one is so by chance more easily, so the upper limit is the smallest
    one of intervals that are widened for the number of gains (Bonferroni). A bootstrap of the
    smallest gain itself would not do: the smallest of several lies below each, and among gains that
    are all zero such an interval is below zero in about half of all cases.

    Args:
        gains: each with its interval.
        drawn: each in every resample, [B].

    Returns:
        The limits are NaN if a gain has no interval, and all is NaN if a gain is unknown.
    """
    tail = (1 - CONFIDENCE) / 2 / len(gains)
    # A gain that is missing leaves the smallest unknown: min, not nanmin.
    low = float(np.min([gain.low for gain in gains]))
    if np.isnan(low):
        high = low
    else:
        high = min(
            float(np.percentile(values[np.isfinite(values)], 100 * (1 - tail))) for values in drawn
        )
    return Interval(float(np.min([gain.estimate for gain in gains])), low, high)

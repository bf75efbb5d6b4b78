"""Bootstrap intervals over images, for AP and for ratios of sums.

A resample draws as many images as there are, with replacement. Drawing an image twice is giving it
weight 2, and AP is a function of weighted counts: along a class's detections, best score first,
the weights of the right ones and of the wrong ones add up to precision and recall. So the matches
are computed once, and a resample costs two cumulative sums. With unit weights the result is
pycocotools' AP. A class without an instance in a resample is left out of its mean, as COCO leaves
out classes without instances.

A difference of two models is taken within each resample: both see the same images.

AP reads precision as the best one at a recall or beyond, which rises a little when images repeat,
so on few images the intervals lean upwards, and of a difference towards the better model. Where
there is no difference this cancels: the sign of an interval can be trusted, its far end less.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.metrics.coco_ap import RECALL_THRESHOLDS, APResult, metric_parts
from lib.metrics.coco_match import IOU_THRESHOLDS, Matches
from lib.metrics.significance import CONFIDENCE, detectable, resampled_p
from lib.seeds import derive

_TOGETHER = 2_000_000  # detections times resamples at once: fits a processor's cache, not more

FEWEST_IMAGES = 4
"""Images that must hold something of a quantity for it to have an interval. Resamples of fewer
repeat each other: they would say much the same, as if it were certain."""


class Interval(NamedTuple):
    """An estimate with its 95 % percentile interval; NaN where nothing could be estimated."""

    estimate: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """Return the interval in another unit, such as points of 100."""
        return Interval(self.estimate * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, eq=False)
class Score:
    """A metric of one model on some images, and on every resample of them: what tables are made of.

    ``a - b`` is the paired difference of two models: in each resample both see the same images.

    Args:
        estimate: the metric on the images as they are, as a fraction of 1.
        resampled: the metric in each resample, [B]; NaN where there is nothing of it.
        images: how many images hold something that counts.
        drawn_from: what the resamples were drawn from and how; equal for scores that can be paired.
    """

    estimate: float
    resampled: np.ndarray
    images: int
    drawn_from: Hashable

    @property
    def interval(self) -> Interval:
        """The estimate with its 95 % interval over images; NaN where there is none."""
        return self.at(CONFIDENCE)

    def at(self, confidence: float) -> Interval:
        """Return the estimate with its interval over images of another confidence than 95 %."""
        return percentiles(self.estimate, self.resampled, images=self.images, confidence=confidence)

    @property
    def p(self) -> float:
        """That it is zero, two-sided: as the interval over images has it; NaN without one."""
        return resampled_p(self._drawn) if np.isfinite(self.interval.low) else float("nan")

    @property
    def detectable(self) -> float:
        """How far from zero it had to be to be found so; see `lib.metrics.significance`."""
        if not np.isfinite(self.interval.low):
            return float("nan")
        return detectable(float(self._drawn.std(ddof=1)), self.images - 1)

    @property
    def _drawn(self) -> np.ndarray:
        return self.resampled[np.isfinite(self.resampled)]

    def __sub__(self, other: "Score | float") -> "Score":
        """Return the paired difference, or how far the score is above a number.

        Raises:
            ValueError: if the two do not rest on the same images and the same resamples of them.
        """
        if not isinstance(other, Score):
            if not isinstance(other, int | float):
                return NotImplemented
            return replace(self, estimate=self.estimate - other, resampled=self.resampled - other)
        if self.drawn_from != other.drawn_from or self.resampled.shape != other.resampled.shape:
            raise ValueError(
                "A paired difference needs both models judged on the same images and instances and "
                "resampled with the same seed and number of resamples."
            )
        return Score(
            self.estimate - other.estimate,
            self.resampled - other.resampled,
            min(self.images, other.images),
            self.drawn_from,
        )


class ImageSums:
    """Sums over images, and over every resample of them: for scores that are ratios of two sums.

    Args:
        per_image: a row for each image, a column for each number that is added up.
        resamples: number of resamples.
        seed: of the resamples.
        instances: what the numbers are of, where that is not the images themselves; only ratios
            of the same can be paired.
    """

    def __init__(
        self, per_image: pd.DataFrame, *, resamples: int, seed: int, instances: Hashable = None
    ) -> None:
        self._per_image = per_image
        self._drawn_from = (instances or tuple(per_image.index), seed)
        drawn = np.full((resamples, per_image.shape[1]), np.nan)
        if len(per_image):
            weights = image_weights(len(per_image), resamples=resamples, seed=seed)
            drawn = weights @ per_image.to_numpy(dtype=float)
        self._drawn = pd.DataFrame(drawn, columns=per_image.columns)

    def ratio(self, above: str, below: str) -> Score:
        """Return the sum of one column over that of another; NaN where the latter is 0."""
        parts = self._per_image[[above, below]].to_numpy(dtype=float)
        sums = np.vstack([parts.sum(axis=0), self._drawn[[above, below]].to_numpy()])
        values = np.full(len(sums), np.nan)
        np.divide(sums[:, 0], sums[:, 1], out=values, where=sums[:, 1] > 0)
        images = int(np.count_nonzero(parts[:, 1]))
        return Score(float(values[0]), values[1:], images, self._drawn_from)


@dataclass(frozen=True)
class Replicates:
    """AP of every resample, class and IoU threshold: area -> [B, K, T], NaN without instances."""

    result: APResult
    seed: int
    values: Mapping[str, np.ndarray]

    def score(self, name: str, labels: Iterable[int] | None = None) -> Score:
        """Return a metric over all classes or some; its estimate is pycocotools' own.

        Raises:
            ValueError: if there is no such metric, or its area range was not resampled.
        """
        chosen = self.result.labels if labels is None else tuple(labels)
        part = self.result.select(chosen)
        area, threshold = metric_parts(name, self.result.areas)
        if area not in self.values:
            raise ValueError(f"The area range {area!r} was not resampled: {list(self.values)}.")
        values = self.values[area][:, [self.result.labels.index(k) for k in part.labels]]
        over_classes = values.mean(axis=2) if threshold is None else values[:, :, threshold]
        holding = sum(part.matches[k, area].instances for k in part.labels)
        return Score(
            estimate=part.value(name),
            resampled=mean_over_classes(over_classes),
            images=int(np.count_nonzero(holding)),
            drawn_from=(self.result.image_ids, self.seed),
        )


def resample(
    result: APResult, *, areas: Iterable[str] | None = None, resamples: int = 300, seed: int = 0
) -> Replicates:
    """Return the AP of every class in every resample, for all area ranges or some.

    Equal ``seed``, ``resamples`` and number of images give the same resamples.
    """
    names = result.areas if areas is None else tuple(areas)
    weights = image_weights(len(result.image_ids), resamples=resamples, seed=seed)
    values = {
        area: np.stack(
            [weighted_ap(result.matches[label, area], weights) for label in result.labels], axis=1
        )
        if result.labels
        else np.zeros((resamples, 0, len(IOU_THRESHOLDS)))
        for area in names
    }
    return Replicates(result=result, seed=seed, values=values)


def image_weights(images: int, *, resamples: int, seed: int) -> np.ndarray:
    """Return how often each image is drawn in each resample, [B, I], rows sum to I.

    Raises:
        ValueError: if there is no image or no resample to draw.
    """
    if images < 1 or resamples < 1:
        raise ValueError(
            f"A bootstrap needs at least one image and one resample; got {images} and {resamples}."
        )
    generator = np.random.default_rng(derive(seed, "bootstrap", images))
    return generator.multinomial(images, np.full(images, 1.0 / images), size=resamples)


def percentiles(
    estimate: float, values: np.ndarray, *, images: int, confidence: float = CONFIDENCE
) -> Interval:
    """Return ``estimate`` with the central share of ``values``, of those that are not NaN.

    Args:
        estimate: the quantity on the images as they are.
        values: the quantity in each resample of the images, [B].
        images: how many images hold something of it. Below :data:`FEWEST_IMAGES` there is no
            interval (NaN).
        confidence: the central share.
    """
    finite = values[np.isfinite(values)]
    if images < FEWEST_IMAGES or not finite.size or not np.isfinite(estimate):
        return Interval(estimate, float("nan"), float("nan"))
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(finite, [tail, 100 - tail])
    return Interval(estimate, float(low), float(high))


def ratio_of_sums(
    above: Sequence[float], below: Sequence[float], *, resamples: int, seed: int
) -> Interval:
    """Return the sum of some numbers over that of others, with its interval over their pairs.

    Args:
        above: a number for each image, or whatever is drawn again.
        below: likewise, of the same ones, in the same order.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    pairs = pd.DataFrame({"above": above, "below": below})
    return ImageSums(pairs, resamples=resamples, seed=seed).ratio("above", "below").interval


def mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Return the mean of each row over the classes that are not NaN, [B, K] -> [B]."""
    present = ~np.isnan(values)
    counts = present.sum(axis=1)
    sums = np.where(present, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def weighted_ap(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """Return COCO's AP of one class per resample and IoU threshold, [B, T].

    Only the places of right detections matter: between two of them precision falls and recall
    stays, and COCO reads precision as the best one at that recall or beyond. Each of the 101
    recall thresholds is read at the first right detection that reaches it.

    Args:
        matches: One class in one area range.
        weights: Weight of each image in each resample, [B, I], non-negative integers.

    Returns:
        AP, NaN in resamples whose images hold no instance.
    """
    return in_parts(_weighted_ap, matches, weights)


def in_parts(
    judge: Callable[[Matches, np.ndarray], np.ndarray], matches: Matches, weights: np.ndarray
) -> np.ndarray:
    """Return ``judge(matches, by_image)`` [T, B] of all weights [B, I] as [B, T], some at a time.

    ``judge`` is given weights as floats [I, B], whose rows are quickly gathered.
    """
    together = max(1, _TOGETHER // max(len(matches.score), 1))
    starts = range(0, len(weights), together)
    parts = (np.ascontiguousarray(weights[s : s + together].T.astype(float)) for s in starts)
    return np.concatenate([judge(matches, part) for part in parts], axis=1).T


def _weighted_ap(matches: Matches, by_image: np.ndarray) -> np.ndarray:
    instances = matches.instances @ by_image
    average = np.zeros((len(matches.true), by_image.shape[1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        for t in range(len(matches.true)):
            right, judged = counts_at_right(matches, t, by_image)
            best = best_from_there(right / (judged + np.spacing(1)))  # as pycocotools divides
            reached = np.searchsorted(RECALL_THRESHOLDS, right / instances, side="right")
            read = np.diff(reached, axis=0, prepend=0)
            average[t] = (read * best).sum(axis=0) / len(RECALL_THRESHOLDS)
    average[:, instances == 0] = np.nan
    return average


def counts_at_right(
    matches: Matches, threshold: int, by_image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what an AP is made of, at each of the P right detections of a class, best score first.

    Args:
        matches: One class.
        threshold: Position of the IoU threshold.
        by_image: Weight of each image in each resample, float [I, B].

    Returns:
        The weight of the right detections so far, and of all that count so far; [P, B] each.
    """
    right = np.flatnonzero(matches.true[threshold])
    last = right[-1] if right.size else 0
    wrong = np.flatnonzero(matches.false[threshold][:last])
    right_sum = np.cumsum(by_image[matches.image[right]], axis=0)
    wrong_sum = np.zeros((len(wrong) + 1, by_image.shape[1]))
    np.cumsum(by_image[matches.image[wrong]], axis=0, out=wrong_sum[1:])
    return right_sum, right_sum + wrong_sum[np.searchsorted(wrong, right)]


def best_from_there(precision: np.ndarray) -> np.ndarray:
    """Return the best precision at each right detection or beyond, [P, B]."""
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]

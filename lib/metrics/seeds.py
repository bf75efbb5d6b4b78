"""Scores of one method trained several times: intervals over training chance and images together.

A trained model is one draw. Trained again with another seed it scores otherwise, often by as much
as other images would make it. So the score of a method is the mean over its seeds, and its variance
has two parts: that of the seeds, seen as the spread of their scores, and that of the images, seen
as the spread of the mean over resamples of the images, which all seeds share.

The interval is Student's, on the sum of both parts, with Satterthwaite's degrees of freedom: close
to (seeds - 1) where the seeds differ most, to (images - 1) where the images do. What a seed and an
image do together is in both parts, so intervals err on the wide side. A bootstrap over three seeds
would be too narrow: resamples of three differ too little from each other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy.stats import t as student

from lib.metrics.bootstrap import (
    FEWEST_IMAGES,
    Interval,
    Replicates,
    Score,
    resample,
)
from lib.metrics.coco_ap import APResult
from lib.metrics.significance import CONFIDENCE, detectable, student_p

Item = TypeVar("Item")

FEWEST_SEEDS = 2
"""Below these nothing is known of training chance."""


@dataclass(frozen=True)
class SeedScores:
    """A metric of one method on the same images, trained with several seeds.

    ``a - b`` pairs the seeds that both have, and within each the images.

    Args:
        scores: by seed, at least one; all rest on the same resamples of the same images.

    Raises:
        ValueError: if there is none, or they rest on different resamples.
    """

    scores: Mapping[int, Score]

    def __post_init__(self) -> None:
        if len({score.drawn_from for score in self.scores.values()}) != 1:
            raise ValueError(
                "Expected the scores of one or more seeds on the same resamples of the same "
                f"images, found {len(self.scores)} scores that do not share them."
            )

    @property
    def estimate(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self._estimates))

    @property
    def seeds(self) -> int:
        """How often the method was trained."""
        return len(self.scores)

    @property
    def images(self) -> int:
        """How many images hold something that counts."""
        return min(score.images for score in self.scores.values())

    @property
    def interval(self) -> Interval:
        """The mean with its 95 % interval over seeds and images; NaN where there is none.

        With one seed it is the interval over images alone, which says nothing of training chance.
        """
        return self.at(CONFIDENCE)

    def at(self, confidence: float) -> Interval:
        """Return the mean with its interval of another confidence than 95 %."""
        if self.seeds < FEWEST_SEEDS:
            return next(iter(self.scores.values())).at(confidence)
        error, freedom = self._error
        half = float(student.ppf((1 + confidence) / 2, freedom)) * error
        return Interval(self.estimate, self.estimate - half, self.estimate + half)

    @property
    def p(self) -> float:
        """That the mean is zero, two-sided, by the variance of the interval; NaN without one."""
        if self.seeds < FEWEST_SEEDS:
            return next(iter(self.scores.values())).p
        return student_p(self.estimate, *self._error)

    @property
    def detectable(self) -> float:
        """How far from zero it had to be to be found so; see `lib.metrics.significance`."""
        if self.seeds < FEWEST_SEEDS:
            return next(iter(self.scores.values())).detectable
        return detectable(*self._error)

    def __sub__(self, other: "Measured | float") -> "SeedScores":
        """Return the paired difference, or how far the score is above a number.

        What was not trained, a :class:`Score`, is the same for every seed.

        Raises:
            ValueError: if the two have no seed in common, or other images.
        """
        if not isinstance(other, SeedScores):
            return SeedScores({seed: score - other for seed, score in self.scores.items()})
        both = [seed for seed in self.scores if seed in other.scores]
        if not both:
            raise ValueError(
                "A paired difference needs trainings of both methods with the same seed; found "
                f"seeds {', '.join(map(str, self.scores))} and {', '.join(map(str, other.scores))}."
            )
        return SeedScores({seed: self.scores[seed] - other.scores[seed] for seed in both})

    def __rsub__(self, other: Score) -> "SeedScores":
        """Return the paired difference of what was not trained and this."""
        return SeedScores({seed: other - score for seed, score in self.scores.items()})

    @property
    def _estimates(self) -> list[float]:
        return [score.estimate for score in self.scores.values()]

    @property
    def _error(self) -> tuple[float, float]:
        """The standard error and its degrees of freedom; NaN where there is no interval."""
        means = np.mean([score.resampled for score in self.scores.values()], axis=0)
        means = means[np.isfinite(means)]
        if self.images < FEWEST_IMAGES or len(means) < 2 or not np.isfinite(self.estimate):
            return float("nan"), float("nan")
        over_images = float(means.var(ddof=1))
        return standard_error(self._estimates, over_images, freedom=self.images - 1)


Measured = Score | SeedScores
"""A metric with its interval: of what was not trained, or of a method over its seeds."""


def over_seeds(runs: Mapping[int, Item], score: Callable[[Item], Score]) -> SeedScores:
    """Return the score of each run, by seed.

    Args:
        runs: what was predicted or resampled, by seed.
        score: from one of these to its score.
    """
    return SeedScores({seed: score(run) for seed, run in runs.items()})


def resample_runs(
    results: Mapping[int, APResult],
    *,
    areas: Iterable[str] | None = None,
    resamples: int = 300,
    seed: int = 0,
) -> dict[int, Replicates]:
    """Return :func:`lib.metrics.bootstrap.resample` of each run: all in the same resamples."""
    draws: dict[str, Any] = {"areas": areas, "resamples": resamples, "seed": seed}
    return {number: resample(result, **draws) for number, result in results.items()}


def score(
    drawn: Mapping[int, Replicates], name: str, labels: Iterable[int] | None = None
) -> SeedScores:
    """Return a metric of a method over its seeds, of all classes or some.

    Args:
        drawn: from :func:`resample_runs`.
        name: of the metric, as :meth:`lib.metrics.bootstrap.Replicates.score` knows it.
        labels: of the classes; all by default.

    Raises:
        ValueError: as there.
    """
    return over_seeds(drawn, lambda run: run.score(name, labels))


def standard_error(
    estimates: Sequence[float], over_images: float, *, freedom: int
) -> tuple[float, float]:
    """Return the standard error of the mean over seeds, and its degrees of freedom.

    Args:
        estimates: one for each seed, at least two.
        over_images: variance of the mean from what is not training: images, or classes.
        freedom: degrees of freedom of that variance.
    """
    values = np.asarray(estimates, dtype=float)
    over_seeds = float(values.var(ddof=1)) / len(values)
    total = over_seeds + over_images
    if total == 0:
        return 0.0, float("inf")
    parts = over_seeds**2 / (len(values) - 1) + over_images**2 / freedom
    return float(np.sqrt(total)), total**2 / parts

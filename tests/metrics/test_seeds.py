"""Scores over several trainings: the interval holds what it should, as often as it should."""

import numpy as np
import pytest

from lib.metrics.bootstrap import Score, image_weights
from lib.metrics.seeds import SeedScores, standard_error
from lib.metrics.simulation import mean_scores


def _scores(per_seed: np.ndarray) -> SeedScores:
    """Return means over images, [S, I] values, resampled."""
    weights = image_weights(per_seed.shape[1], resamples=100, seed=0)
    (scores,) = mean_scores(per_seed[None], weights)
    return scores


def test_error_of_two_seeds_is_as_by_hand() -> None:
    # seeds 1 and 3: variance 2, of the mean 1; none over images: one degree of freedom, t = 12.706
    assert standard_error([1, 3], 0.0, freedom=49) == pytest.approx((1, 1))
    ends = _scores(np.array([[1.0] * 50, [3.0] * 50])).interval
    assert ends == pytest.approx((2, 2 - 12.706, 2 + 12.706), abs=1e-3)
    # equal seeds: all variance is over images, and its degrees of freedom are those of the whole
    assert standard_error([2, 2], 0.25, freedom=49) == pytest.approx((0.5, 49))


def test_p_is_5_percent_where_the_interval_ends() -> None:
    scores = _scores(np.random.default_rng(3).normal(size=(3, 40)))
    end = scores.interval.low
    assert (scores - end).p == pytest.approx(0.05)
    assert (scores - (end - 0.01)).p < 0.05 < (scores - (end + 0.01)).p
    one = SeedScores({0: scores.scores[0]})
    assert (one.p, one.detectable) == (one.scores[0].p, one.scores[0].detectable)


def test_difference_pairs_seeds_and_images() -> None:
    generator = np.random.default_rng(0)
    shared = generator.normal(size=(3, 1)) + generator.normal(size=40)
    better = _scores(shared + 0.5) - _scores(shared)
    assert better.interval == pytest.approx((0.5, 0.5, 0.5))
    fewer = _scores(shared[:2])
    assert (_scores(shared) - fewer).seeds == 2
    with pytest.raises(ValueError, match="seeds 2 and 0, 1"):
        SeedScores({2: _scores(shared).scores[2]}) - fewer


def test_what_was_not_trained_is_paired_with_every_seed() -> None:
    values = np.random.default_rng(1).normal(size=(3, 40))
    trained, fixed = _scores(values), _scores(np.zeros((1, 40))).scores[0]
    assert (trained - fixed).interval == trained.interval
    turned = (fixed - trained).interval
    assert turned == pytest.approx((-trained.estimate, *(-end for end in trained.interval[:0:-1])))


def test_a_higher_confidence_is_a_wider_interval_by_students_t() -> None:
    scores = _scores(np.array([[1.0] * 30, [3.0] * 30]))
    # one degree of freedom: t is 12.706 for 95 %, 63.657 for 99 %
    assert scores.at(0.99).high - 2 == pytest.approx(63.657, abs=1e-3)
    assert scores.at(0.95) == scores.interval


def test_one_seed_has_the_interval_over_images() -> None:
    values = np.random.default_rng(0).normal(size=(1, 30))
    one = _scores(values)
    assert one.interval == one.scores[0].interval


def test_what_is_on_few_images_or_missing_has_no_interval() -> None:
    few = _scores(np.ones((3, 3)))
    assert few.interval.estimate == 1 and np.isnan(few.interval[1:]).all()
    assert np.isnan([few.p, few.detectable, few.scores[0].p, few.scores[0].detectable]).all()
    gone = SeedScores(dict.fromkeys(range(3), Score(float("nan"), np.full(5, np.nan), 0, "x")))
    assert np.isnan(gone.interval).all()


def test_scores_of_other_images_are_no_seeds() -> None:
    with pytest.raises(ValueError, match="same images"):
        SeedScores({0: Score(0.1, np.ones(3), 9, "a"), 1: Score(0.1, np.ones(3), 9, "b")})

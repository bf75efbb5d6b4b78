"""p-values agree with intervals, corrections with the textbook, detectable effects with power."""

import numpy as np
import pytest
from scipy import stats

from lib.metrics.bootstrap import Score, percentiles
from lib.metrics.significance import detectable, holm, resampled_p, student_p


def test_students_p_is_that_of_the_t_test() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, size=12)
    error = values.std(ddof=1) / np.sqrt(12)
    expected = stats.ttest_1samp(values, 0).pvalue
    assert student_p(float(values.mean()), error, 11) == pytest.approx(expected)


def test_what_never_varies_is_certain_and_what_is_unknown_stays_so() -> None:
    assert [student_p(value, 0, np.inf) for value in (0.0, 0.1)] == [1, 0]
    assert np.isnan([student_p(np.nan, 0, 3), student_p(1, np.nan, 3)]).all()


@pytest.mark.parametrize("resamples", [99, 100, 1000])
def test_a_bootstraps_p_is_below_a_level_just_if_its_interval_leaves_zero_out(
    resamples: int,
) -> None:
    generator = np.random.default_rng(resamples)
    for _ in range(50):
        values = generator.normal(generator.normal(0, 2), 1, size=resamples).round(1)  # with ties
        for confidence in (0.5, 0.8, 0.95):
            _, low, high = percentiles(0.1, values, images=9, confidence=confidence)
            assert (resampled_p(values) < 1 - confidence) == (low > 0 or high < 0)


def test_a_bootstraps_p_ends_where_its_resamples_do() -> None:
    assert resampled_p(np.ones(99)) == resampled_p(-np.ones(99)) == 0.02
    assert resampled_p(np.zeros(99)) == 1


def test_holm_steps_down_as_by_hand() -> None:
    # smallest first: 0.01 x 4, 0.013 x 3 (not below the one before), 0.04 x 2, 0.06 x 1 (likewise)
    assert holm([0.04, 0.01, 0.06, 0.013]) == pytest.approx([0.08, 0.04, 0.08, 0.04])
    assert holm([]).tolist() == []
    assert holm([0.0101, *[0.02] * 4]).min() > 0.05  # the first step finds nothing, so none does


@pytest.mark.parametrize("freedom", [2, 4, 10, 100])
def test_a_detectable_effect_is_found_in_about_80_of_100_studies(freedom: int) -> None:
    limit = stats.t.ppf(0.975, freedom)
    found = stats.nct(freedom, detectable(1, freedom)).sf([limit, -limit])
    assert found[0] + 1 - found[1] == pytest.approx(0.8, abs=0.04)


def test_a_detectable_effect_of_a_bootstrap_is_by_its_spread() -> None:
    drawn = np.random.default_rng(0).normal(size=200)
    score = Score(0.1, np.append(drawn, np.nan), 30, "x")
    t = stats.t.ppf([0.975, 0.8], 29).sum()
    assert score.detectable == pytest.approx(t * drawn.std(ddof=1))
    assert score.p == resampled_p(drawn)

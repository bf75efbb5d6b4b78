import numpy as np
import pytest

from lib.metrics.williams import williams


def test_williams_test_is_steigers_example() -> None:
    """Steiger (1980): verbal ability with masculinity .5 and with femininity .4, these two .1."""
    found = williams(0.5, 0.4, 0.1, n=103)
    assert (found.t, found.df) == (pytest.approx(0.89, abs=0.005), 100)
    assert found.p == pytest.approx(0.37, abs=0.005)
    assert williams(0.4, 0.5, 0.1, n=103).t == pytest.approx(-found.t)


def test_williams_test_rejects_as_often_as_it_should() -> None:
    """Variables 2 and 3 are equally correlated with 1: p-values are uniform."""
    rng = np.random.default_rng(7)
    cases, n = 1500, 25
    one = rng.normal(size=(cases, n))
    both = rng.normal(size=(cases, n))
    two, three = (0.5 * one + 0.5 * both + rng.normal(size=(cases, n)) for _ in range(2))

    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = (v - v.mean(axis=1, keepdims=True) for v in (a, b))
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))

    triples = zip(
        correlation(one, two), correlation(one, three), correlation(two, three), strict=True
    )
    p = np.array([williams(*map(float, triple), n=n).p for triple in triples])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.05)


def test_williams_test_has_no_answer_where_there_is_none() -> None:
    assert np.isnan(williams(0.5, 0.4, 0.1, n=3).p)
    assert np.isnan(williams(0.5, 0.5, 1.0, n=30).p)
    assert np.isnan(williams(0.5, float("nan"), 0.1, n=30).t)


def test_williams_test_has_no_answer_where_nothing_varies() -> None:
    """Variable 1 is determined by the others, opposite to both: the determinant and the mean are 0.

    r23 = 1 - 2 r12**2, and r13 = -r12.
    """
    for r in (0.6, 0.5, 0.3):
        found = williams(r, -r, 1 - 2 * r**2, n=30)
        assert np.isnan([found.t, found.p]).all() and found.df == 27
    assert np.isfinite(williams(0.6, -0.6, 0.2, n=30).p)

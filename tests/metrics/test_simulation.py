"""What is found where nothing is: an interval misses the truth no more often than it says."""

import numpy as np
import pytest

from lib.metrics.simulation import (
    CHANCES,
    Chance,
    false_decision_table,
    false_decisions,
    made_effects,
)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("chance", CHANCES.values(), ids=CHANCES)
def test_an_effect_alone_is_found_in_about_5_of_100_studies(chance: Chance, seeds: int) -> None:
    found = false_decisions(chance, seeds=seeds, studies=150, effects=1)
    assert found.single < 0.1 and found.family == found.corrected == found.single


def test_of_a_family_holm_finds_something_far_less_often_than_each_alone() -> None:
    found = false_decisions(CHANCES["some of each"], seeds=3, studies=40, effects=12)
    assert found.single < 0.1 and found.corrected < 0.12 < found.family


def test_made_effects_vary_as_they_are_told_to() -> None:
    generator = np.random.default_rng(0)
    made = made_effects(Chance(1, 0, 2), generator, effects=400, seeds=2, images=300)
    assert made.shape == (400, 2, 300)
    assert made.var() == pytest.approx(5, rel=0.15)
    alike = made_effects(Chance(1, 1, 1, shared=1), generator, effects=3, seeds=2, images=5)
    assert (alike == alike[0]).all()


def test_the_table_has_the_rates_of_each_mix_in_per_cent() -> None:
    table = false_decision_table(studies=4, seed=3)
    assert len(table) == 2 * len(CHANCES) and set(table["seeds"]) == {3, 5}
    row = table[(table["chance"] == "some of each") & (table["seeds"] == 3)].iloc[0]
    rates = false_decisions(CHANCES["some of each"], seeds=3, studies=4, seed=3)
    assert tuple(row[["single", "family", "corrected"]] / 100) == pytest.approx(rates)

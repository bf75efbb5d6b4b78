"""Numbering the values of an array."""

import numpy as np
import pytest

from lib.masks.grabcut.palette import number

LAST = (1 << 24) - 1
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [
        [0],
        [LAST],
        [LAST, 0, LAST, 0],
        np.zeros(1000),
        np.arange(1 << 12)[::-1] << 12,  # only the upper bits differ
        RANDOM.integers(0, LAST + 1, 5000),
        RANDOM.integers(0, 40, 5000),
        np.repeat(RANDOM.permutation(LAST + 1)[:999], 2),
    ],
    ids=["least", "most", "both", "one", "upper bits", "many", "few", "pairs"],
)
def test_values_are_numbered_as_they_come(values) -> None:
    values = np.asarray(values, dtype=np.int32)
    numbers, found = number(values)
    order: dict[int, int] = {}
    expected = [order.setdefault(value, len(order)) for value in values.tolist()]
    assert numbers.tolist() == expected
    assert found.tolist() == list(order)

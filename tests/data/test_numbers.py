import math
from typing import Any

import numpy as np
import pytest

from lib.data.numbers import all_finite, as_array

GOOD = [1, 2.5, 3, 4]
HUGE = 10**400


@pytest.mark.parametrize(
    "row", [None, "", "1234", 5, [], {}, [1, 2, 3], ["1", "1", "20", "20"], [True, 1, 2, 3], [[1]]]
)
@pytest.mark.parametrize("others", [[], [GOOD], [GOOD, None], [GOOD, [HUGE] * 4]])
def test_whether_a_row_is_numbers_does_not_depend_on_the_others(row: Any, others: list) -> None:
    assert np.isnan(as_array([row, *others], 4)[0]).all()
    if others:
        assert as_array([row, *others], 4)[1].tolist() == GOOD


def test_numbers_beyond_all_floats_are_infinite() -> None:
    assert as_array([[HUGE, -HUGE, 1, 2]], 4).tolist() == [[math.inf, -math.inf, 1, 2]]


def test_no_rows_are_an_empty_array() -> None:
    assert as_array([], 4).shape == (0, 4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_found_at_any_depth(bad: float) -> None:
    assert not all_finite({"a": [1, {"b": bad}]})
    assert all_finite({"a": [1, {"b": "nan"}], "c": None, "d": HUGE, "e": True})

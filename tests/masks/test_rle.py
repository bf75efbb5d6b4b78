import json

import numpy as np
import pytest

from lib.masks import rle


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    random = [rng.random((rng.integers(1, 40), rng.integers(1, 40))) < p for p in (0.02, 0.5, 0.98)]
    return [*random, np.zeros((7, 5), bool), np.ones((5, 7), bool)]


@pytest.mark.parametrize("mask", masks(), ids=lambda m: f"{m.shape}-{m.sum()}")
def test_a_mask_survives_the_file(mask: np.ndarray) -> None:
    code = json.loads(json.dumps(rle.encode(mask)))
    decoded = rle.decode(code, *mask.shape)
    assert decoded.dtype == bool
    assert np.array_equal(decoded, mask)
    assert rle.area(code, *mask.shape) == mask.sum()


def test_plain_run_lengths_go_down_the_columns() -> None:
    expected = np.array([[0, 1, 0], [1, 1, 0]], dtype=bool)
    assert np.array_equal(rle.decode({"size": [2, 3], "counts": [1, 3, 2]}, 2, 3), expected)


def test_polygons_of_one_object_are_united() -> None:
    parts = [[0, 0, 2, 0, 2, 2, 0, 2], [5, 5, 8, 5, 8, 8, 5, 8]]
    both = rle.decode(parts, 10, 10)
    assert np.array_equal(both, rle.decode(parts[:1], 10, 10) | rle.decode(parts[1:], 10, 10))
    assert rle.area(parts, 10, 10) == both.sum()


def test_a_mask_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"\[4, 6\].*\[6, 4\]"):
        rle.decode(rle.encode(np.ones((4, 6), bool)), 6, 4)


@pytest.mark.parametrize("broken", [{"size": [2, 2]}, {"counts": "04"}, [[1, 2]]])
def test_what_is_no_mask_is_refused_with_a_sentence(broken: dict | list) -> None:
    with pytest.raises(ValueError, match="could not be read"):
        rle.decode(broken, 2, 2)


def test_the_tight_box_touches_the_mask_on_all_sides() -> None:
    mask = np.zeros((9, 11), dtype=bool)
    mask[3, 4] = mask[6, 2] = True
    assert rle.tight_box(mask) == (2.0, 3.0, 5.0, 7.0)
    assert rle.tight_box(np.ones((9, 11), bool)) == (0.0, 0.0, 11.0, 9.0)
    assert rle.tight_box(np.zeros((9, 11), bool)) is None

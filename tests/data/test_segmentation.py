"""Compressed run lengths, as pycocotools writes them."""

import itertools

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from lib.data.segmentation import areas, run_lengths


def text_of(mask: np.ndarray) -> str:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


def plain_runs(mask: np.ndarray) -> list[int]:
    columns = mask.T.ravel().tolist()
    runs = [len(list(same)) for _, same in itertools.groupby(columns)]
    return [0, *runs] if columns[0] else runs


def masks(rng: np.random.Generator) -> list[np.ndarray]:
    """Return masks of many kinds and sizes: empty, full, noise, stripes, large blocks, a pixel."""
    shapes = [(1, 1), (1, 7), (9, 1), (30, 40), (213, 377), (1200, 900)]
    result = [np.full(shape, value) for shape in shapes for value in (False, True)]
    result += [rng.random(shape) < share for shape in shapes[:5] for share in (0.02, 0.5, 0.98)]
    for height, width in shapes[3:]:
        block = np.zeros((height, width), bool)
        block[height // 3 : height // 2, width // 4 :] = True
        stripes = np.arange(height)[:, None] % 7 < np.arange(width)[None] % 5
        result += [block, ~block, stripes]
    return result


def test_the_runs_are_those_of_the_columns() -> None:
    for mask in masks(np.random.default_rng(1)):
        assert run_lengths(text_of(mask)).tolist() == plain_runs(mask)


GOOD = text_of(np.eye(50, dtype=bool))


@pytest.mark.parametrize(
    "bad", ["", "P", GOOD[:-1] + "P", "ab é", "12 3", "no\x7f", "oooooooooooo0", "\x00", "1N"]
)
def test_cut_off_and_foreign_texts_are_no_run_lengths(bad: str) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        run_lengths(bad)


def test_a_cut_between_numbers_is_seen_in_the_sum() -> None:
    for n in range(1, len(GOOD)):
        try:
            assert run_lengths(GOOD[:n]).sum() != 2500
        except ValueError:
            continue


@pytest.mark.parametrize("count", [0, 1, 255, 256, 600])
def test_areas_of_any_number_of_masks_are_those_of_single_ones(count: int) -> None:
    drawn = np.random.default_rng(count).random((count, 20, 30)) < 0.5
    codes = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in drawn]
    assert areas(codes).tolist() == drawn.sum((1, 2)).tolist()

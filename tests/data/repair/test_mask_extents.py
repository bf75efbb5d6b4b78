import itertools

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from lib.data.repair import mask_extents
from lib.data.repair.mask_extents import run_extents
from lib.masks.rle import tight_box


def total_lengths(counts: list) -> np.ndarray:
    return run_extents(counts, [1] * len(counts))[0]


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


def test_runs_of_a_whole_mask_cover_it() -> None:
    some = masks(np.random.default_rng(1))
    found = total_lengths([text_of(mask) for mask in some])
    assert found.tolist() == [mask.size for mask in some]


def test_the_result_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text_of(mask) for mask in masks(np.random.default_rng(2))]
    whole = total_lengths(texts)
    monkeypatch.setattr(mask_extents, "CHUNK", 3)
    assert (total_lengths(texts) == whole).all()


def test_cut_off_and_foreign_texts_are_invalid_and_leave_their_neighbours_alone() -> None:
    good = text_of(np.eye(50, dtype=bool))
    long_number = "oooooooooooo0"
    bad = ["", "P", good[:-1] + "P", "ab é", "12 3", "no\x7f", long_number, "\x00", "1N"]
    texts = [t for b in bad for t in (good, b)] + [good]
    found = total_lengths(texts)
    assert (found[::2] == 2500).all()
    assert (found[1::2] == -1).all()


def test_a_cut_between_numbers_is_seen_in_the_sum() -> None:
    text = text_of(np.eye(50, dtype=bool))
    sums = {int(total_lengths([text[:n]])[0]) for n in range(1, len(text))}
    assert 2500 not in sums


def test_no_texts_give_no_lengths() -> None:
    assert total_lengths([]).shape == (0,)


def test_the_foreground_lies_where_the_decoded_mask_has_it() -> None:
    some = masks(np.random.default_rng(3))
    nan = (np.nan,) * 4
    expected = [tight_box(mask) or nan for mask in some]
    texts = [text_of(mask) for mask in some]
    runs = [plain_runs(mask) for mask in some]
    for counts in (texts, runs):
        lengths, boxes = run_extents(counts, [mask.shape[0] for mask in some])
        assert lengths.tolist() == [mask.size for mask in some]
        np.testing.assert_array_equal(boxes, expected)

"""Which pictures train together."""

import numpy as np
import pytest

from lib.seeds import derive
from lib.training.order import WINDOW, Batches

MIXED = [1.33] * 30 + [0.75] * 10 + [1.5] * 9


def padding(found: list[list[tuple[int, int]]], ratios: list[float]) -> float:
    """Pixels of the padded batches over those of their pictures, whose shorter side is 1."""
    padded = real = 0.0
    for batch in found:
        sizes = [(max(ratios[i], 1.0), max(1 / ratios[i], 1.0)) for i, _ in batch]
        padded += len(batch) * max(w for w, _ in sizes) * max(h for _, h in sizes)
        real += sum(w * h for w, h in sizes)
    return padded / real


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_every_picture_is_seen_once_an_epoch(batch_size: int):
    window = min(WINDOW, len(MIXED) // batch_size)
    count = len(MIXED) * window  # as many epochs as fill whole windows
    found = list(Batches(MIXED, batch_size, start=0, stop=count, seed=3))
    assert len(found) == count and all(len(batch) == batch_size for batch in found)
    samples = [sample for batch in found for sample in batch]
    assert sorted(p for _, p in samples) == list(range(batch_size * count))
    epochs: dict[int, list[int]] = {}
    for index, position in samples:
        epochs.setdefault(position // len(MIXED), []).append(index)
    assert len(epochs) == batch_size * window
    assert all(sorted(seen) == list(range(len(MIXED))) for seen in epochs.values())


def test_batches_need_little_padding():
    ratios = MIXED * 10
    found = list(Batches(ratios, 8, start=0, stop=40 * WINDOW, seed=0))
    random = np.random.default_rng(0)
    alike = [[(int(i), 0) for i in random.permutation(len(ratios))[:8]] for _ in range(600)]
    assert padding(found, ratios) < 1.03 and padding(alike, ratios) > 1.35


@pytest.mark.parametrize("start", [0, 1, WINDOW - 1, WINDOW, 2 * WINDOW + 5])
def test_a_run_that_is_taken_up_again_has_the_same_batches(start: int):
    stop = 3 * WINDOW + 2
    whole = list(Batches(MIXED, 3, start=0, stop=stop, seed=2))
    assert list(Batches(MIXED, 3, start=start, stop=stop, seed=2)) == whole[start:]
    assert list(Batches(MIXED, 3, start=0, stop=start, seed=2)) == whole[:start]


def test_pictures_of_one_shape_come_in_the_plain_order():
    order = [
        int(index)
        for epoch in range(12)
        for index in np.random.default_rng(derive(5, "epoch", epoch)).permutation(7)
    ]
    plain = [[(order[p], p) for p in (2 * i, 2 * i + 1)] for i in range(3, 40)]
    assert list(Batches([1.5] * 7, 2, start=3, stop=40, seed=5)) == plain

"""Which pictures train together: every one once an epoch, those of similar shape in one batch.

A batch is padded to its widest and to its highest picture. One upright picture among many that lie
across makes all of them square: batches of 16 of COCO's pictures, in random order, are padded to
twice their pixels. So the random order is cut into windows of some batches, each is sorted by
shape, and the batches of a window come in random order again. Detectron2, and with it paper B's
code, does likewise with two groups of pictures.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from lib.seeds import derive

WINDOW = 16
"""Batches that are sorted together, or an epoch if that is less: enough for next to no padding, and
sorted twice in a window, a picture would be beside itself."""


def batches(
    ratios: Sequence[float], batch_size: int, *, start: int, stop: int, seed: int
) -> Iterator[list[tuple[int, int]]]:
    """Yield the batch of each iteration: samples as (index, position in the run).

    Batches run across the ends of epochs, so all have the same size. A picture's position is its
    place in the random order, before sorting: a run that is resumed, or ends elsewhere, has the
    same batches. Where all pictures have one shape nothing is sorted.

    Args:
        ratios: width over height of each picture.
        batch_size: samples per iteration.
        start: the first iteration, counted from 0.
        stop: the iteration to stop before.
        seed: what the orders derive from.
    """
    shapes = np.asarray(ratios, float)
    epochs = _Epochs(len(shapes), seed)
    size = max(1, min(WINDOW, len(shapes) // batch_size))
    for window in range(start // size, -(-stop // size)):
        first = window * size
        positions = np.arange(first * batch_size, (first + size) * batch_size)
        indices = epochs.at(positions)
        by_shape = np.argsort(shapes[indices], kind="stable")
        order = np.arange(size)
        if (by_shape[1:] < by_shape[:-1]).any():
            order = np.random.default_rng(derive(seed, "window", window)).permutation(size)
        rows = by_shape.reshape(size, batch_size)[order]
        for row in rows[max(start - first, 0) : stop - first]:
            yield [(int(indices[i]), int(positions[i])) for i in row]


class _Epochs:
    """The random order of the pictures, epoch after epoch.

    Args:
        pictures: how many there are.
        seed: what the orders derive from.
    """

    def __init__(self, pictures: int, seed: int) -> None:
        self.pictures, self.seed = pictures, seed
        self._orders: dict[int, np.ndarray] = {}

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the pictures at ascending positions of the run."""
        needed = range(positions[0] // self.pictures, positions[-1] // self.pictures + 1)
        orders = {e: self._orders.get(e) for e in needed}
        self._orders = {
            epoch: self._order(epoch) if order is None else order for epoch, order in orders.items()
        }
        together = np.concatenate(list(self._orders.values()))
        return together[positions - needed[0] * self.pictures]

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng(derive(self.seed, "epoch", epoch)).permutation(self.pictures)

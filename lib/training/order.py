"""Which pictures train together: every one once an epoch, those of similar shape in one batch.

A batch is padded to its widest and to its highest picture. One upright picture among many that lie
across makes all of them square: batches of 16 of COCO's pictures, in random order, are padded to
twice their pixels. So the random order is cut into windows of some batches, each is sorted by
shape, and the batches of a window come in random order again. Detectron2, and with it paper B's
code, does likewise with two groups of pictures.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from lib.seeds import derive

WINDOW = 16
"""Batches that are sorted together, or an epoch if that is less: enough for next to no padding, and
sorted twice in a window, a picture would be beside itself."""


def share_of(batch_size: int, rank: int, processes: int) -> range:
    """Return which samples of a batch a process has: consecutive ones, as many as others or one.

    Raises:
        ValueError: if there are fewer samples than processes.
    """
    if batch_size < processes:
        raise ValueError(
            f"train.batch_size is {batch_size}, fewer images than the {processes} processes that "
            f"are to share them. Start at most {batch_size} processes, or raise train.batch_size."
        )
    return range(batch_size * rank // processes, batch_size * (rank + 1) // processes)


class Batches(Sampler[list[tuple[int, int]]]):
    """The batch of each iteration: samples as (index, position in the run).

    Batches run across the ends of epochs, so all have the same size. A picture's position is its
    place in the random order, before sorting: a run that is resumed, or ends elsewhere, has the
    same batches, whatever number of processes share them. Where all pictures have one shape nothing
    is sorted.

    Args:
        ratios: width over height of each picture.
        batch_size: samples per iteration.
        start: the first iteration, counted from 0.
        stop: the iteration to stop before.
        seed: what the orders derive from.
        share: which samples of each batch to yield, see :func:`share_of`; None is all of them.
    """

    def __init__(
        self,
        ratios: Sequence[float],
        batch_size: int,
        *,
        start: int,
        stop: int,
        seed: int,
        share: range | None = None,
    ) -> None:
        self.shapes, self.batch_size = np.asarray(ratios, float), batch_size
        self.start, self.stop, self.seed = start, stop, seed
        self.share = share or range(batch_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield each iteration's samples."""
        size = max(1, min(WINDOW, len(self.shapes) // self.batch_size))
        for window in range(self.start // size, -(-self.stop // size)):
            first = window * size
            positions = np.arange(first * self.batch_size, (first + size) * self.batch_size)
            indices = self._pictures_at(positions)
            by_shape = np.argsort(self.shapes[indices], kind="stable")
            order = np.arange(size)
            if (by_shape[1:] < by_shape[:-1]).any():
                order = np.random.default_rng(derive(self.seed, "window", window)).permutation(size)
            rows = by_shape.reshape(size, self.batch_size)[order]
            for row in rows[max(self.start - first, 0) : self.stop - first]:
                yield [(int(indices[row[i]]), int(positions[row[i]])) for i in self.share]

    def _pictures_at(self, positions: np.ndarray) -> np.ndarray:
        """Return the pictures at ascending positions of the run, epoch after epoch."""
        count = len(self.shapes)
        epochs = range(positions[0] // count, positions[-1] // count + 1)
        orders = [
            np.random.default_rng(derive(self.seed, "epoch", epoch)).permutation(count)
            for epoch in epochs
        ]
        return np.concatenate(orders)[positions - epochs[0] * count]

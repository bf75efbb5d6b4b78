"""Largest flows in grids by augmenting paths.

Search trees are kept from path to path (Boykov and Kolmogorov, PAMI 2004), but from the source
alone: with a flow to start from most ways are short, and trees from the sink too cost more than
they save.
"""

from pathlib import Path

import numpy as np

from lib.compiled import INT, CFile, read, written

_C = CFile(Path(__file__).with_name("flow_trees.c"))
_PIXELS, _FLAGS = written(np.int32, 1), written(np.bool_, 1)
_augment = _C.function(
    "augment",
    [
        *(written(np.int64, 1), written(np.int32, 2), read(np.int64, 1), INT, _FLAGS),
        *(written(np.uint8, 1), _PIXELS, _PIXELS, _PIXELS, _FLAGS, _PIXELS),
    ],
)


def augment(
    excess: np.ndarray, capacity: np.ndarray, offsets: np.ndarray, reached: np.ndarray
) -> None:
    """Turn a flow into a largest one.

    Args:
        excess: int64 [N], see `lib.masks.grabcut.cut`; changed.
        capacity: int32 [N, 8], what can still flow in each direction; changed.
        offsets: int64 [8], from a pixel to its neighbours; ``offsets[d ^ 4] == -offsets[d]``.
        reached: bool [N], written: whether excess can still come there.
    """
    count = len(excess)
    parent, queued = np.empty(count, dtype=np.uint8), np.zeros(count, dtype=np.bool_)
    depth, stamp = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    queue, orphans = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    found = parent, depth, stamp, queue, queued, orphans
    _augment(excess, capacity, offsets, count, reached, *found)

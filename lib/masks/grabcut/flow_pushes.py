"""Largest flows by pushing excess from pixel to pixel, for grids where it has far to go.

Push-relabel (Goldberg and Tarjan, JACM 1988) up to a largest preflow, which is all that a cut
needs: a pixel's label is a lower bound of its distance, in links with room, from one that lacks,
and excess moves to smaller labels. Labels grow one by one, too slowly where the way is long, so
they are measured anew after every so many steps. Unlike augmenting paths it needs no more where
the terms of single pixels are weak and flow crosses half the picture; where little is lacking, the
measuring costs more than all of `lib.masks.grabcut.flow_trees`.
"""

from pathlib import Path

import numpy as np

from lib.compiled import INT, CFile, read, written

_C = CFile(Path(__file__).with_name("flow_pushes.c"))
_PIXELS = written(np.int32, 1)
_push = _C.function(
    "push",
    [
        *(written(np.int64, 1), written(np.int32, 2), read(np.int64, 1), INT),
        *(_PIXELS, written(np.uint8, 1), _PIXELS, _PIXELS, written(np.bool_, 1)),
    ],
)
_reach = _C.function(
    "reach",
    [
        *(read(np.int64, 1), read(np.int32, 2), read(np.int64, 1), INT),
        *(written(np.bool_, 1), _PIXELS),
    ],
)


def push(
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
    label, found, queue = (np.empty(count, dtype=np.int32) for _ in range(3))
    tried, queued = np.empty(count, dtype=np.uint8), np.zeros(count, dtype=np.bool_)
    _push(excess, capacity, offsets, count, label, tried, found, queue, queued)
    _reach(excess, capacity, offsets, count, reached, found)

"""The different values of an array, numbered as they come: a dictionary, compiled."""

from pathlib import Path

import numpy as np

from lib.compiled import INT, CFile, read, written

_VALUES = 1 << 24  # that there can be

_C = CFile(Path(__file__).with_name("palette.c"))
_number = _C.function(
    "number",
    [read(np.int32, 1), INT, INT, *[written(np.int32, 1)] * 3],
    returns=INT,
)


def number(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the different values in the order in which they first occur.

    Args:
        values: int32 [N], at least one, from 0 to 2 ** 24 - 1.

    Returns:
        int32 [N], the number of each value; and the values by number.
    """
    most = min(len(values), _VALUES)
    bits = (2 * most - 1).bit_length()  # at most half of the slots are ever taken
    slots = np.zeros(1 << bits, dtype=np.int32)
    numbers = np.empty(len(values), dtype=np.int32)
    found = np.empty(most, dtype=np.int32)
    count = _number(values, len(values), bits, slots, numbers, found)
    return numbers, found[:count].copy()

"""Access to what a grid holds, pixel by pixel."""

import numpy as np

from lib.masks.grabcut.cut import GridCut


def links_in(grid: GridCut) -> np.ndarray:
    """View of a grid's links without its frame, [H, W, 8], to write to."""
    height, width = grid.shape
    return grid.capacity.reshape(height + 2, width + 2, -1)[1:-1, 1:-1]

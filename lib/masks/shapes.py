"""Masks that need no picture: the rectangle of a box and the ellipse inscribed in it.

Paper A (Sec. 2.2) replaces GrabCut's poor results on small objects by ellipses. A pixel belongs to
a shape if its centre lies inside it; pixel (row, column) has its centre at (column + 0.5,
row + 0.5). A centre on the outline is outside, so a box without area gives an empty mask, as does
one that holds no pixel's centre. Boxes may reach beyond the image or lie outside it; the shape is
that of the whole box, the mask its part inside the image.
"""

import math
from collections.abc import Sequence

import numpy as np

from lib.masks.grabcut.exact import rectangle


def rectangle_mask(box: Sequence[float], height: int, width: int) -> np.ndarray:
    """Return the pixels whose centres lie inside a box.

    Args:
        box: xyxy in pixels.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        bool [height, width].

    Raises:
        ValueError: if the box is not four finite numbers.
    """
    return _within(box, height, width, round_off=False)


def ellipse_mask(box: Sequence[float], height: int, width: int) -> np.ndarray:
    """Return the pixels whose centres lie inside the ellipse inscribed in a box.

    Its axes are parallel to the box's sides and as long as they are (paper A, Sec. 2.2).

    Args:
        box: xyxy in pixels.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        bool [height, width].

    Raises:
        ValueError: if the box is not four finite numbers.
    """
    return _within(box, height, width, round_off=True)


def _within(box: Sequence[float], height: int, width: int, *, round_off: bool) -> np.ndarray:
    if len(box) != 4 or not all(map(math.isfinite, box)):
        raise ValueError(f"A box is {list(box)}: expected x1, y1, x2, y2, four finite numbers.")
    mask = np.zeros((height, width), dtype=bool)
    x1, y1, x2, y2 = box
    x, y, w, h = rectangle(box, height=height, width=width)
    if x2 <= x1 or y2 <= y1 or not w or not h:
        return mask
    # -1 and 1 at the sides of the box, 0 at its middle
    across = (2 * (np.arange(x, x + w) + 0.5) - x1 - x2) / (x2 - x1)
    down = ((2 * (np.arange(y, y + h) + 0.5) - y1 - y2) / (y2 - y1))[:, None]
    outward = across**2 + down**2 if round_off else np.maximum(abs(across), abs(down))
    mask[y : y + h, x : x + w] = outward < 1
    return mask

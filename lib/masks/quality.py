"""How good a mask is, judged by its box (paper A, Sec. 1) or by the true mask.

Paper A has no true masks: it compares the tight box of a mask with the given box and calls the
mask invalid below an intersection over union of 0.5.
"""

from collections.abc import Sequence

import numpy as np

from lib.masks.rle import tight_box

VALID_FROM = 0.5
"""Box IoU from which a mask is valid: "invalid if the IoU is under 0.5" (paper A, Sec. 1)."""

SMALL_SIDE = 64
"""A box is small if its area is below SMALL_SIDE squared pixels (paper A, Sec. 1)."""


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two xyxy boxes in pixels, 0 if their union is 0."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return float(intersection / union) if union > 0 else 0.0


def mask_box_iou(mask: np.ndarray, box: Sequence[float]) -> float:
    """Return the box IoU of a mask's tight box and a given box: paper A's measure of quality.

    Args:
        mask: bool [H, W].
        box: xyxy in pixels.

    Returns:
        In [0, 1]; 0 for an empty mask.
    """
    tight = tight_box(mask)
    return 0.0 if tight is None else box_iou(tight, box)


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two bool [H, W] masks; two empty ones are equal: 1."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def is_valid(iou: float, valid_from: float = VALID_FROM) -> bool:
    """Tell whether a box IoU makes a mask valid; the threshold itself counts as valid."""
    return iou >= valid_from

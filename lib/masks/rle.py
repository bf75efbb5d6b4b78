"""Masks as run-length codes at the file boundary, as boolean arrays everywhere else.

COCO files hold a mask as compressed run lengths, as plain run lengths (crowd regions) or as
polygons. All three are read; compressed run lengths are written.
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from lib.data.coco import Instance
from lib.data.segmentation import compressed, encode, mask_area

__all__ = ["Box", "area", "decode", "encode", "tight_box"]

Box = tuple[float, float, float, float]


def decode(segmentation: dict[str, Any] | list[Any] | None, height: int, width: int) -> np.ndarray:
    """Return the mask of a COCO ``segmentation`` field.

    Args:
        segmentation: run lengths (compressed or plain), a list of polygons, or an empty list for
            "no pixel at all".
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        bool [height, width].

    Raises:
        ValueError: if the run lengths are of another size than the image, or cannot be read.
    """
    if not segmentation:
        return np.zeros((height, width), dtype=bool)
    try:
        code = compressed(segmentation, height, width)
        size = [int(side) for side in code["size"]]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"A segmentation could not be read ({error}): expected run lengths with 'size' and "
            "'counts', or a list of polygons with at least three points each."
        ) from error
    if size != [height, width]:
        raise ValueError(
            f"A run-length mask is of size {size} (height, width), its image of "
            f"[{height}, {width}]: the mask belongs to another image or another scale."
        )
    return coco_mask.decode(code).astype(bool)


def decode_mask(instance: Instance, height: int, width: int) -> np.ndarray:
    """Return an instance's mask, bool [height, width]; all false where it has none."""
    return decode(instance.segmentation, height, width)


def area(segmentation: dict[str, Any] | list[Any] | None, height: int, width: int) -> int:
    """Return the number of pixels of a ``segmentation`` field, without unpacking run lengths."""
    return mask_area(segmentation, height, width) if segmentation else 0


def tight_box(mask: np.ndarray) -> Box | None:
    """Return the smallest box around a mask, or None if the mask is empty.

    Args:
        mask: bool [H, W].

    Returns:
        xyxy in pixels; the maximum is exclusive: x2 = last column + 1.
    """
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)

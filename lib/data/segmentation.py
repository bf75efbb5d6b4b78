"""COCO's three ways to write a mask, as the one that pycocotools works with."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def encode(mask: np.ndarray) -> dict[str, Any]:
    """Return the compressed run-length code of a mask, ready for a COCO file.

    Args:
        mask: [H, W], anything that numpy can read as booleans.

    Returns:
        ``{"size": [H, W], "counts": str}``.
    """
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def compressed(segmentation: dict[str, Any] | list[Any], height: int, width: int) -> Any:
    """Return compressed run lengths, plain run lengths or polygons as compressed run lengths.

    Args:
        segmentation: a COCO ``segmentation`` field that is not empty.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        ValueError: if a polygon has fewer than three points, or an odd number of values.
    """
    if isinstance(segmentation, list):
        if any(len(polygon) < 6 or len(polygon) % 2 for polygon in segmentation):
            raise ValueError("a polygon has fewer than three points or an odd number of values")
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, *segmentation["size"])
    return segmentation


def mask_area(segmentation: dict[str, Any] | list[Any], height: int, width: int) -> int:
    """Return the number of pixels of a mask, without unpacking run lengths; see ``compressed``."""
    return int(coco_mask.area(compressed(segmentation, height, width)))

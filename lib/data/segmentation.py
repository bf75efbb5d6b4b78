"""COCO's three ways to write a mask, as the one that pycocotools reads, and its run lengths."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

# A number is up to five characters that say that more follow, and a last one; longer ones would be
# more than any picture has pixels.
_COMPRESSED = re.compile(r"(?:[P-o]{0,5}[0-O])+")


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


def run_lengths(counts: str | bytes) -> np.ndarray:
    """Return the run lengths of a compressed text, int64, of background and mask in turn.

    Each run is a little-endian base-32 number, five bits to a character (from chr(48) on), 32
    marking that more follow, the last 16 the sign; from the fourth run on it is the difference to
    the run two before. pycocotools reads such a text unchecked, past its end if it is cut off.

    Raises:
        ValueError: if the text is no such code.
    """
    text = counts if isinstance(counts, str) else counts.decode("ascii", "replace")
    if not _COMPRESSED.fullmatch(text):
        raise ValueError("these are no compressed run lengths")
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes < 32)
    starts = np.r_[0, ends[:-1] + 1]
    places = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    runs = np.add.reduceat((codes & 31) << (5 * places), starts)
    runs -= np.where(codes[ends] & 16, np.int64(1) << (5 * (ends - starts + 1)), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0:
        raise ValueError("these run lengths are negative")
    return runs


def mask_area(segmentation: dict[str, Any] | list[Any], height: int, width: int) -> int:
    """Return the number of pixels of a mask, without unpacking run lengths; see ``compressed``."""
    return int(coco_mask.area(compressed(segmentation, height, width)))


def areas(codes: Sequence[Any]) -> np.ndarray:
    """Return the numbers of pixels, int64 [N], of any number of compressed run lengths.

    pycocotools counts the masks of one call in a byte: with more than 255 it fails.
    """
    parts = [coco_mask.area(list(codes[i : i + 255])) for i in range(0, len(codes), 255)]
    return np.concatenate([np.zeros(0), *parts]).astype(np.int64)

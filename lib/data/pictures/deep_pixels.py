"""Pictures of more than 8 bits a pixel as 8 bits: by the range that their values fill.

Cameras, microscopes and thermal sensors write 12 bits into 16, counts, or floats. The values are
taken as the usual range that holds them (0..1 for floats, 0..255, 0..65535) where they fill it well
enough to be seen; else they are stretched by their own range, so that no such picture turns black.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DEEP_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
"""Pillow's modes of one band with more than 8 bits."""

_DEEP_BANDS = re.compile(r"\b(RGB[AaX]?|LA);16[BLN]")
"""Several bands of 16 bits, as Pillow names what it is about to cut to 8."""

_BRIGHT = 1 / 4
"""A usual range is the one meant if the brightest pixel reaches this share of it, ..."""

_SPREAD = 1 / 32
"""... and the bulk of the pixels spreads over this share: 8 grey levels of 256."""

_BULK = (0.1, 99.9)
"""Percentiles between which the bulk lies: a hot or dead pixel must not decide."""


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture, not yet decoded, holds more than 8 bits a pixel and band."""
    raw = str(getattr(image, "tile", ""))
    return image.mode in DEEP_MODES or bool(_DEEP_BANDS.search(raw))


def to_8_bits(image: Image.Image, path: Path) -> tuple[np.ndarray, bool]:
    """Return a deep picture in 8 bits.

    Args:
        image: the opened picture.
        path: its file; Pillow cuts several bands of 16 bits to 8 by itself, OpenCV does not.

    Returns:
        uint8 RGB [H, W, 3], transparent pixels laid on white; and whether the values mean another
        range than the 16 bits, so that people should hear of it.

    Raises:
        ValueError: if OpenCV cannot decode the file.
    """
    if image.mode in DEEP_MODES:
        grey, told = _levels(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2), told
    import cv2

    deep = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.ndim != 3:
        raise ValueError("its bands of 16 bits cannot be decoded")
    rgb, told = _levels(deep[:, :, 2::-1])
    if deep.shape[2] == 4:
        opaque = deep[:, :, 3:].astype(np.float32) / 65535
        rgb = np.rint(rgb * opaque + 255 * (1 - opaque)).astype(np.uint8)
    return rgb, told


def _levels(values: np.ndarray) -> tuple[np.ndarray, bool]:
    low, high = _range(values)
    if (low, high) == (0, 65535):
        return ((values.astype(np.int64).clip(0, 65535) + 128) // 257).astype(np.uint8), False
    with np.errstate(invalid="ignore", over="ignore"):
        shares = (values.astype(np.float64) - low) / (high - low)
    shares = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(shares.clip(0, 1) * 255).astype(np.uint8), True


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the values that become black and white; they differ."""
    finite = _sample(values)
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    first, last = (float(v) for v in np.percentile(finite, _BULK))
    usual = [1.0] if values.dtype.kind == "f" else []
    full = next((top for top in (*usual, 255.0, 65535.0) if low >= 0 and high <= top), None)
    if full and (low == high or (high >= full * _BRIGHT and last - first >= full * _SPREAD)):
        return 0.0, full
    if low == high:
        return low, low + 1.0
    if 0 < last - first < (high - low) / 16:
        return first, last
    return low, high


def _sample(values: np.ndarray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the finite values as floats; where there are very many, the extremes and a part."""
    flat = values.reshape(-1)
    flat = flat[np.isfinite(flat)] if values.dtype.kind == "f" else flat
    if flat.size > 2_000_000:
        part = flat[:: flat.size // 1_000_000]
        flat = np.concatenate([part, [flat.min(), flat.max()]])
    return flat.astype(np.float64)

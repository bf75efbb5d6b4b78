"""Pictures of more than 8 bits a pixel as 8 bits: by the range that their values fill.

Cameras, microscopes and thermal sensors write 12 bits into 16, counts, or floats. The values are
taken as the usual range that holds them (0..1 for floats, 0..255, 0..65535) where they fill it well
enough to be seen; else they are stretched by their own range, so that no such picture turns black.
"""

import numpy as np
from PIL import Image

_DEEP_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
"""Pillow's modes of one band with more than 8 bits; several bands of 16 it cuts to 8 by itself."""

_BRIGHT = 1 / 4
"""A usual range is the one meant if the brightest pixel reaches this share of it, ..."""

_SPREAD = 1 / 32
"""... and the bulk of the pixels spreads over this share: 8 grey levels of 256."""

_BULK = (0.1, 99.9)
"""Percentiles between which the bulk lies: a hot or dead pixel must not decide."""


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture holds one band of more than 8 bits a pixel."""
    return image.mode in _DEEP_MODES


def to_8_bits(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return grey values of any kind in 8 bits.

    Args:
        values: [H, W]; NaN is taken for black.

    Returns:
        uint8 [H, W]; and whether the values mean another range than the 16 bits, so that people
        should hear of it.
    """
    low, high = _range(values)
    if (low, high) == (0, 65535):
        return ((values.astype(np.int64).clip(0, 65535) + 128) // 257).astype(np.uint8), False
    with np.errstate(invalid="ignore", over="ignore"):
        shares = (values.astype(np.float64) - low) / (high - low)
    shares = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(shares.clip(0, 1) * 255).astype(np.uint8), True


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the values that become black and white; they differ."""
    finite = values[np.isfinite(values)].astype(np.float64)
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

"""Noise, gradients and patterns: the stuff that painted backdrops are made of.

All functions return float32 fields [height, width]; ``noise`` and patterns lie in 0..1.
"""

import cv2
import numpy as np


def noise(
    rng: np.random.Generator,
    width: int,
    height: int,
    *,
    cell: float,
    octaves: int = 3,
    stretch: float = 1.0,
) -> np.ndarray:
    """Return smooth noise in 0..1.

    Args:
        rng: source of randomness.
        width: columns.
        height: rows.
        cell: size in pixels of the coarsest features, vertically.
        octaves: layers, each of half the size and half the strength of the one before.
        stretch: how many times longer features are horizontally.
    """
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        rows, columns = int(height / size) + 3, int(width / (size * stretch)) + 3
        grid = rng.random((rows, columns), dtype=np.float32)
        scale = (columns * size * stretch, rows * size)
        covering = (max(width, int(scale[0])), max(height, int(scale[1])))
        layer = cv2.resize(grid, covering, interpolation=cv2.INTER_CUBIC)
        total += weight * layer[:height, :width]
        weight /= 2
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def ramp(width: int, height: int, angle: float) -> np.ndarray:
    """Return a linear ramp from 0 to 1 across the field, along ``angle`` in degrees."""
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    field = np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y
    return ((field - field.min()) / max(float(np.ptp(field)), 1e-6)).astype(np.float32)


def coordinates(width: int, height: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel coordinates (along, across) of axes turned by ``angle`` degrees."""
    x = np.arange(width, dtype=np.float32)[None]
    y = np.arange(height, dtype=np.float32)[:, None]
    cos, sin = np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
    return x * cos + y * sin, y * cos - x * sin


def stripes(position: np.ndarray, period: float, share: float = 0.5) -> np.ndarray:
    """Return soft-edged stripes in 0..1 over a coordinate; ``share`` of each period is 1."""
    phase = np.abs((position / period) % 1 - 0.5) * 2
    edge = 2.0 / period
    return np.clip((share - phase) / edge + 0.5, 0, 1).astype(np.float32)


def mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return colours between ``a`` and ``b`` ([3] or [H, W, 3]) by a weight field [H, W]."""
    return (a + (b - a) * weight[..., None]).astype(np.float32)

"""What painted backdrops are made of: colours by material, noise, gradients and patterns.

Each palette belongs to one side, training or validation. Fields are float32 [height, width];
``noise`` and patterns lie in 0..1.
"""

import cv2
import numpy as np

Palette = tuple[str, ...]
"""RGB colours in hexadecimal."""

PALETTES: dict[str, dict[str, tuple[Palette, ...]]] = {
    "sky": {
        "seen": (("3f7fc4", "bcdcf2"), ("5a6f9c", "f3c9a5"), ("7d8fa3", "d8dde0")),
        "held_out": (("2f6ea8", "e8e3d0"), ("6a5f95", "f0b6b0")),
    },
    "field": {
        "seen": (("5f8f3c", "93b35a"), ("7d8f45", "b3a45c"), ("4a7a4c", "86a870")),
        "held_out": (("6b9a52", "aab86a"), ("586f33", "8d9c4b")),
    },
    "dry": {
        "seen": (("b59a58", "d6bf82"), ("a5804c", "c9a878")),
        "held_out": (("a8925f", "cdb58f"),),
    },
    "sand": {
        "seen": (("d9c294", "efdfba"), ("c4a678", "e2cba0")),
        "held_out": (("cdb899", "e9d9c0"),),
    },
    "water": {
        "seen": (("1f5f8b", "5fa8c4"), ("2c7a78", "86c4b4"), ("3c5570", "8aa3b5")),
        "held_out": (("245a7a", "79b0bd"), ("38706a", "9cc0b0")),
    },
    "snow": {
        "seen": (("cfdbe8", "f6f9fc"), ("bcc8dc", "f0efee")),
        "held_out": (("c6d4de", "f3f1ea"),),
    },
    "road": {
        "seen": (("55585e", "787b80"), ("6a645e", "8c867d")),
        "held_out": (("5d6168", "84868c"),),
    },
    "town": {
        "seen": (("8d6e5f", "c4a78c", "a3968a"), ("6d7f8f", "b5bcc0", "8f8a9c")),
        "held_out": (("9a7a66", "b8b09a", "7f8c86"),),
    },
    "wall": {
        "seen": (("d8c9b0", "c7b393"), ("b7c7c9", "a3b6ba"), ("c9b3b0", "b59c9a"),
                 ("a9b89c", "98a98a")),
        "held_out": (("cfc3c9", "bdaeb6"), ("c8cdb4", "b6bd9e")),
    },
    "wood": {
        "seen": (("8a5a34", "b98556"), ("6a4630", "946a48"), ("b08d62", "d2b48a")),
        "held_out": (("7a5238", "a8794f"), ("9c7a58", "c4a27c")),
    },
    "cloth": {
        "seen": (("b23a3a", "f2ede4"), ("3c6ea3", "eaeef2"), ("d0a94a", "f5ecd0"),
                 ("5b8a6b", "e8efe4")),
        "held_out": (("8a4f7d", "efe6ee"), ("c4703c", "f4e8dc")),
    },
    "tile": {
        "seen": (("dfe3e2", "b4c2c4"), ("e6dccb", "c9b79c"), ("c3d3cb", "9fb5a9")),
        "held_out": (("d5d9e4", "abb3c7"), ("e4d6d0", "c2aca3")),
    },
    "court": {
        "seen": (("b8643f", "c97f58"), ("3f7d6b", "5c9683")),
        "held_out": (("4a6f9c", "6b8cb3"),),
    },
    "plain": {
        "seen": (("c9c4ba", "8f9aa3"), ("b9a58f", "dccfbe"), ("7f8f7a", "b9c2a8")),
        "held_out": (("a4a0b0", "d3cfd8"), ("b0a47e", "d8d0b0")),
    },
}  # fmt: skip
"""Colours by material; the held-out ones appear in validation only."""


def choose(rng: np.random.Generator, material: str, held_out: bool) -> np.ndarray:
    """Return the colours of one palette of a material, slightly varied.

    Args:
        rng: source of randomness.
        material: a key of ``PALETTES``.
        held_out: choose among the palettes of validation.

    Returns:
        float32 [n, 3], RGB in 0..255.
    """
    options = PALETTES[material]["held_out" if held_out else "seen"]
    palette = options[rng.integers(len(options))]
    colours = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in palette], np.float32)
    return np.clip(colours * rng.uniform(0.9, 1.08) + rng.normal(0, 4, 3), 0, 255).astype(
        np.float32
    )


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

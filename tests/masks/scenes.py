"""Drawn pictures with boxes around what is drawn."""

import cv2
import numpy as np

Box = tuple[float, float, float, float]


def scene(
    seed: int, *, height: int = 60, width: int = 80, noise: float = 6.0
) -> tuple[np.ndarray, list[Box]]:
    """Shaded ellipses on a ground that changes slowly, a little blurred, uint8 RGB; some overlap.

    The boxes are a little larger than the ellipses.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    left, right = rng.uniform(20, 200, (2, 3))
    image = left + (right - left) * (columns / width)[..., None]
    boxes = []
    for _ in range(4):
        y, x = rng.uniform(0.15, 0.85, 2) * (height, width)
        high, wide = rng.uniform(0.08, 0.25, 2) * (height, width) + 2
        inside = ((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 < 1
        shade = (rows[inside] - y)[:, None] * rng.uniform(-1, 1, 3)
        image[inside] = rng.uniform(0, 255, 3) + shade
        low, most = (x - wide - 2, y - high - 2), (x + wide + 2, y + high + 2)
        boxes.append((max(low[0], 0), max(low[1], 0), min(most[0], width), min(most[1], height)))
    image = cv2.GaussianBlur(image, (0, 0), 0.8) + rng.normal(0, noise, image.shape)
    return image.clip(0, 255).astype(np.uint8), boxes


def disc() -> tuple[np.ndarray, np.ndarray]:
    """An orange disc on a blue ground, both noisy, 60 x 80, and its true mask."""
    rows, columns = np.mgrid[:60, :80]
    true = (rows - 30) ** 2 + (columns - 40) ** 2 < 13**2
    clean = np.where(true[..., None], (230, 120, 20), (20, 60, 160))
    noise = np.random.default_rng(1).normal(0, 8, clean.shape)
    return (clean + noise).clip(0, 255).astype(np.uint8), true


NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
DISC_BOX = (20.0, 15.0, 60.0, 45.0)
TWO_COLOURS = np.where(disc()[1][..., None], 200, 50).astype(np.uint8).repeat(3, axis=2)

PICTURES = {
    "noise": NOISE,
    "disc": disc()[0],
    "grey": np.repeat(NOISE[:, :, :1], 3, axis=2),
    "two colours": TWO_COLOURS,
}

NOTHING_TO_FIND = {
    "image": (0, 0, 80, 60),
    "beyond the image": (-0.4, 0, 80.4, 60),
    "pixel": (30, 30, 31, 31),
    "corner": (79, 59, 80, 60),
    "pixel astride": (10.4, 10.4, 11.3, 11.3),
    "outside": (200, 200, 210, 210),
    "beside": (80, 10, 90, 20),
}
"""Boxes of a picture of 60 x 80 that give an empty mask."""

THIN_OR_AT_THE_BORDER = [
    (10, 10, 12, 12),
    (10, 10, 11, 40),
    (10, 10, 40, 11),
    (0, 0, 80, 1),
    (0, 0, 79, 60),
    (0, 0, 80, 59),
    (1, 0, 80, 60),
    (60, 40, 80, 60),
    (0, 0, 20, 20),
    (-7.5, -3, 30.2, 90),
]
"""Boxes of a picture of 60 x 80 from which something can be learnt."""

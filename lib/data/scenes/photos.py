"""Backgrounds from the photographs that scikit-image ships, each in the public domain or CC0.

Only regions that show no object of a COCO class are used. A region belongs to one side: training
scenes and validation scenes never share pixels of a photograph.
"""

import functools
import importlib.resources
from typing import NamedTuple

import cv2
import numpy as np

from lib.data.scenes.backdrops import Painted
from lib.data.scenes.materials import choose


class Region(NamedTuple):
    """A part of a bundled picture."""

    file: str
    box: tuple[float, float, float, float]
    """xyxy as fractions of the picture."""
    held_out: bool
    tint: str | None = None
    """Material whose colours a grey texture takes on."""


REGIONS: tuple[Region, ...] = (
    Region("grass.png", (0, 0, 0.5, 1), False, "field"),
    Region("grass.png", (0.5, 0, 1, 1), True, "field"),
    Region("brick.png", (0, 0, 1, 0.5), False, "town"),
    Region("brick.png", (0, 0.5, 1, 1), True, "town"),
    Region("gravel.png", (0, 0, 0.5, 1), False, "sand"),
    Region("gravel.png", (0.5, 0, 1, 1), True, "road"),
    Region("coffee.png", (0.0, 0.0, 0.18, 1), False),
    Region("coffee.png", (0.76, 0.0, 1, 0.4), True),
    Region("rocket.jpg", (0, 0, 0.46, 0.8), False),
    Region("rocket.jpg", (0.54, 0, 1, 0.8), True),
)

LICENCES = {
    "brick.png": "CC0 (CC0Textures, Bricks25)",
    "coffee.png": "CC0 (Rachel Michetti)",
    "grass.png": "CC0 (linolafett, Grass-01)",
    "gravel.png": "CC0 (CC0Textures, Gravel04)",
    "rocket.jpg": "public domain (SpaceX)",
}
"""Licence of every photograph used, as scikit-image documents it."""


@functools.cache
def _picture(file: str) -> np.ndarray:
    """Return a bundled picture, uint8 RGB [H, W, 3]."""
    content = (importlib.resources.files("skimage") / "data" / file).read_bytes()
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def photo(
    rng: np.random.Generator, width: int, height: int, held_out: bool, *, file: str
) -> tuple[Painted, str]:
    """Return a part of a photograph as a backdrop, and its name.

    Args:
        rng: source of randomness.
        width: columns.
        height: rows.
        held_out: use the regions of validation.
        file: the photograph.
    """
    options = [region for region in REGIONS if (region.file, region.held_out) == (file, held_out)]
    region = options[rng.integers(len(options))]
    picture = _picture(region.file)
    rows, columns = picture.shape[:2]
    x1, x2 = round(region.box[0] * columns), round(region.box[2] * columns)
    y1, y2 = round(region.box[1] * rows), round(region.box[3] * rows)
    part = picture[y1:y2, x1:x2]
    fit = min(part.shape[1] / width, part.shape[0] / height) * rng.uniform(0.7, 1.0)
    w, h = max(1, int(width * fit)), max(1, int(height * fit))
    x = int(rng.integers(part.shape[1] - w + 1))
    y = int(rng.integers(part.shape[0] - h + 1))
    crop = np.ascontiguousarray(part[y : y + h, x : x + w])
    shrinks = fit > 1
    canvas = cv2.resize(
        crop, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    ).astype(np.float32)
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1].copy()
    if region.tint:
        colour = choose(rng, region.tint, held_out).mean(axis=0)
        grey = canvas.mean(axis=2, keepdims=True)
        canvas = grey / max(float(grey.mean()), 1.0) * colour
    name = f"photo:{region.file}:{x1},{y1},{x2},{y2}"
    return (np.clip(canvas, 0, 255), None), name

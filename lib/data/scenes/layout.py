"""Where things stand: which objects a scene holds, where, and what of each stays visible."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from lib.data.scenes import cutouts
from lib.data.scenes.settings import SceneSettings

VISIBLE_PIXELS_MIN = 20
"""Fewest visible pixels of an annotated object."""

Box = tuple[float, float, float, float]


@dataclass
class Layer:
    """One object on its place.

    Attributes:
        name: COCO name of its class.
        drawing: name of its drawing (see ``artwork``).
        x: column of the cut-out's left edge; may be negative.
        y: row of its upper edge; may be negative.
        rgba: float32 [h, w, 4] in 0..1, colours multiplied by alpha.
    """

    name: str
    drawing: str
    x: int
    y: int
    rgba: np.ndarray

    @property
    def box(self) -> Box:
        """The cut-out's box, xyxy in pixels; may stick out of the scene."""
        height, width = self.rgba.shape[:2]
        return self.x, self.y, self.x + width, self.y + height


def window(layer: Layer, width: int, height: int) -> tuple[slice, slice, np.ndarray] | None:
    """Return the rows and columns of the scene under a layer, and its part inside the scene.

    Returns:
        None if the layer lies outside, else (rows, columns, rgba of that window).
    """
    x1, y1, x2, y2 = (int(v) for v in layer.box)
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if left >= right or top >= bottom:
        return None
    inside = layer.rgba[top - y1 : bottom - y1, left - x1 : right - x1]
    return slice(top, bottom), slice(left, right), inside


def box_iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, xyxy."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


class Stage:
    """A scene being filled: every pixel knows the topmost object that covers it.

    A group of layers enters whole or not at all: it is refused if it, or anything it covers, would
    show too little. So nothing in a finished scene is without annotation.
    """

    def __init__(self, settings: SceneSettings) -> None:
        self.settings = settings
        self.layers: list[Layer] = []
        self.owner = np.full((settings.height, settings.width), -1, np.int16)
        self._whole: list[int] = []
        self._visible: list[int] = []

    def add(self, group: list[Layer]) -> bool:
        """Put layers on top, in order, if everything then still shows enough of itself."""
        owner, whole, visible = self.owner.copy(), list(self._whole), list(self._visible)
        for number, layer in enumerate(group, start=len(self.layers)):
            place = window(layer, self.settings.width, self.settings.height)
            if place is None:
                return False
            rows, columns, rgba = place
            solid = rgba[..., 3] > 0.5
            for below, count in zip(
                *np.unique(owner[rows, columns][solid], return_counts=True), strict=True
            ):
                if below >= 0:
                    visible[below] -= int(count)
            owner[rows, columns][solid] = number
            whole.append(int((layer.rgba[..., 3] > 0.5).sum()))
            visible.append(int(solid.sum()))
        share = self.settings.visible_min
        if any(v < max(VISIBLE_PIXELS_MIN, share * w) for v, w in zip(visible, whole, strict=True)):
            return False
        self.layers += group
        self.owner, self._whole, self._visible = owner, whole, visible
        return True

    def crowded(self, group: list[Layer]) -> bool:
        """Return whether a group's boxes overlap those of earlier objects too much."""
        limit = self.settings.overlap_max
        return any(box_iou(new.box, old.box) > limit for new in group for old in self.layers)

    def masks(self) -> list[np.ndarray]:
        """Return the visible pixels of every object, bool [H, W], in drawing order."""
        return [self.owner == number for number in range(len(self.layers))]


def cut(drawing: str, *, size: float, angle: float, flip: bool, softness: float) -> np.ndarray:
    """Return a drawing at a size, float32 [h, w, 4], colours multiplied by alpha.

    Args:
        drawing: name of the drawing (see ``artwork``).
        size: square root of the box area in pixels.
        angle: counter-clockwise turn in degrees.
        flip: mirror left and right.
        softness: standard deviation of the blur of the whole cut-out, edges included; 0 for none.
    """
    master = cutouts.load(drawing).rgba
    scale = size / float(np.sqrt(master.shape[0] * master.shape[1]))
    width, height = master.shape[1] * scale, master.shape[0] * scale
    rgba = cutouts.transform(master, width=width, height=height, angle=angle, flip=flip)
    if softness > 0:
        margin = math.ceil(2 * softness)
        rgba = cv2.copyMakeBorder(rgba, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
        rgba = cv2.GaussianBlur(rgba, (0, 0), softness)
    return rgba


def at_centre(name: str, drawing: str, rgba: np.ndarray, x: float, y: float) -> Layer:
    """Return a layer whose cut-out is centred on (x, y)."""
    height, width = rgba.shape[:2]
    return Layer(name, drawing, round(x - width / 2), round(y - height / 2), rgba)

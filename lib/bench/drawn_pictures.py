"""Pictures to measure speed on where there are no others: of COCO's size, drawn here.

JPEG files of the embedded scenes, one in four upright, with as many objects as COCO's pictures have
(seven on average) and, as there, with polygons of some twenty points for masks.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lib.data.merge import merge
from lib.data.scenes.generate import generate
from lib.data.scenes.settings import SceneSettings
from lib.data.sources import SetFiles
from lib.files import read_json, write_json
from lib.masks.rle import decode
from lib.metrics.coco_input import rectangle

OBJECTS = (4, 10)
"""Fewest and most objects of a scene: seven on average, as in COCO's training set (7.3)."""

UPRIGHT = 4
"""One picture in so many is upright; of COCO's about a quarter are."""

TOLERANCE = 1.0
"""Pixels by which a polygon may leave the edge of its mask."""


def draw_pictures(folder: Path, *, count: int, width: int, height: int, seed: int) -> SetFiles:
    """Draw pictures and write their labels, unless they are there already.

    Args:
        folder: where to; ``annotations.json`` and pictures in two folders below it.
        count: how many, at least one; every fourth is upright.
        width: of the others, and the height of the upright ones.
        height: of the others, likewise.
        seed: what they derive from.

    Returns:
        The labels, and the folder that their file names are relative to.
    """
    upright = count // UPRIGHT
    shapes = {"across": (count - upright, width, height), "upright": (upright, height, width)}
    smallest = max(SceneSettings().size_min, 8.1 / (width * height) ** 0.5)
    counts: dict[str, Any] = {
        "objects_min": OBJECTS[0],
        "objects_max": OBJECTS[1],
        "size_min": smallest,
    }
    parts = []
    for number, (name, (many, wide, high)) in enumerate(shapes.items()):
        if not many:
            continue
        settings = SceneSettings(width=wide, height=high, **counts)
        content = read_json(
            generate(folder / name, split="train", count=many, settings=settings, seed=seed)
        )
        first = 1_000_000 * number
        for image in content["images"]:
            image |= {
                "id": image["id"] + first,
                "file_name": f"{name}/images/{image['file_name']}",
            }
        for annotation in content["annotations"]:
            annotation |= {
                "id": annotation["id"] + first,
                "image_id": annotation["image_id"] + first,
                "segmentation": _polygons(annotation),
            }
        parts.append(folder / f"{name}.json")
        write_json(parts[-1], content)
    return SetFiles(merge(parts, folder / "annotations.json"), folder)


def _polygons(annotation: dict[str, Any]) -> list[list[float]]:
    """Return the outlines of an annotation's mask, or its box if they are too small."""
    code = annotation["segmentation"]
    return outlines(decode(code, *code["size"])) or rectangle(annotation["bbox"])


def outlines(mask: np.ndarray) -> list[list[float]]:
    """Return the outer edges of a mask, bool ``[H, W]``, as COCO polygons (x, y, x, y, ...)."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(edge, TOLERANCE, True).reshape(-1) for edge in found]
    return [[float(v) for v in points] for points in simple if len(points) >= 6]

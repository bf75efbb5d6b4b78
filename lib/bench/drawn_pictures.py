"""Pictures to measure speed on where there are no others: of COCO's size, drawn here.

JPEG files of the embedded scenes, one in four upright, with as many objects as COCO's pictures have
(seven on average) and, as there, with polygons of some twenty points for masks.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

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
    fewest, most = OBJECTS
    smallest = max(SceneSettings().size_min, 8.1 / (width * height) ** 0.5)
    objects: dict[str, Any] = {"objects_min": fewest, "objects_max": most, "size_min": smallest}
    upright = count // UPRIGHT
    shapes = {"across": (count - upright, width, height), "upright": (upright, height, width)}
    content: dict[str, Any] = {"images": [], "annotations": []}
    for name, (many, wide, high) in shapes.items():
        if not many:
            continue
        settings = SceneSettings(width=wide, height=high, **objects)
        made = read_json(
            generate(folder / name, split="train", count=many, settings=settings, seed=seed)
        )
        images, boxes = len(content["images"]), len(content["annotations"])
        for image in made["images"]:
            image["id"] += images
            image["file_name"] = f"{name}/images/{image['file_name']}"
        for annotation in made["annotations"]:
            annotation["id"] += boxes
            annotation["image_id"] += images
            code = annotation["segmentation"]
            outline = outlines(decode(code, *code["size"]))
            annotation["segmentation"] = outline or rectangle(annotation["bbox"])
        content["images"] += made["images"]
        content["annotations"] += made["annotations"]
        content["categories"] = made["categories"]
    write_json(folder / "annotations.json", content)
    return SetFiles(folder / "annotations.json", folder)


def outlines(mask: np.ndarray) -> list[list[float]]:
    """Return the outer edges of a mask, bool ``[H, W]``, as COCO polygons (x, y, x, y, ...).

    An edge too small for a polygon is left out.
    """
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(edge, TOLERANCE, True).reshape(-1) for edge in found]
    return [[float(v) for v in points] for points in simple if len(points) >= 6]

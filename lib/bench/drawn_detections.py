"""Ground truth and detections as many as on COCO, drawn from a seed, to time an evaluation with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from lib.data.categories import COCO_CLASSES
from lib.metrics.coco_input import rectangle
from lib.seeds import derive

Labels = dict[str, Any]
Result = dict[str, Any]

WIDTH, HEIGHT = 640, 480
OBJECTS_PER_IMAGE = 7.4
"""Mean number of objects, as on COCO's validation images; some images have none there, too."""

CROWD_SHARE = 0.01


def draw_labels(images: int, *, seed: int) -> Labels:
    """Return ground truth with outlines of drawn blobs as polygons, crowds as run lengths."""
    rng = np.random.default_rng(derive(seed, "evaluation", "labels"))
    frequency = 1 / np.arange(3, len(COCO_CLASSES) + 3)  # a few classes have most objects
    frequency /= frequency.sum()
    ids = [category_id for category_id, _ in COCO_CLASSES]
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        for _ in range(rng.geometric(1 / (OBJECTS_PER_IMAGE + 1)) - 1):
            polygons = [_blob(rng).ravel().tolist()]
            code = _code(polygons, HEIGHT, WIDTH)
            crowd = bool(rng.random() < CROWD_SHARE)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.choice(ids, p=frequency)),
                    "bbox": mask_api.toBbox(code).tolist(),
                    "area": float(mask_api.area(code)),
                    "iscrowd": int(crowd),
                    "segmentation": code if crowd else polygons,
                }
            )
    size = {"width": WIDTH, "height": HEIGHT}
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", **size} for i in range(1, images + 1)],
        "categories": [{"id": i, "name": name} for i, name in COCO_CLASSES],
        "annotations": annotations,
    }


def draw_detections(labels: Mapping[str, Any], *, per_image: int, seed: int) -> list[Result]:
    """Return COCO results with boxes and masks, so many on each image: polygons moved a little.

    Without a polygon in the labels, boxes are moved.

    Args:
        labels: with an object at least.
        per_image: how many.
        seed: what they derive from.
    """
    objects = labels["annotations"]
    outlined = [a for a in objects if isinstance(a["segmentation"], list) and a["segmentation"]]
    outlined = [a for a in outlined if len(a["segmentation"][0]) >= 6]
    outlined = outlined or [a | {"segmentation": rectangle(a["bbox"])} for a in objects]
    of_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in outlined:
        of_image.setdefault(annotation["image_id"], []).append(annotation)
    ids = [category["id"] for category in labels["categories"]]
    results = []
    for image in labels["images"]:
        size = image["height"], image["width"]
        rng = np.random.default_rng(derive(seed, "evaluation", image["id"]))
        own = of_image.get(image["id"], [])
        for k in range(per_image):
            from_here = bool(own) and k < per_image // 2
            source = own[k % len(own)] if from_here else outlined[rng.integers(len(outlined))]
            code = _moved(source["segmentation"], rng, size, near=from_here)
            same = from_here and rng.random() < 0.7
            results.append(
                {
                    "image_id": image["id"],
                    "category_id": source["category_id"] if same else ids[rng.integers(len(ids))],
                    "bbox": [round(v, 2) for v in mask_api.toBbox(code).tolist()],
                    "score": round(float(rng.beta(4, 3) if from_here else rng.beta(1, 4)), 5),
                    "segmentation": code,
                }
            )
    return results


def _blob(rng: np.random.Generator) -> np.ndarray:
    """Return the outline of an object: [V, 2] x, y in pixels, star-shaped and uneven."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(12, 40)))
    radius = np.exp(rng.uniform(np.log(5), np.log(140)))
    radii = radius * rng.uniform(0.6, 1.2, len(angles))
    centre = rng.uniform(0.05, 0.95, 2) * [WIDTH, HEIGHT]
    points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return points.clip(0, [WIDTH, HEIGHT]).round(2)


def _moved(
    polygons: Sequence[Sequence[float]],
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    near: bool,
) -> dict[str, Any]:
    """Return the mask of outlines moved a little (or anywhere) and scaled about their middle."""
    parts = [np.reshape(polygon, (-1, 2)) for polygon in polygons if len(polygon) >= 6]
    points = np.concatenate(parts)
    extent = points.max(axis=0) - points.min(axis=0)
    middle = points.min(axis=0) + extent / 2
    target = middle + rng.normal(0, 0.07, 2) * extent if near else rng.random(2) * size[::-1]
    scale = rng.normal(1, 0.08, 2)
    outlines = [((part - middle) * scale + target).ravel().tolist() for part in parts]
    return _code(outlines, *size)


def _code(polygons: list[list[float]], height: int, width: int) -> dict[str, Any]:
    """Return the run-length code of outlines as a JSON file has it."""
    code = mask_api.merge(mask_api.frPyObjects(polygons, height, width))
    return {"size": [height, width], "counts": code["counts"].decode("ascii")}

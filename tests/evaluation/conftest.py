from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api

HEIGHT, WIDTH = 90, 120
Made = tuple[dict[str, Any], list[dict[str, Any]]]


def rle_of(box: np.ndarray, *, ellipse: bool = True) -> dict[str, Any]:
    """Return the RLE of the ellipse (or rectangle) inside an xywh box, on the test canvas."""
    x, y, w, h = box
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    if ellipse:
        mask = ((columns - x - w / 2) / (w / 2)) ** 2 + ((rows - y - h / 2) / (h / 2)) ** 2 <= 1
    else:
        mask = (columns > x) & (columns < x + w) & (rows > y) & (rows < y + h)
    rle = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


@pytest.fixture(scope="session")
def random_set() -> Callable[..., Made]:
    """Return a maker of random ground truth and detections: jittered, duplicated, missed, false.

    Scores are distinct, so that no tie has to be broken.
    """

    def make(
        seed: int, *, images: int = 12, classes: int = 4, per_image: int = 6, crowds: bool = True
    ) -> Made:
        rng = np.random.default_rng(seed)
        truth, found = [], []
        for image in range(1, images + 1):
            for _ in range(rng.integers(0, per_image + 1)):
                size = rng.uniform(6, 60, 2)
                box = np.r_[rng.uniform(0, [WIDTH, HEIGHT] - size), size].round(2)
                category = int(rng.integers(1, classes + 1)) * 3
                rle = rle_of(box)
                crowd = int(crowds and rng.random() < 0.1)
                truth.append(
                    {
                        "id": len(truth) + 1,
                        "image_id": image,
                        "category_id": category,
                        "bbox": box.tolist(),
                        "area": float(mask_api.area(rle)),
                        "iscrowd": crowd,
                        "segmentation": rle,
                    }
                )
                for _ in range(rng.integers(0, 3)):
                    moved = (box + rng.normal(0, 0.06, 4) * np.r_[size, size]).clip(1)
                    other = int(rng.integers(1, classes + 1)) * 3
                    found.append((image, category if rng.random() < 0.8 else other, moved))
            for _ in range(rng.integers(0, 3)):
                size = rng.uniform(6, 60, 2)
                box = np.r_[rng.uniform(0, [WIDTH, HEIGHT] - size), size]
                found.append((image, int(rng.integers(1, classes + 1)) * 3, box))
        scores = rng.permutation(len(found)) / max(len(found), 1)
        detections = [
            {
                "image_id": image,
                "category_id": category,
                "score": float(score),
                "bbox": box.tolist(),
                "segmentation": rle_of(box),
            }
            for (image, category, box), score in zip(found, scores, strict=True)
        ]
        labels = {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH}
                for i in range(1, images + 1)
            ],
            "categories": [{"id": 3 * k, "name": f"class {k}"} for k in range(1, classes + 1)],
            "annotations": truth,
        }
        return labels, detections

    return make


@pytest.fixture(scope="session")
def rectangles() -> Callable[..., Made]:
    """Return a maker of tiny sets: lists of (image, category, box xywh) and the same + score."""

    def make(
        truth: list[tuple[int, int, list[float]]],
        found: list[tuple[int, int, list[float], float]],
        *,
        images: int = 1,
        classes: int = 1,
    ) -> Made:
        annotations = [
            {
                "id": n,
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "segmentation": rle_of(np.array(box), ellipse=False),
            }
            for n, (image, category, box) in enumerate(truth)  # ids from 0, on purpose
        ]
        detections = [
            {
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "score": score,
                "segmentation": rle_of(np.array(box), ellipse=False),
            }
            for image, category, box, score in found
        ]
        labels = {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH}
                for i in range(1, images + 1)
            ],
            "categories": [{"id": k, "name": f"class {k}"} for k in range(1, classes + 1)],
            "annotations": annotations,
        }
        return labels, detections

    return make

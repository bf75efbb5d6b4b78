"""A small sound set of three pictures, which tests bend to their purpose."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask


def rle_of(mask: np.ndarray) -> dict[str, Any]:
    """Return the compressed RLE of a mask [H, W] as JSON holds it."""
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


@pytest.fixture
def content() -> dict[str, Any]:
    """Three images of 40 x 30 pixels; a polygon, an RLE mask, a box alone; one without objects."""
    mask = np.zeros((30, 40), bool)
    mask[5:15, 10:30] = True
    return {
        "info": {"description": "test"},
        "licenses": [{"id": 1, "name": "CC0"}],
        "images": [
            {"id": 7, "file_name": "ä 1.jpg", "width": 40, "height": 30, "license": 1},
            {"id": 3, "file_name": "b.jpg", "width": 40, "height": 30},
            {"id": 9, "file_name": "c.png", "width": 40, "height": 30},
        ],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 4, "bbox": [10, 5, 20, 10], "iscrowd": 0,
             "area": 200, "segmentation": rle_of(mask), "difficult": 1},
            {"id": 12, "image_id": 7, "category_id": 90, "bbox": [1.5, 2.25, 10.5, 8]},
            {"id": 5, "image_id": 3, "category_id": 4, "bbox": [0, 0, 40, 30], "area": 600,
             "segmentation": [[0, 0, 40, 0, 40, 30]]},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 4, "name": "motorbike"}],
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, content: dict[str, Any]) -> Path:
    """The pictures of ``content``."""
    root = tmp_path / "pictures"
    root.mkdir()
    rng = np.random.default_rng(0)
    for image in content["images"]:
        pixels = rng.integers(0, 255, (image["height"], image["width"], 3), np.uint8)
        Image.fromarray(pixels).save(root / image["file_name"])
    return root


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a JSON file and return its path. NaN may be in it, as careless tools write it."""

    def write(value: Any) -> Path:
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        return path

    return write

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.data.coco import CocoSet, load

MakeSet = Callable[..., CocoSet]


def picture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Noise around a dark colour with three brighter rectangles."""
    pixels = rng.normal(60, 12, (height, width, 3))
    for _ in range(3):
        x, y = rng.integers(4, width - 24), rng.integers(4, height - 24)
        pixels[y : y + 16, x : x + 18] += rng.uniform(50, 150, 3)
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    """Write a small set of pictures with boxes and open it."""

    def make(
        *, images: int = 5, boxes: int = 3, seed: int = 0, size: tuple[int, int] = (72, 60)
    ) -> CocoSet:
        rng = np.random.default_rng(seed)
        width, height = size
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        content: dict = {
            "info": {"description": "made"},
            "images": [],
            "annotations": [],
            "categories": [{"id": 3, "name": "car"}, {"id": 7, "name": "train"}],
        }
        for image_id in range(1, images + 1):
            name = f"näme {image_id}.png"
            Image.fromarray(picture(rng, width, height)).save(folder / name)
            content["images"].append(
                {"id": image_id, "file_name": name, "width": width, "height": height}
            )
            for number in range(boxes):
                x, y = rng.integers(0, width - 30), rng.integers(0, height - 30)
                w, h = rng.integers(5, 30, 2)
                content["annotations"].append(
                    {
                        "id": 100 * image_id + number,
                        "image_id": image_id,
                        "category_id": 3 if number % 2 else 7,
                        "bbox": [float(x), float(y), float(w), float(h)],
                        "area": float(w * h),
                        "iscrowd": 0,
                        "segmentation": [[x, y, x + w, y, x + w, y + h]],
                        "difficult": number % 2,
                    }
                )
        content = json.loads(json.dumps(content, default=float))
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return load(path, folder)

    return make

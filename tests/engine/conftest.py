"""A training set of a few drawn scenes, and a model that trains on it in seconds."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lib.data.coco import CocoSet, load
from lib.engine.config import TrainConfig
from lib.files import write_json
from lib.masks.rle import encode
from tests.models.conftest import tiny_config

NAMES = ["person", "cat", "cup", "laptop"]  # two of the voc split, two that are not
WIDTH, HEIGHT = 80, 64


def draw_set(folder: Path, *, count: int = 6, seed: int = 0) -> CocoSet:
    """Write a set whose classes are rectangles of different colours; some lack masks."""
    random = np.random.default_rng(seed)
    images, annotations = [], []
    (folder / "images").mkdir(parents=True)
    for image_id in range(1, count + 1):
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for _ in range(0 if image_id == 2 else 3):
            category = int(random.integers(0, len(NAMES)))
            x, y = (int(v) for v in random.integers(0, [WIDTH - 24, HEIGHT - 24]))
            w, h = (int(v) for v in random.integers(12, 24, 2))
            picture[y : y + h, x : x + w] = 40 * category + 60, 200 - 30 * category, 120
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[y : y + h, x : x + w] = True
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category + 1,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": [] if len(annotations) % 4 == 3 else encode(mask),
                }
            )
        cv2.imwrite(str(folder / "images" / f"{image_id}.png"), picture)
        images.append(
            {"id": image_id, "file_name": f"{image_id}.png", "width": WIDTH, "height": HEIGHT}
        )
    write_json(
        folder / "annotations.json",
        {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)],
        },
    )
    return load(folder / "annotations.json", folder / "images")


def dense(target: dict[str, Any], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return a sample's masks pixel by pixel, bool ``[M, height, width]``."""
    owners, places = target["mask_edges"].numpy()
    masks = np.zeros((len(target["mask_frames"]), height, width), bool)
    for number, (_, _, mirrored) in enumerate(target["mask_frames"].tolist()):
        changes = np.zeros(height * width, int)
        changes[places[owners == number]] = 1
        mask = (np.cumsum(changes) % 2 == 1).reshape(width, height).T
        masks[number] = mask[:, ::-1] if mirrored else mask
    return masks


@pytest.fixture
def drawn(tmp_path: Path) -> CocoSet:
    return draw_set(tmp_path / "set")


def tiny_run(folder: Path, *, method: str = "opmask", **changes: object) -> TrainConfig:
    settings: dict[str, object] = {
        "model": tiny_config(method),
        "annotations": str(folder / "set" / "annotations.json"),
        "images": str(folder / "set" / "images"),
        "out": str(folder / "out"),
        "iterations": 6,
        "batch_size": 2,
        "learning_rate": 0.01,
        "warmup": 2,
        "steps": (4,),
        "checkpoint_every": 2,
        "log_every": 1,
        "device": "cpu",
    }
    return TrainConfig.model_validate(settings | changes)

"""A measurement of masks made by hand: two boxes an image, every image like every other one."""

from typing import Any

import numpy as np

from lib.masks import rle

DRAWN = {"resamples": 60, "seed": 0}


def mask(columns: int) -> dict[str, Any]:
    """A 10 x 10 mask whose first columns are set: its IoU with another is a ratio of columns."""
    pixels = np.zeros((10, 10), dtype=bool)
    pixels[:, :columns] = True
    return rle.encode(pixels)


def row(run: str, box: int, image: int, **values: Any) -> dict[str, Any]:
    made = {
        "run": run, "annotation_id": box, "image_id": image, "box_area": 20.0**2,
        "image_area": 100, "image_boxes": 2, "seconds": 1.0, "prepare_seconds": 0.0,
        "decode_seconds": 0.25, "box_iou": 0.9, "true_iou": 0.5, "segmentation": mask(10),
    }  # fmt: skip
    return made | values


def measured(images: int = 6) -> dict[str, Any]:
    """Two boxes an image, one of 20 x 20 pixels and one of 100 x 100."""
    rows = []
    for image in range(1, images + 1):
        for n, side in enumerate((20.0, 100.0)):
            box = {"box": 10 * image + n, "image": image, "box_area": side**2}
            slow = 8.0 if n else 4.0
            rows += [
                row("exact", **box, seconds=slow, segmentation=mask(8)),
                row("other_seed", **box, seconds=slow + 2, segmentation=mask(4), true_iou=0.7),
                row(
                    "fast", **box, seconds=2.5 if n else 0.5, prepare_seconds=0.5,
                    segmentation=mask(8 if n else 4), true_iou=0.65,
                    box_iou=0.3 if n == 0 and image <= 3 else 0.9,
                ),
            ]  # fmt: skip
    memory = {"decoded": 100.0, "warm": 110.0, "peak": 150.0}
    return {
        "rows": rows,
        "memory": {"exact": memory, "fast": memory | {"peak": 125.0}},
        "workers": {"boxes": 40, "images": 9, "one": 6.0, "two": 4.0},
    }

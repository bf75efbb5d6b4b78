"""A model of the smallest useful size, and targets for it."""

import pytest
import torch
from torch import Tensor

from lib.models.build import build_model
from lib.models.config import ModelConfig
from lib.models.detector import Detector

CLASSES = 4


def tiny_config(method: str = "opmask", **changes: object) -> ModelConfig:
    settings: dict[str, object] = {
        "method": method,
        "backbone": "small",
        "fpn_channels": 8,
        "box_channels": (8, 8),
        "mask_channels": 8,
        "mask_layers": 2,
        "anchor_sizes": (8, 16, 32, 64, 128),
        "min_size": (64,),
        "max_size": 96,
        "rpn_proposals": 30,
        "rois_per_image": 16,
    }
    return ModelConfig.model_validate(settings | changes)


def tiny_model(method: str = "opmask", seed: int = 0, **changes: object) -> Detector:
    torch.manual_seed(seed)
    return build_model(tiny_config(method, **changes), num_classes=CLASSES)


def images_and_targets(
    count: int = 2, seed: int = 0
) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Images of 64 x 80 with three boxes each; the first and the last have masks."""
    generator = torch.Generator().manual_seed(seed)
    images, targets = [], []
    for _ in range(count):
        images.append(torch.rand(3, 64, 80, generator=generator))
        corner = torch.rand(3, 2, generator=generator) * 30
        side = 12 + torch.rand(3, 2, generator=generator) * 20
        boxes = torch.cat([corner, corner + side], 1)
        masks = torch.zeros(2, 64, 80, dtype=torch.uint8)
        for mask, box in zip(masks, boxes[[0, 2]], strict=True):
            x1, y1, x2, y2 = box.round().int().tolist()
            mask[y1:y2, x1 : (x1 + x2) // 2] = 1
        targets.append(
            {
                "boxes": boxes,
                "labels": torch.randint(1, CLASSES + 1, (3,), generator=generator),
                "masks": masks,
                "mask_index": torch.tensor([0, -1, 1]),
            }
        )
    return images, targets


@pytest.fixture
def batch() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    return images_and_targets()

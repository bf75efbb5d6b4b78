"""What a trained model is given: pictures, and ground-truth boxes with their classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.data.categories import Categories
from lib.data.coco import CocoSet, Instance
from lib.data.pictures.images import ImageRecord, read_image
from lib.training.checkpoint import TrainedModel


def picture(record: ImageRecord) -> Tensor:
    """Return an image as models take it: float32 ``[3, H, W]`` RGB in 0..1."""
    return pixels(record).float() / 255


def pixels(record: ImageRecord) -> Tensor:
    """Return an image as it is stored: uint8 ``[3, H, W]`` RGB."""
    return torch.from_numpy(read_image(record)).permute(2, 0, 1).contiguous()


def objects(coco: CocoSet, image_id: int) -> list[Instance]:
    """Return the labelled objects of an image, crowd regions left out."""
    return [x for x in coco.instances(image_id) if not x.iscrowd]


def boxes_and_labels(instances: Sequence[Instance], device: torch.device) -> dict[str, Tensor]:
    """Return instances as a model takes them: ``boxes`` ``[N, 4]`` xyxy pixels and ``labels``."""
    return {
        "boxes": torch.tensor([x.box for x in instances], device=device).reshape(-1, 4),
        "labels": torch.tensor([x.label for x in instances], device=device, dtype=torch.long),
    }


def require_classes(trained: TrainedModel, categories: Categories) -> None:
    """Make sure that a model and a set have the same classes.

    Raises:
        ValueError: if they do not.
    """
    if trained.categories.names != categories.names:
        raise ValueError(
            f"The model knows {', '.join(list(trained.categories.names)[:5])}, ..., but the set "
            f"has {', '.join(list(categories.names)[:5])}, ...; evaluate a model on a set "
            "with the classes that it was trained for."
        )


def require_maps(trained: TrainedModel) -> None:
    """Make sure that a model has class activation maps.

    Raises:
        ValueError: if its box head keeps no map.
    """
    if trained.config.box_head != "conv":
        raise ValueError(
            "Class activation maps need a model whose box head is 'conv'; this one's is "
            f"{trained.config.box_head!r}, two fully connected layers, which keep no map."
        )

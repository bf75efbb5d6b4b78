"""The models that are compared: torchvision's Mask R-CNN and the study's, training and at test."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lib.bench.torchvision_reference import (
    ReferenceLearner,
    build_reference,
    reference_loader,
)
from lib.bench.training_steps import Start, Trainer
from lib.bench.untrained import keep_busy, settle
from lib.data.coco import CocoSet
from lib.masks import rle
from lib.models.build import build_model
from lib.training.config import TrainConfig
from lib.training.dataset import loader
from lib.training.distributed import World
from lib.training.inputs import picture
from lib.training.learner import Learner, mixed_precision
from lib.training.predictions import encode_masks
from lib.training.supervision import supervision_of

REFERENCE = "torchvision"
"""Name of the model that the others are compared with."""

SINGLE = "float32"
FIRST = 8
"""Pictures whose objects are found at test, wherever a model looks."""


class Detections(nn.Module):
    """A model from a picture to boxes and run-length codes, as a user gets them.

    Args:
        model: the detector, in evaluation mode.
        precision: ``float32``, or the type of the autocast.
    """

    def __init__(self, model: nn.Module, precision: str) -> None:
        super().__init__()
        self.model = model
        self.precision = None if precision == SINGLE else getattr(torch, precision)

    def forward(self, images: list[Tensor]) -> list[dict[str, Any]]:
        """Return the boxes and codes found in each picture."""
        mixed = self.precision is not None
        with torch.autocast(images[0].device.type, dtype=self.precision, enabled=mixed):
            results = self.model(images)
        return [
            {"boxes": result["boxes"].cpu(), "codes": _codes(result, *image.shape[-2:])}
            for image, result in zip(images, results, strict=True)
        ]


def _codes(result: dict[str, Tensor], height: int, width: int) -> list[Any]:
    """Return the run-length codes of masks, each model's in its own way."""
    if "masks" in result:  # torchvision's: as large as the picture
        return [rle.encode(mask[0].numpy()) for mask in result["masks"].cpu() > 0.5]
    if "mask_probs" in result:  # ours: within the boxes
        return encode_masks(result["mask_probs"], result["boxes"], height, width)
    return []


class ComparedModels:
    """torchvision's model and the study's, on the same pictures.

    Args:
        configs: the study's, by name.
        coco: the pictures.
        options: of the command line of `lib.bench.models`: what all models share.
        device: where all run.

    Raises:
        ValueError: if the first pictures have no object.
    """

    def __init__(
        self,
        configs: Mapping[str, TrainConfig],
        coco: CocoSet,
        options: Namespace,
        device: torch.device,
    ) -> None:
        self.configs, self.coco, self.options, self.device = configs, coco, options, device
        boxes = [
            (x1 / image.width, y1 / image.height, x2 / image.width, y2 / image.height)
            for image in coco.images[:FIRST]
            for x1, y1, x2, y2 in (i.box for i in coco.instances(image.id) if not i.iscrowd)
        ]
        if not boxes:
            raise ValueError(
                f"{coco.annotations_path}: the first pictures have no object to find. "
                "Name a set with labels."
            )
        self.to_find = [boxes[i % len(boxes)] for i in range(options.detections)]

    def model(self, name: str) -> Any:
        """Return a model on the device, random but busy; see :mod:`lib.bench.untrained`."""
        torch.manual_seed(0)
        options = self.options
        if name == REFERENCE:
            rois = {"rois_per_image": options.rois} if options.rois else {}
            sizes = {"min_size": options.min_size, "max_size": options.max_size}
            model: Any = build_reference(**sizes, **rois)
        else:
            model = build_model(self.configs[name].model, num_classes=len(self.coco.categories))
        model.to(self.device)
        batch, _ = model.eval().transform([picture(self.coco.images[0]).to(self.device)])
        settle(model.backbone, batch.tensors)
        keep_busy(model, foreground=options.foreground, boxes=self.to_find)
        return model

    def trainings(self) -> dict[tuple[str, str], Start]:
        """Return how trainings start, torchvision's first, in each precision of the device."""
        return {
            (name, self._precision(name, amp)): partial(self._train, name, amp)
            for name in (REFERENCE, *self.configs)
            for amp in ((False, True) if self.device.type == "cuda" else (False,))
        }

    def finders(self) -> dict[str, Detections]:
        """Return the models at test, by name and precision."""
        return {
            f"{name} {precision}": Detections(self.model(name), precision).eval()
            for name, precision in self.trainings()
        }

    def _precision(self, name: str, amp: bool) -> str:
        if not amp:
            return SINGLE
        if name == REFERENCE:
            return "float16"
        config = self.configs[name].model_copy(update={"amp": "auto"})
        return str(mixed_precision(config, self.device) or torch.float32).removeprefix("torch.")

    def _train(self, name: str, amp: bool, turn: int) -> tuple[Trainer, Iterator[Any]]:
        model = self.model(name).train()
        if name == REFERENCE:
            amounts = {"batch_size": self.options.batch, "workers": self.options.loaders}
            learner = ReferenceLearner(model, self.device, amp=amp)
            return learner, reference_loader(self.coco, **amounts, seed=turn)
        changes = {"amp": "auto" if amp else "none", "seed": turn}
        config, world = self.configs[name].model_copy(update=changes), World(self.device)
        supervision = supervision_of(config, self.coco)
        batches = loader(config, self.coco, supervision, 0, world=world)
        return Learner(config, model, world), batches

"""The models that are compared: torchvision's Mask R-CNN and the study's, training and at test."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lib.bench.inference import draw_images
from lib.bench.torchvision_reference import (
    ReferenceLearner,
    ReferenceSet,
    build_reference,
    encode_full,
    reference_loader,
)
from lib.bench.training_steps import Start, Trainer
from lib.bench.untrained import keep_busy, settle
from lib.data.coco import CocoSet
from lib.models.build import build_model
from lib.training.config import TrainConfig
from lib.training.dataset import TrainingSet, loader
from lib.training.distributed import World
from lib.training.inputs import picture
from lib.training.learner import Learner, mixed_precision
from lib.training.predictions import encode_masks
from lib.training.supervision import supervision_of

REFERENCE = "torchvision"
"""Name of the model that the others are compared with."""

SINGLE = "float32"
LOADED = 8
"""Pictures whose loading is timed."""


@dataclass(frozen=True)
class Shared:
    """What all models of a comparison have in common.

    Attributes:
        batch: pictures per training step.
        workers: processes that load them.
        min_size: shorter side after resizing, pixels.
        max_size: limit of the longer side.
        rois: RoIs per training picture; 0: as each model says.
        box_channels: of box heads of convolutions; empty: as each model says.
        foreground: proposals near the objects of a training picture, the objects included.
        detections: objects found in a picture.
    """

    batch: int
    workers: int
    min_size: int
    max_size: int
    rois: int
    box_channels: Sequence[int]
    foreground: int
    detections: int


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
        return encode_full(result)
    if "mask_probs" in result:  # ours: within the boxes
        return encode_masks(result["mask_probs"], result["boxes"], height, width)
    return []


class ComparedModels:
    """torchvision's model and the study's, on the same pictures.

    Args:
        configs: the study's, by name.
        coco: the pictures.
        shared: what they have in common with torchvision's.
        device: where all run.

    Raises:
        ValueError: if the first pictures have no object.
    """

    def __init__(
        self,
        configs: Mapping[str, TrainConfig],
        coco: CocoSet,
        shared: Shared,
        device: torch.device,
    ) -> None:
        self.configs, self.coco, self.shared, self.device = configs, coco, shared, device
        few = draw_images(coco, LOADED)
        self.sample = picture(few[0])
        self.boxes = [
            (x1 / image.width, y1 / image.height, x2 / image.width, y2 / image.height)
            for image in few
            for x1, y1, x2, y2 in (i.box for i in coco.instances(image.id) if not i.iscrowd)
        ]
        if not self.boxes:
            raise ValueError(
                f"{coco.annotations_path}: the first pictures have no object to find. "
                "Name a set with labels."
            )

    def model(self, name: str) -> Any:
        """Return a model on the device, random but busy; see :mod:`lib.bench.untrained`."""
        torch.manual_seed(0)
        shared = self.shared
        if name == REFERENCE:
            sizes = {"min_size": shared.min_size, "max_size": shared.max_size}
            rois = {"rois_per_image": shared.rois} if shared.rois else {}
            model: Any = build_reference(**sizes, **rois)
        else:
            model = build_model(self.configs[name].model, num_classes=len(self.coco.categories))
        model.to(self.device)
        batch, _ = model.eval().transform([self.sample.to(self.device)])
        settle(model.backbone, batch.tensors)
        found = [self.boxes[i % len(self.boxes)] for i in range(shared.detections)]
        keep_busy(model, foreground=shared.foreground, boxes=found)
        return model

    def trainings(self) -> dict[tuple[str, str], Start]:
        """Return how trainings start, torchvision's first, in each precision of the device."""
        return {
            (name, self._precision(name, amp)): partial(
                self._train_reference if name == REFERENCE else self._train, name, amp
            )
            for name in (REFERENCE, *self.configs)
            for amp in ((False, True) if self.device.type == "cuda" else (False,))
        }

    def finders(self) -> dict[str, Detections]:
        """Return the models at test, by name and precision."""
        return {
            f"{name} {precision}": Detections(self.model(name), precision).eval()
            for name, precision in self.trainings()
        }

    def loading(self) -> dict[str, float]:
        """Return the seconds that one core needs to load a training picture, by whose loader."""
        sets: dict[str, Any] = {REFERENCE: ReferenceSet(self.coco, seed=0)}
        for config in [c for c in self.configs.values() if c.model.has_masks][:1]:
            supervision = supervision_of(config, self.coco)
            sets["ours"] = TrainingSet(
                self.coco, supervision=supervision, flip=config.flip, seed=config.seed
            )
        times: dict[str, list[float]] = {name: [] for name in sets}
        for index in range(min(LOADED, len(self.coco.images))):
            for name, samples in sets.items():
                begin = time.perf_counter()
                samples[index, index]
                times[name].append(time.perf_counter() - begin)
        return {name: statistics.median(values) for name, values in times.items()}

    def _precision(self, name: str, amp: bool) -> str:
        if not amp:
            return SINGLE
        if name == REFERENCE:
            return "float16"
        config = self.configs[name].model_copy(update={"amp": "auto"})
        return str(mixed_precision(config, self.device) or torch.float32).removeprefix("torch.")

    def _train_reference(self, name: str, amp: bool, turn: int) -> tuple[Trainer, Iterator[Any]]:
        learner = ReferenceLearner(self.model(name).train(), self.device, amp=amp)
        size, workers = self.shared.batch, self.shared.workers
        return learner, reference_loader(self.coco, batch_size=size, workers=workers, seed=turn)

    def _train(self, name: str, amp: bool, turn: int) -> tuple[Trainer, Iterator[Any]]:
        changes = {"amp": "auto" if amp else "none", "seed": turn}
        config = self.configs[name].model_copy(update=changes)
        world = World(self.device)
        learner = Learner(config, self.model(name).train(), world)
        return learner, loader(config, self.coco, supervision_of(config, self.coco), 0, world=world)

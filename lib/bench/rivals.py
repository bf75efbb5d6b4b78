"""Who is measured: torchvision's Mask R-CNN and the study's models, training and at test."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lib.bench.contest import Contestant
from lib.bench.inference import draw_images
from lib.bench.stand_in import StandIn, settle
from lib.bench.step_profile import Trainer
from lib.bench.torchvision_reference import (
    ReferenceLearner,
    ReferenceSet,
    build_reference,
    encode_full,
    reference_loader,
)
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
SINGLE = "float32"
LOADED = 8
"""Pictures whose loading is timed."""


@dataclass(frozen=True)
class Shared:
    """What all models of a run have in common.

    Attributes:
        batch: pictures per training step.
        workers: processes that load them.
        min_size: shorter side after resizing, pixels.
        max_size: limit of the longer side.
        rois: RoIs per training picture; 0: as each model says.
        foreground: proposals near the objects of a training picture, the objects included.
        detections: objects found in a picture.
    """

    batch: int
    workers: int
    min_size: int
    max_size: int
    rois: int
    foreground: int
    detections: int


class Finder(nn.Module):
    """A model from a picture to boxes and run-length codes, as a user gets them.

    Args:
        model: the detector, in evaluation mode.
        precision: None for single precision, or the type of the autocast.
        encode: turns a result and the picture's (height, width) into run-length codes.
    """

    def __init__(
        self,
        model: nn.Module,
        precision: torch.dtype | None,
        encode: Callable[[dict[str, Tensor], int, int], list[Any]],
    ) -> None:
        super().__init__()
        self.model, self.precision, self.encode = model, precision, encode

    def forward(self, images: list[Tensor]) -> list[dict[str, Any]]:
        """Return the boxes and codes found in each picture."""
        mixed = self.precision is not None
        with torch.autocast(images[0].device.type, dtype=self.precision, enabled=mixed):
            results = self.model(images)
        return [
            {
                "boxes": result["boxes"].cpu(),
                "codes": self.encode(result, int(image.shape[-2]), int(image.shape[-1])),
            }
            for image, result in zip(images, results, strict=True)
        ]


def _encode_reference(result: dict[str, Tensor], height: int, width: int) -> list[Any]:
    return encode_full(result)


def _encode_own(result: dict[str, Tensor], height: int, width: int) -> list[Any]:
    if "mask_probs" not in result:
        return []
    return encode_masks(result["mask_probs"], result["boxes"], height, width)


class Rivals:
    """The models of one run, and the pictures that they share.

    Args:
        configs: the study's, by name.
        coco: the pictures.
        shared: what they have in common with torchvision's.
        device: where all run.
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
        things = [(x, i) for x in few for i in coco.instances(x.id) if not i.iscrowd]
        sides = [(x.width, x.height, x.width, x.height) for x, _ in things]
        self.boxes = [
            [v / s for v, s in zip(i.box, size, strict=True)]
            for size, (_, i) in zip(sides, things, strict=True)
        ]
        if not things:
            raise ValueError(
                f"{coco.annotations_path}: the first pictures have no object to find. "
                "Name a set with labels."
            )

    def model(self, name: str) -> Any:
        """Return a model on the device, random but busy; see :mod:`lib.bench.stand_in`."""
        torch.manual_seed(0)
        shared = self.shared
        if name == REFERENCE:
            sizes = {"min_size": shared.min_size, "max_size": shared.max_size}
            rois = {"rois_per_image": shared.rois} if shared.rois else {}
            model: Any = build_reference(**sizes, **rois)
        else:
            classes = len(self.coco.categories)
            model = build_model(self.configs[name].model, num_classes=classes)
        model.to(self.device)
        batch, _ = model.transform([self.sample.to(self.device)])
        settle(model.backbone, batch.tensors)
        found = [self.boxes[i % len(self.boxes)] for i in range(shared.detections)]
        StandIn(foreground=shared.foreground, boxes=found).attach(model)
        return model

    def training(self) -> list[Contestant]:
        """Return who trains, torchvision's first, in each precision that the device has."""
        mixed = [False, True] if self.device.type == "cuda" else [False]
        contestants = []
        for name in (REFERENCE, *self.configs):
            for amp in mixed:
                start = partial(self._reference if name == REFERENCE else self._own, name, amp)
                contestants.append(Contestant(name, self._precision(name, amp), start))
        return contestants

    def finders(self) -> dict[str, Finder]:
        """Return who finds objects, by name and precision."""
        finders = {}
        for one in self.training():
            encode = _encode_reference if one.model == REFERENCE else _encode_own
            kind = None if one.precision == SINGLE else getattr(torch, one.precision)
            model = self.model(one.model).eval()
            finders[f"{one.model} {one.precision}"] = Finder(model, kind, encode).eval()
        return finders

    def loading(self) -> dict[str, float]:
        """Return the seconds that one core needs to load a training picture, by whose loader."""
        config = next((c for c in self.configs.values() if c.model.has_masks), None)
        sets: dict[str, Any] = {REFERENCE: ReferenceSet(self.coco, seed=0)}
        if config is not None:
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
        return str(mixed_precision(config, self.device)).removeprefix("torch.")

    def _reference(self, name: str, amp: bool, turn: int) -> tuple[Trainer, Iterator[Any]]:
        learner = ReferenceLearner(self.model(name).train(), self.device, amp=amp)
        size, workers = self.shared.batch, self.shared.workers
        batches = reference_loader(self.coco, batch_size=size, workers=workers, seed=turn)
        return learner, batches

    def _own(self, name: str, amp: bool, turn: int) -> tuple[Trainer, Iterator[Any]]:
        changes = {"amp": "auto" if amp else "none", "seed": turn}
        config = self.configs[name].model_copy(update=changes)
        world = World(self.device)
        learner = Learner(config, self.model(name).train(), world)
        return learner, loader(config, self.coco, supervision_of(config, self.coco), 0, world=world)

"""What a user would run otherwise: torchvision's Mask R-CNN, trained and run as its reference does.

``maskrcnn_resnet50_fpn`` with the recipe of torchvision's reference scripts for detection, written
anew so that both can be measured in one process. In training: every object's polygons decoded to a
mask of the picture's size, pictures and masks sent to the device as they are and resized there, SGD
with momentum 0.9, ``--amp`` (float16 with loss scaling) as a choice, all losses read after each
step. At test: masks pasted as full-size maps, copied to the CPU and encoded one by one. Batches are
the study's, of pictures of similar shape, as the reference's are.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, resnet_fpn_backbone
from torchvision.transforms import functional

from lib.data.coco import CocoSet
from lib.data.pictures.images import read_image
from lib.masks import rle
from lib.models import lite0
from lib.models.config import ModelConfig
from lib.models.detector import ASPECT_RATIOS, build_backbone
from lib.models.heads import box_parts, mask_parts
from lib.seeds import derive
from lib.training.learner import Outcome
from lib.training.order import Batches
from lib.training.schedule import WARMUP_START

CLASSES = 91
"""Outputs of the class layer, background included, as for COCO's ids."""

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, WARMUP = 0.02, 0.9, 1e-4, 1000
"""The reference's optimiser."""

ENDLESS = 10**9
"""Iterations of a run that is only measured."""


def build_reference(*, min_size: int, max_size: int, rois_per_image: int = 512) -> MaskRCNN:
    """Return ``maskrcnn_resnet50_fpn`` as it is with ImageNet weights, without loading any.

    With weights for the backbone its batch norm is fixed and its first two stages do not learn;
    torchvision's own constructor builds another network when it is given none.

    Args:
        min_size: shorter side after resizing, pixels.
        max_size: limit of the longer side.
        rois_per_image: RoIs sampled per training image.
    """
    return MaskRCNN(
        resnet_fpn_backbone(backbone_name="resnet50", weights=None),
        num_classes=CLASSES,
        min_size=min_size,
        max_size=max_size,
        box_batch_size_per_image=rois_per_image,
    )


def reference_on_lite0(
    config: ModelConfig, *, num_classes: int, same_heads: bool = False
) -> MaskRCNN:
    """Return torchvision's Mask R-CNN around the body of ``config``, of which nothing learns.

    Anchors and the size of pictures are those of ``config``: torchvision's defaults are made for
    other strides, and for pictures of 800 pixels.

    Args:
        config: settings of a Mask R-CNN of this study with the backbone ``lite0``.
        num_classes: classes without background.
        same_heads: take its pyramid, heads, proposals and RoIs too, instead of torchvision's
            defaults; the mask head has an output for each class all the same.
    """
    ours = build_backbone(config)
    lite0.load(ours.body)
    outputs = num_classes + 1
    parts: dict[str, Any] = {"num_classes": outputs}
    backbone: BackboneWithFPN = ours
    if same_heads:
        box_head, box_predictor = box_parts(config, num_classes=outputs)
        mask_head, mask_predictor = mask_parts(config, outputs=outputs)
        parts = {
            "rpn_pre_nms_top_n_train": 2 * config.rpn_proposals,
            "rpn_post_nms_top_n_train": config.rpn_proposals,
            "box_batch_size_per_image": config.rois_per_image,
            "box_head": box_head,
            "box_predictor": box_predictor,
            "mask_head": mask_head,
            "mask_predictor": mask_predictor,
        }
    else:
        channels = lite0.Lite0.channels[1:]
        layers = {f"layer{n}": str(n - 2) for n in (2, 3, 4)}
        backbone = BackboneWithFPN(ours.body, layers, list(channels), out_channels=256)
    return MaskRCNN(
        backbone,
        min_size=config.min_size[-1],
        max_size=config.max_size,
        image_mean=list(lite0.MEAN),
        image_std=list(lite0.STD),
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in config.anchor_sizes),
            (ASPECT_RATIOS,) * len(config.anchor_sizes),
        ),
        **parts,
    )


class ReferenceSet(Dataset[tuple[Tensor, dict[str, Tensor]]]):
    """The training samples of a COCO-format set, addressed by (index, position in the run).

    A sample is a picture, float32 ``[3, H, W]`` RGB in 0..1, and a target with ``boxes``
    ``[N, 4]`` xyxy, ``labels`` ``[N]``, ``masks`` ``[N, H, W]`` uint8 of all objects, ``image_id``,
    ``area`` and ``iscrowd``. Half of the samples are mirrored.

    Args:
        coco: the set.
        seed: what the mirroring derives from.
    """

    def __init__(self, coco: CocoSet, *, seed: int) -> None:
        self.coco = coco
        self.seed = seed

    def __len__(self) -> int:
        return len(self.coco.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sample at ``(index, position)``."""
        index, position = key
        record = self.coco.images[index]
        image = Image.fromarray(read_image(record))
        objects = [x for x in self.coco.instances(record.id) if not x.iscrowd]
        boxes = torch.as_tensor([x.box for x in objects], dtype=torch.float32).reshape(-1, 4)
        size = record.height, record.width
        masks = torch.zeros((len(objects), *size), dtype=torch.uint8)
        for mask, thing in zip(masks, objects, strict=True):
            mask[:] = torch.from_numpy(rle.decode(thing.segmentation, *size))
        if derive(self.seed, "flip", position) % 2:
            image, masks = functional.hflip(image), masks.flip(-1)
            boxes[:, [0, 2]] = record.width - boxes[:, [2, 0]]
        tensor = functional.convert_image_dtype(functional.pil_to_tensor(image), torch.float32)
        return tensor, {
            "boxes": boxes,
            "labels": torch.tensor([x.label for x in objects], dtype=torch.int64),
            "masks": masks,
            "image_id": torch.tensor(record.id),
            "area": torch.tensor([x.area for x in objects]),
            "iscrowd": torch.zeros(len(objects), dtype=torch.int64),
        }


def reference_loader(coco: CocoSet, *, batch_size: int, workers: int, seed: int) -> Iterator[Any]:
    """Yield pictures and their targets without end, in the batches that the study trains in."""
    ratios = [x.width / x.height for x in coco.images]
    batches = Batches(ratios, batch_size, start=0, stop=ENDLESS, seed=seed)
    samples = ReferenceSet(coco, seed=seed)
    return iter(
        DataLoader(samples, batch_sampler=batches, num_workers=workers, collate_fn=_collate)
    )


def _collate(samples: list[Any]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*samples, strict=True))


class ReferenceLearner:
    """The reference's training step.

    Args:
        model: from `build_reference`, in training mode, on its device.
        device: that device.
        amp: float16 where PyTorch deems it safe, with loss scaling (``--amp``).
    """

    def __init__(self, model: nn.Module, device: torch.device, *, amp: bool) -> None:
        self.model = model
        self.device = device
        self.precision = torch.float16 if amp else None
        learning = [p for p in model.parameters() if p.requires_grad]
        self.optimizer: torch.optim.Optimizer = torch.optim.SGD(
            learning, lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
        )
        self.warmup = torch.optim.lr_scheduler.LinearLR(
            self.optimizer, start_factor=WARMUP_START, total_iters=WARMUP
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp)

    def step(
        self, images: list[Tensor], targets: list[dict[str, Tensor]], iteration: int
    ) -> Outcome:
        """Learn from one batch and return the losses, their sum ``loss`` first.

        Raises:
            FloatingPointError: if the loss is not finite.
        """
        images = [image.to(self.device) for image in images]
        targets = [{k: v.to(self.device) for k, v in t.items()} for t in targets]
        mixed = self.precision is not None
        with torch.autocast(self.device.type, dtype=self.precision, enabled=mixed):
            losses: dict[str, Tensor] = self.model(images, targets)
            total = torch.stack(list(losses.values())).sum()
        value = total.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"The reference's loss is {value} at iteration {iteration}.")
        self.optimizer.zero_grad()
        self.scaler.scale(total).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.warmup.step()
        read = {name: loss.item() for name, loss in losses.items()}
        return Outcome({"loss": value, **read}, stop=False)

"""Teach a backbone what objects look like, one at a time: ``python -m lib.engine.pretrain CONFIG``.

Where no ImageNet weights can be had, a backbone that starts random is first trained to name the
objects cut out of the training set's boxes (and patches of background). A cut-out of 64 x 64
pixels costs a twentieth of a scene, so the classes are learnt much sooner than within a detector.
It needs boxes only, and sees nothing but the training set.
"""

import argparse
import sys
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torchvision.ops import roi_align

from lib.data.coco import CocoSet
from lib.data.coco import load as load_coco
from lib.data.images import read_image
from lib.engine.checkpoint import save
from lib.engine.device import pick_device
from lib.files import digest_of, read_json, write_json
from lib.models.backbones import RETURN_LAYERS, FeaturePyramid
from lib.models.config import ModelConfig
from lib.models.detector import build_backbone
from lib.paths import display, resolve
from lib.seeds import derive

STORED = 96
"""Side, in pixels, of the cut-outs kept in memory."""
CONTEXT = 2.0
"""Side of a stored cut-out over the longer side of its box."""

Positive = Annotated[int, Field(gt=0)]


class PretrainConfig(BaseModel):
    """A pre-training run. Relative paths are relative to the repository.

    Attributes:
        model: the detector's settings; only its backbone is built.
        annotations: COCO-format labels of the training set.
        images: the folder of its images.
        out: the file for the backbone's weights.
        iterations: optimiser steps.
        batch_size: cut-outs per step.
        crop: side of the cut-outs that the network sees, in pixels.
        learning_rate: the largest rate of a one-cycle schedule, for AdamW.
        device: ``auto`` takes CUDA where there is one.
        seed: everything random derives from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelConfig
    annotations: str
    images: str
    out: str
    iterations: Positive
    batch_size: Positive = 128
    crop: Positive = 64
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    device: str = "auto"
    seed: int = 0


class StageClassifier(nn.Module):
    """A linear classifier on each stage's average, so that shallow stages learn the classes too."""

    def __init__(self, pyramid: FeaturePyramid, channels: list[int], num_classes: int) -> None:
        super().__init__()
        self.body = pyramid.body
        self.heads = nn.ModuleList(nn.Linear(width, num_classes + 1) for width in channels)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(pyramid.image_mean)[:, None, None])
        self.register_buffer("std", torch.tensor(pyramid.image_std)[:, None, None])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map RGB images ``[B, 3, S, S]`` in 0..1 to each stage's logits ``[B, K + 1]``."""
        maps = self.body((images - self.mean) / self.std)
        pooled = [maps[name].mean((2, 3)) for name in RETURN_LAYERS.values()]
        return [head(x) for head, x in zip(self.heads, pooled, strict=True)]


def cut_outs(coco: CocoSet, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return a square around every box, and half as many patches of background.

    Args:
        coco: the training set; crowd regions are left out.
        seed: what the places of the patches derive from.

    Returns:
        Pictures, uint8 ``[N, 3, STORED, STORED]`` RGB, and labels ``[N]``, 0 for background.
    """
    pictures, labels = [], []
    for record in coco.images:
        image = read_image(record)
        random = np.random.default_rng(derive(seed, "patches", record.id))
        instances = [i for i in coco.instances(record.id) if not i.iscrowd]
        boxes = np.array([i.box for i in instances]).reshape(-1, 4)
        for instance in instances:
            pictures.append(_square(image, np.array(instance.box)))
            labels.append(instance.label)
        for _ in range(len(boxes) // 2):
            side = np.exp(random.uniform(np.log(12), np.log(min(image.shape[:2]) / 2)))
            corner = random.uniform(0, 1, 2) * (np.array(image.shape[1::-1]) - side)
            patch = np.concatenate([corner, corner + side])
            if _largest_overlap(patch, boxes) < 0.3:
                pictures.append(_square(image, patch))
                labels.append(0)
    if not pictures:
        raise ValueError("The training set has no boxes, so there is nothing to pre-train on.")
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return stacked, torch.tensor(labels)


def _square(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the square of CONTEXT times the box around its centre, resized to STORED."""
    side = CONTEXT * max(box[2] - box[0], box[3] - box[1])
    scale = STORED / side
    shift = STORED / 2 - scale * (box[:2] + box[2:]) / 2
    return cv2.warpAffine(
        image,
        np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]),
        (STORED, STORED),
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _largest_overlap(patch: np.ndarray, boxes: np.ndarray) -> float:
    """Return the largest share of a patch (xyxy) that one of the boxes ``[N, 4]`` covers."""
    low = np.maximum(patch[:2], boxes[:, :2])
    high = np.minimum(patch[2:], boxes[:, 2:])
    covered = (high - low).clip(0).prod(1) / (patch[2:] - patch[:2]).prod()
    return float(covered.max(initial=0))


def views(pictures: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return a random square view of each cut-out, half of them mirrored.

    A view spans 1 to CONTEXT times the longer side of the box and moves by up to a tenth of it.

    Args:
        pictures: uint8 ``[B, 3, STORED, STORED]``.
        size: side of the views, in pixels.
        generator: source of randomness.

    Returns:
        float32 ``[B, 3, size, size]`` in 0..1.
    """
    count = len(pictures)
    object_side = STORED / CONTEXT
    side = object_side * (1 + (CONTEXT - 1) * torch.rand(count, 1, generator=generator) ** 2)
    centre = STORED / 2 + object_side * 0.1 * (2 * torch.rand(count, 2, generator=generator) - 1)
    rois = torch.cat([torch.arange(count)[:, None], centre - side / 2, centre + side / 2], 1)
    images = pictures.float() / 255
    seen = roi_align(images, rois.float(), (size, size), sampling_ratio=1, aligned=True)
    mirrored = torch.rand(count, generator=generator) < 0.5
    # Small objects are coarse: half of the views lose their fine detail.
    coarse = torch.rand(count, generator=generator) < 0.5
    blurred = interpolate(interpolate(seen[coarse], scale_factor=0.33), size=(size, size))
    seen[coarse] = blurred
    seen[mirrored] = seen[mirrored].flip(-1)
    return seen


def pretrain(config: PretrainConfig) -> Path:
    """Train the backbone of ``config.model`` and return the path of its weights.

    A finished run of the same configuration is not repeated.
    """
    out = resolve(config.out)
    receipt = out.with_suffix(".json")
    wanted = {"config": digest_of(config.model_dump(mode="json", exclude={"out"}))}
    if out.exists() and receipt.exists() and read_json(receipt) == wanted:
        print(f"{display(out)} is there already", flush=True)
        return out
    coco = load_coco(resolve(config.annotations), resolve(config.images), check_images="none")
    pictures, labels = cut_outs(coco, seed=config.seed)
    device = pick_device(config.device)
    torch.manual_seed(derive(config.seed, "pretraining"))
    pyramid = build_backbone(config.model)
    channels = [block.in_channels for block in _lateral(pyramid)]
    model = StageClassifier(pyramid, channels, len(coco.categories)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.iterations
    )
    generator = torch.Generator().manual_seed(derive(config.seed, "views"))
    for iteration in range(1, config.iterations + 1):
        chosen = torch.randint(len(pictures), (config.batch_size,), generator=generator)
        seen = views(pictures[chosen], config.crop, generator).to(device)
        wished = labels[chosen].to(device)
        logits = model(seen)
        loss = torch.stack([cross_entropy(stage, wished) for stage in logits]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if iteration % 50 == 0 or iteration == config.iterations:
            right = float((logits[-1].argmax(1) == wished).float().mean())
            print(
                f"{iteration:>6}/{config.iterations}  loss {loss.item():.3f}"
                f"  top-1 of the batch {right:.0%}",
                flush=True,
            )
    save(out, pyramid.body.cpu().state_dict())
    write_json(receipt, wanted)
    return out


def _lateral(pyramid: FeaturePyramid) -> list[nn.Conv2d]:
    """Return the 1x1 convolutions that take each stage into the pyramid."""
    return [block[0] for block in pyramid.fpn.inner_blocks]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.engine.pretrain", description="Pre-train a backbone on cut-outs."
    )
    parser.add_argument("config", type=Path, help="a JSON file, see lib/engine/pretrain.py")
    path = parser.parse_args(arguments).config
    try:
        config = PretrainConfig.model_validate(read_json(path))
        print(f"wrote {display(pretrain(config))}")
    except ValidationError as error:
        print(f"error: {path} is not a pre-training configuration: {error}", file=sys.stderr)
        return 2
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

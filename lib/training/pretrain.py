"""Teach a detector what objects look like: ``python -m lib.training.pretrain CONFIG``.

Where no ImageNet weights can be had, a network that starts random is first trained to name objects
cut out of the training set's boxes (and patches of background), and to correct their boxes, with
its own backbone, pyramid and box head. A cut-out costs a small part of a scene, so the classes are
learnt much sooner than within a detector. Needs boxes only; sees nothing but the training set.
"""

import argparse
import sys
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from torchvision.models.detection.roi_heads import fastrcnn_loss

from lib.data.coco import load as load_coco
from lib.files import digest, digest_of, explain, read_json
from lib.models.build import build_model
from lib.models.config import ModelConfig
from lib.models.detector import Detector
from lib.paths import display, resolve
from lib.seeds import derive
from lib.training.checkpoint import is_of, save_model
from lib.training.cutouts import Views, cut_out, jitter, look
from lib.training.device import pick_device
from lib.training.launch import end_with_caller

Positive = Annotated[int, Field(gt=0)]


class PretrainConfig(BaseModel):
    """A pre-training run. Relative paths are relative to the repository.

    Attributes:
        model: the detector's settings.
        annotations: COCO-format labels of the training set.
        images: the folder of its images.
        out: the model file to write; a training run starts from it with ``init``.
        iterations: optimiser steps.
        batch_size: cut-outs per step.
        sizes: sides of the views, in pixels; each step draws one, so that all levels learn.
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
    batch_size: Positive = 96
    sizes: tuple[Positive, ...] = (32, 48, 64, 96)
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0


def roi_losses(model: Detector, views: Views, rois: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the box head's losses on one RoI per view, and its class logits ``[B, K + 1]``."""
    heads = model.roi_heads
    mean = views.images.new_tensor(model.transform.image_mean)[:, None, None]
    std = views.images.new_tensor(model.transform.image_std)[:, None, None]
    features = model.backbone((views.images - mean) / std)
    proposals = list(rois[:, None])
    size = int(views.images.shape[-1])
    maps = heads.box_head(heads.box_roi_pool(features, proposals, [(size, size)] * len(rois)))
    logits, deltas = heads.box_predictor(maps)
    wanted = heads.box_coder.encode(list(views.boxes[:, None]), proposals)
    class_loss, box_loss = fastrcnn_loss(logits, deltas, list(views.labels[:, None]), list(wanted))
    return {"loss_classifier": class_loss, "loss_box_reg": box_loss}, logits


def pretrain(config: PretrainConfig) -> Path:
    """Pre-train as ``config`` says and return the path of the model file.

    A finished run of the same configuration, on the same files, is not repeated.
    """
    out = resolve(config.out)
    settings = config.model_dump(mode="json", exclude={"annotations", "images", "out", "device"})
    run = digest_of(settings | {"annotations": digest(resolve(config.annotations))})
    if is_of(out, run):
        print(f"{display(out)} is there already", flush=True)
        return out
    coco = load_coco(resolve(config.annotations), resolve(config.images), check_images="none")
    cut_outs = cut_out(coco, seed=config.seed)
    device = pick_device(config.device)
    torch.manual_seed(derive(config.seed, "weights"))
    model = build_model(config.model, num_classes=len(coco.categories)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.iterations
    )
    generator = torch.Generator().manual_seed(derive(config.seed, "views"))
    right = torch.zeros(0)
    for iteration in range(1, config.iterations + 1):
        chosen = torch.randint(len(cut_outs.labels), (config.batch_size,), generator=generator)
        size = config.sizes[int(torch.randint(len(config.sizes), (), generator=generator))]
        views = look(cut_outs, chosen, size=size, generator=generator)
        rois = jitter(views.boxes, generator).to(device)
        views = Views(views.images.to(device), views.boxes.to(device), views.labels.to(device))
        losses, logits = roi_losses(model, views, rois)
        loss = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        right = torch.cat([right, (logits.argmax(1) == views.labels).float().cpu()])
        if iteration % 50 == 0 or iteration == config.iterations:
            values = "  ".join(f"{name[5:]} {value.item():.3f}" for name, value in losses.items())
            print(
                f"{iteration:>6}/{config.iterations}  {values}  named right {right.mean():.0%}",
                flush=True,
            )
            right = right[:0]
    save_model(out, model.cpu(), config.model, coco.categories, run=run)
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.training.pretrain", description="Pre-train a detector on cut-outs."
    )
    parser.add_argument("config", type=Path, help="a JSON file, see lib/training/pretrain.py")
    path = parser.parse_args(arguments).config
    end_with_caller()
    try:
        config = PretrainConfig.model_validate(read_json(path))
        print(f"wrote {display(pretrain(config))}")
    except ValidationError as error:
        print(f"error: {path} is not a pre-training configuration: {error}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

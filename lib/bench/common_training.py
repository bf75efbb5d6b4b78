"""Does the same network learn as much here as torchvision's does?

``python -m lib.bench.common_training`` trains torchvision's Mask R-CNN by its reference's recipe
(:mod:`lib.bench.torchvision_reference`) and the study's for as many iterations, from the same
backbone weights, on the same set, with the same batch and rate, and judges both. Being faster means
nothing if less is learnt. What is not the same is what each does in its own way: the order of
pictures and what is mirrored, how many proposals are kept, at which resolution masks of RoIs are
read, which weights decay, and the initial weights of the heads. The rate has no steps, and
gradients are not clipped.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torchvision.models.detection import MaskRCNN

from lib.bench.inference import machine
from lib.bench.program import add_out, with_sentences, write
from lib.bench.torchvision_reference import (
    ReferenceLearner,
    build_reference,
    encode_full,
    reference_loader,
)
from lib.bench.training_steps import Trainer
from lib.data.coco import CocoSet, Result
from lib.data.coco import load as load_coco
from lib.metrics.bootstrap import resample
from lib.metrics.coco_ap import IouType, evaluate
from lib.models.backbones import learn_norm, load_weights
from lib.paths import display, resolve
from lib.training.checkpoint import TrainedModel
from lib.training.config import TrainConfig, parse_config
from lib.training.dataset import loader
from lib.training.device import pick_device
from lib.training.distributed import World
from lib.training.inputs import picture
from lib.training.learner import Learner
from lib.training.predict import predict
from lib.training.predictions import detection_rows
from lib.training.supervision import supervision_of
from lib.training.train import prepare

PROGRAM = "lib.bench.common_training"

METRICS = ("AP", "AP50")
KINDS: tuple[IouType, ...] = ("bbox", "segm")
RESAMPLES = 300


def train(name: str, config: TrainConfig, coco: CocoSet, device: torch.device) -> Any:
    """Return a model, trained as long as ``config`` says, in evaluation mode.

    Args:
        name: ``ours``, or ``torchvision`` for its model and its reference's recipe.
        config: whose weights, size of pictures, batch, rate, warm-up, iterations and seed count.
        coco: the set.
        device: where.
    """
    learner: Trainer
    if name == "ours":
        world = World(device)
        learner = Learner(config, prepare(config, coco).to(device).train(), world)
        batches: Iterator[Any] = loader(config, coco, supervision_of(config, coco), 0, world=world)
    else:
        learner = ReferenceLearner(
            _reference(config).to(device).train(),
            device,
            amp=config.amp == "auto" and device.type == "cuda",
            learning_rate=config.learning_rate,
            warmup=config.warmup,
        )
        batches = reference_loader(
            coco, batch_size=config.batch_size, workers=config.workers, seed=config.seed
        )
    for done, (images, targets) in enumerate(islice(batches, config.iterations), start=1):
        loss = learner.step(images, targets, done - 1).losses["loss"]
        if done % config.log_every == 0 or done == config.iterations:
            print(f"{name}: {done} of {config.iterations} iterations, loss {loss:.3f}", flush=True)
    return learner.model.eval()


def _reference(config: TrainConfig) -> MaskRCNN:
    """Return torchvision's model with the weights that a run starts from."""
    torch.manual_seed(config.seed)
    settings = config.model
    model = build_reference(
        min_size=settings.min_size,
        max_size=settings.max_size,
        rois_per_image=settings.rois_per_image,
        detections=settings.detections_per_image,
    )
    if settings.weights != "none":
        load_weights(
            model.backbone,
            weights=settings.weights,
            style=settings.weights_style,
            depth=settings.resnet_depth,
            fresh_stages=settings.fresh_stages,
        )
    for stage in settings.fresh_stages:
        learn_norm(getattr(model.backbone.body, stage))
    return model


@torch.inference_mode()
def reference_detections(model: Any, coco: CocoSet, device: torch.device) -> list[Result]:
    """Return what torchvision's model finds in a set, as COCO results; unknown classes left out."""
    rows: list[Result] = []
    for record in coco.images:
        (found,) = model([picture(record).to(device)])
        known = found["labels"] <= len(coco.categories)
        result = {name: values[known] for name, values in found.items()}
        rows += detection_rows(record, result, coco.categories, encode_full(result))
    return rows


def judged(val: CocoSet, found: dict[str, list[Result]], *, seed: int) -> list[dict[str, Any]]:
    """Return what both models reach, and the difference with its interval over images.

    Args:
        val: the set that both were run on.
        found: COCO results of ``ours`` and of ``torchvision``.
        seed: of the trainings, for the rows.

    Returns:
        For boxes and masks, AP and AP50: ``seed``, ``kind`` (``bbox`` or ``segm``), ``metric``,
        ``ours``, ``torchvision``, ``difference`` (ours minus theirs), ``low`` and ``high``, in
        fractions of 1.
    """
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        ours, theirs = (evaluate(val, found[n], iou_type=kind) for n in ("ours", "torchvision"))
        for metric in METRICS:
            one, other = (resample(r, resamples=RESAMPLES).score(metric) for r in (ours, theirs))
            between = (one - other).interval
            of = {"seed": seed, "kind": kind, "metric": metric}
            both = {"ours": ours.value(metric), "torchvision": theirs.value(metric)}
            ends = {"low": between.low, "high": between.high}
            rows.append({**of, **both, "difference": between.estimate, **ends})
    return rows


def compare(
    config: TrainConfig, val: CocoSet, device: torch.device, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Train and judge both models, once for each seed; see :func:`judged`.

    Raises:
        FileNotFoundError, ValueError: if a file is missing or unfit.
        FloatingPointError: if a loss is not finite.
    """
    coco = load_coco(resolve(config.annotations), resolve(config.images), check_images="none")
    rows = list[dict[str, Any]]()
    for seed in seeds:
        own = config.model_copy(update={"seed": seed})
        trained = TrainedModel(train("ours", own, coco, device), own.model, coco.categories)
        found = {"ours": predict(trained, val, device=device, on_boxes=False).detections}
        del trained
        reference = train("torchvision", own, coco, device)
        found["torchvision"] = reference_detections(reference, val, device)
        del reference
        new = judged(val, found, seed=seed)
        rows += new
        for row in new:
            print(
                f"seed {seed}, {row['kind']} {row['metric']}: ours {row['ours']:.1%}, torchvision "
                f"{row['torchvision']:.1%}, difference {100 * row['difference']:+.1f} points "
                f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]",
                flush=True,
            )
    return rows


def configured(options: argparse.Namespace) -> TrainConfig:
    """Return the run that the command line describes, of the network that torchvision has."""
    given = vars(options)
    heads = {"box_head": "fc", "mask_layers": 4, "mask_per_class": True, "norm": "none"}
    model = {name: given[name] for name in ("weights", "weights_style", "fresh_stages")}
    sizes = {"min_size": (options.min_size,), "max_size": options.max_size}
    train = ("iterations", "batch_size", "learning_rate", "warmup", "amp", "device", "workers")
    content = {
        "model": {"method": "mask_rcnn", "backbone": "resnet50", **heads, **model, **sizes},
        **{name: given[name] for name in train},
        "annotations": str(options.annotations),
        "images": str(options.images),
        "out": display(options.out),
        "steps": (),
        "clip_value": None,
    }
    return parse_config(content, where="The command line")


@with_sentences
def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge both as the command line says."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Train torchvision's Mask R-CNN and the study's alike, and compare their AP.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--annotations", type=Path, required=True, help="COCO labels to learn from")
    add("--images", type=Path, required=True, help="folder of their pictures")
    add("--val", type=Path, required=True, help="COCO labels to judge on")
    add("--val-images", type=Path, required=True, help="folder of their pictures")
    add_out(parser, PROGRAM)
    add("--iterations", type=int, default=3000)
    add("--batch-size", type=int, default=8)
    add("--learning-rate", type=float, default=0.01)
    add("--warmup", type=int, default=500)
    add("--min-size", type=int, default=800)
    add("--max-size", type=int, default=1333)
    add("--weights", default="imagenet", help="imagenet, none, or a file of a ResNet-50")
    add("--weights-style", default="torchvision", help="torchvision or caffe")
    add("--fresh-stages", nargs="*", default=[], help="stages that the file lacks")
    add("--amp", default="auto", help="auto: mixed precision on a GPU; none")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--workers", type=int, default=4, help="processes that load pictures")
    add("--seeds", type=int, nargs="+", default=[0], help="two trainings for each")
    options = parser.parse_args(arguments)
    config = configured(options)
    device = pick_device(config.device)
    val = load_coco(resolve(options.val), resolve(options.val_images), check_images="none")
    rows = compare(config, val, device, options.seeds)
    content = {"machine": machine(device), "config": config.model_dump(mode="json"), "rows": rows}
    write(options.out, PROGRAM, content)
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

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
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from lib.bench.inference import machine
from lib.bench.torchvision_reference import (
    ReferenceLearner,
    build_reference,
    encode_full,
    reference_loader,
)
from lib.data.coco import CocoSet, Result
from lib.data.coco import load as load_coco
from lib.files import write_json
from lib.metrics.bootstrap import paired_difference
from lib.metrics.coco_ap import IouType, evaluate
from lib.models.backbones import learn_norm, load_weights
from lib.outputs import file_ending_in, has_fields
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

METRICS = ("AP", "AP50")
KINDS: tuple[IouType, ...] = ("bbox", "segm")
RESAMPLES = 300


def train_reference(config: TrainConfig, coco: CocoSet, device: torch.device) -> Any:
    """Return torchvision's model, trained by its reference's recipe as long as ``config`` says.

    Args:
        config: whose weights, size of pictures, batch, rate, warm-up, iterations and seed count.
        coco: the set.
        device: where.
    """
    torch.manual_seed(config.seed)
    model = build_reference(
        min_size=config.model.min_size,
        max_size=config.model.max_size,
        rois_per_image=config.model.rois_per_image,
        detections=config.model.detections_per_image,
    )
    if config.model.weights != "none":
        load_weights(
            model.backbone,
            weights=config.model.weights,
            style=config.model.weights_style,
            depth=config.model.resnet_depth,
            fresh_stages=config.model.fresh_stages,
        )
    for stage in config.model.fresh_stages:
        learn_norm(getattr(model.backbone.body, stage))
    learner = ReferenceLearner(
        model.to(device).train(),
        device,
        amp=config.amp == "auto" and device.type == "cuda",
        learning_rate=config.learning_rate,
        warmup=config.warmup,
    )
    batches = reference_loader(
        coco, batch_size=config.batch_size, workers=config.workers, seed=config.seed
    )
    for iteration, (images, targets) in enumerate(islice(batches, config.iterations)):
        losses = learner.step(images, targets, iteration)
        _tell("torchvision", iteration, config, losses["loss"])
    return model.eval()


def train_ours(config: TrainConfig, coco: CocoSet, device: torch.device) -> TrainedModel:
    """Return the study's model, trained as long as ``config`` says."""
    world = World(device)
    learner = Learner(config, prepare(config, coco).to(device).train(), world)
    batches = loader(config, coco, supervision_of(config, coco), 0, world=world)
    for iteration, (images, targets) in enumerate(batches):
        outcome = learner.step(images, targets, iteration)
        _tell("ours", iteration, config, outcome.losses["loss"])
    return TrainedModel(learner.model.eval(), config.model, coco.categories)


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
    rows = []
    for kind in KINDS:
        ours, theirs = (evaluate(val, found[n], iou_type=kind) for n in ("ours", "torchvision"))
        for metric in METRICS:
            between = paired_difference(ours, theirs, metric=metric, resamples=RESAMPLES)
            rows.append(
                {
                    "seed": seed,
                    "kind": kind,
                    "metric": metric,
                    "ours": ours.value(metric),
                    "torchvision": theirs.value(metric),
                    "difference": between.estimate,
                    "low": between.low,
                    "high": between.high,
                }
            )
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
    rows = []
    for seed in seeds:
        own = config.model_copy(update={"seed": seed})
        trained = train_ours(own, coco, device)
        found = {"ours": predict(trained, val, device=device, on_boxes=False).detections}
        del trained
        reference = train_reference(own, coco, device)
        found["torchvision"] = reference_detections(reference, val, device)
        del reference
        rows += judged(val, found, seed=seed)
        for row in rows[-len(KINDS) * len(METRICS) :]:
            print(
                f"seed {seed}, {row['kind']} {row['metric']}: ours {row['ours']:.1%}, torchvision "
                f"{row['torchvision']:.1%}, difference {100 * row['difference']:+.1f} points "
                f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]",
                flush=True,
            )
    return rows


def _tell(name: str, iteration: int, config: TrainConfig, loss: float) -> None:
    done = iteration + 1
    if done % config.log_every == 0 or done == config.iterations:
        print(f"{name}: {done} of {config.iterations} iterations, loss {loss:.3f}", flush=True)


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.bench.common_training",
        description="Train torchvision's Mask R-CNN and the study's alike, and compare their AP.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--annotations", type=Path, required=True, help="COCO labels to learn from")
    add("--images", type=Path, required=True, help="folder of their pictures")
    add("--val", type=Path, required=True, help="COCO labels to judge on")
    add("--val-images", type=Path, required=True, help="folder of their pictures")
    add(
        "--out",
        type=file_ending_in(".json", has_fields("config", "rows"), place=resolve),
        required=True,
        help="the JSON file to write",
    )
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
    try:
        config = configured(options)
        device = pick_device(config.device)
        val = load_coco(resolve(options.val), resolve(options.val_images), check_images="none")
        rows = compare(config, val, device, options.seeds)
        content = {"machine": machine(device), "config": config.model_dump(mode="json")}
        write_json(options.out, content | {"rows": rows})
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

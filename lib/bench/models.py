"""Training and inference beside torchvision's: ``python -m lib.bench.models --out measured.json``.

Models are those of a profile (:mod:`lib.bench.costs`). Each trains and finds objects in turns
with torchvision's ``maskrcnn_resnet50_fpn`` (:mod:`lib.bench.torchvision_reference`) on the same
pictures, of the same size, in batches of the same size, in one process: in single precision, and
on a GPU again in mixed precision, which is float16 with loss scaling for torchvision's (its
``--amp``) and what ``train.amp`` gives for ours. Weights are random, made as busy as trained ones
(:mod:`lib.bench.untrained`).
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lib.bench.compared_models import ComparedModels
from lib.bench.costs import MEASURED, measured_models, training_schedules
from lib.bench.inference import compare, draw_images, machine
from lib.bench.program import add_out, as_options, with_sentences, write
from lib.bench.torchvision_reference import ENDLESS
from lib.bench.training_steps import compare_training
from lib.data.label_options import add_on_bad, open_labels
from lib.data.scenes.generate import generate
from lib.data.scenes.settings import SceneSettings
from lib.paths import display, resolve
from lib.training.config import TrainConfig, parse_config
from lib.training.device import pick_device
from lib.training.inputs import picture

PROGRAM = "lib.bench.models"

NUMBERS = {
    "pictures": (64, "how many, drawn or taken from the labels"),
    "width": (640, "of drawn pictures"),
    "height": (480, "of drawn pictures"),
    "min_size": (800, "shorter side that models resize to"),
    "max_size": (1333, "limit of the longer side"),
    "batch": (8, "pictures per training step"),
    "loaders": (4, "processes that load pictures"),
    "rois": (0, "RoIs per training picture; 0: as each model says"),
    "foreground": (64, "proposals near objects in training"),
    "detections": (40, "objects found in a picture"),
    "rounds": (5, "turns of each model"),
    "warm_up": (5, "steps before the clock starts, in each turn"),
    "steps": (10, "measured steps of a turn, twice: with the loader and without"),
    "inference": (16, "pictures for inference"),
}
"""Options that are whole numbers: their defaults and what they are."""


OBJECTS = (4, 10)
"""Fewest and most objects of a drawn scene: seven on average, as in COCO's training set (7.3)."""


def configs_of(
    models: Mapping[str, Mapping[str, Any]], options: argparse.Namespace
) -> dict[str, TrainConfig]:
    """Return the models to measure, each as its profile says but for what all share.

    Shared are the pictures and their size, the batch, the workers, the device, and, where the
    command line names them, what makes a step smaller than the profile says.

    Args:
        models: settings by name, of :func:`lib.bench.costs.measured_models`.
        options: of the command line.
    """
    sizes = {"min_size": (options.min_size,), "max_size": options.max_size}
    smaller = {"rois_per_image": options.rois, "box_channels": tuple(options.box_channels)}
    given = {name: value for name, value in smaller.items() if value}
    configs = {}
    for name, settings in models.items():
        model = {**settings["model"], **sizes, **given}
        shared = {
            "model": model,
            "annotations": str(options.annotations),
            "images": str(options.images),
            "supervised": "none" if model["method"] == "faster_rcnn" else "all",
            "init": None,
            "out": "unused",
            "iterations": ENDLESS,
            "batch_size": options.batch,
            "workers": options.loaders,
            "device": options.device,
            "snapshots": [],
        }
        configs[name] = parse_config({**settings, **shared}, where=f"speed of {name},")
    return configs


def draw_pictures(options: argparse.Namespace) -> None:
    """Draw pictures, unless they are there already, and let the options name them."""
    fewest, most = OBJECTS
    size = {"width": options.width, "height": options.height}
    smallest = max(SceneSettings().size_min, 8.1 / (options.width * options.height) ** 0.5)
    settings = SceneSettings(**size, objects_min=fewest, objects_max=most, size_min=smallest)
    folder = resolve(options.draw_in)
    options.annotations = generate(
        folder, split="train", count=options.pictures, settings=settings, seed=0
    )
    options.images = folder / "images"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure as the command line says and return what the JSON file holds.

    Returns:
        ``machine``, ``settings`` (what all models share, and how much was measured), ``pictures``,
        ``models`` (settings by name), ``rows`` and ``training`` (see
        :func:`lib.bench.training_steps.compare_training`) and ``inference`` (``rows`` and
        ``models``, see :func:`lib.bench.inference.compare`; names with precisions).

    Raises:
        FileNotFoundError, ValueError: if a file is missing or unfit, or nothing is to be measured.
    """
    device, given = pick_device(options.device), vars(options)
    chosen = measured_models(training_schedules(options.profile), options.models)
    if options.annotations is None:
        draw_pictures(options)
    coco = open_labels(options, resolve(options.annotations), resolve(options.images))
    coco = coco.subset([x.id for x in draw_images(coco, options.pictures)])
    models = ComparedModels(configs_of(chosen, options), coco, options, device)
    amounts = {name: given[name] for name in ("rounds", "warm_up", "steps")}
    rows, facts = compare_training(models.trainings(), **amounts, device=device)
    images = {x.id: picture(x).to(device) for x in coco.images[: options.inference]}
    found, finders = compare(models.finders(), images, rounds=options.rounds, device=device)
    objects = [i for i in coco.all_instances() if not i.iscrowd]
    return {
        "machine": {**machine(device), "on_gpu": device.type == "cuda"},
        "settings": {name: given[name] for name in (*NUMBERS, "box_channels")},
        "pictures": {
            "annotations": display(options.annotations),
            "count": len(coco.images),
            "width": statistics.mean(x.width for x in coco.images),
            "height": statistics.mean(x.height for x in coco.images),
            "objects": len(objects) / len(coco.images),
        },
        "models": {n: c.model.model_dump(mode="json") for n, c in models.configs.items()},
        "rows": rows,
        "training": facts,
        "inference": {"rows": found, "models": finders},
    }


def options_of(parameters: Mapping[str, Any]) -> list[str]:
    """Return a notebook's ``speed_*`` parameters as options of the command line."""
    others = ("profile", "models", "annotations", "images", "box_channels", "device")
    return as_options(parameters, "speed", (*NUMBERS, *others))


@with_sentences
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the models of a profile."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Measure training and inference beside torchvision's Mask R-CNN.",
    )
    add = parser.add_argument
    add("--profile", default="paper", help="whose models (default: paper)")
    add("--models", nargs="*", default=[], choices=list(MEASURED), help="which; all without")
    add_out(parser, PROGRAM)
    add("--annotations", type=Path, help="COCO-format labels; without, pictures are drawn")
    add("--images", type=Path, help="the folder of the labels' pictures")
    add("--draw-in", type=Path, default=Path("cache/speed_pictures"), help="where to draw them")
    for name, (default, text) in NUMBERS.items():
        add(f"--{name.replace('_', '-')}", type=int, default=default, help=text)
    add("--box-channels", type=int, nargs="*", default=[], help="of conv box heads; none: as said")
    add("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add_on_bad(parser)
    options = parser.parse_args(arguments)
    try:
        write(options.out, PROGRAM, measure(options))
    except torch.cuda.OutOfMemoryError as error:
        raise ValueError("CUDA ran out of memory. Lower --batch or --min-size.") from error
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

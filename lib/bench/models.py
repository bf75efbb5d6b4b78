"""Training and inference beside torchvision's: ``python -m lib.bench.models FILE``.

The file maps names to training configurations (:class:`lib.training.config.TrainConfig`, without
places), such as :mod:`lib.runner.schedules` writes. Each model trains and finds objects in turns
with torchvision's ``maskrcnn_resnet50_fpn`` (:mod:`lib.bench.torchvision_reference`) on the same
pictures, of the same size, in batches of the same size, in one process: in single precision, and
on a GPU again in mixed precision, which is float16 with loss scaling for torchvision's (its
``--amp``) and what ``train.amp`` gives for ours. Weights are random, made as busy as trained ones
(:mod:`lib.bench.stand_in`).
"""

import argparse
import os
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lib.bench.contest import Amounts, compete
from lib.bench.inference import compare, draw_images, machine
from lib.bench.rivals import Rivals, Shared
from lib.bench.roofline import backbone_flops, device_speed
from lib.bench.speed_set import draw_pictures
from lib.data.label_options import add_on_bad, open_labels
from lib.files import explain, read_json, write_json
from lib.models.config import ModelConfig
from lib.outputs import file_ending_in, has_fields
from lib.paths import display, resolve
from lib.training.config import TrainConfig, parse_config
from lib.training.device import pick_device
from lib.training.inputs import picture

PREFIX = "speed_"
CALLED = {"pictures": "count", "loaders": "workers"}
"""Parameters of the notebook that are called otherwise on the command line."""


def read_models(path: Path, options: argparse.Namespace) -> dict[str, TrainConfig]:
    """Return the models to measure, each as its file says but for what all share.

    Shared are the pictures and their size, the batch, the workers, the device, and, where the
    command line names them, what makes a step smaller than the file says.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is not one of models.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} is not a file of models: expected names with their settings.")
    sizes = {"min_size": (options.min_size,), "max_size": options.max_size}
    smaller = {"rois_per_image": options.rois, "box_channels": tuple(options.box_channels)}
    given = {name: value for name, value in smaller.items() if value}
    models = {}
    for name, settings in content.items():
        model = {**settings["model"], **sizes, **given}
        has_masks = model["method"] != "faster_rcnn"
        shared = {
            "model": model,
            "annotations": str(options.annotations),
            "images": str(options.images),
            "supervised": "all" if has_masks else "none",
            "init": None,
            "out": "unused",
            "iterations": 10**9,
            "batch_size": options.batch,
            "workers": options.workers,
            "device": options.device,
            "snapshots": [],
        }
        models[name] = parse_config({**settings, **shared}, where=f"{path}, {name},")
    return models


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure as the command line says and return what the JSON file holds.

    Returns:
        ``machine``, ``settings`` (what all models share, and how much was measured), ``pictures``,
        ``models`` (settings by name), ``rows`` and ``training`` (see
        :func:`lib.bench.contest.compete`), ``inference`` (``rows`` and ``models``, see
        :func:`lib.bench.inference.compare`; names with precisions), ``loading`` (seconds per
        picture), ``speed`` (see :func:`lib.bench.roofline.device_speed`) and ``backbone_flops``
        (forward, per picture).

    Raises:
        FileNotFoundError, ValueError: if a file is missing or unfit, or nothing is to be measured.
    """
    device = pick_device(options.device)
    if options.annotations is None:
        files = draw_pictures(
            resolve(options.pictures),
            count=options.count,
            width=options.width,
            height=options.height,
            seed=0,
        )
        options.annotations, options.images = files.annotations, files.images
    coco = open_labels(options, resolve(options.annotations), resolve(options.images))
    coco = coco.subset([x.id for x in draw_images(coco, options.count)])
    given = vars(options)
    shared = Shared(**{name: given[name] for name in Shared.__annotations__})
    amounts = Amounts(**{name: given[name] for name in Amounts.__annotations__})
    rivals = Rivals(read_models(resolve(options.models), options), coco, shared, device)
    speed = device_speed(device)
    rows, facts = compete(
        rivals.training(), amounts, device=device, on_turn=partial(print, flush=True)
    )
    images = {x.id: picture(x).to(device) for x in coco.images[: options.inference]}
    found, finders = compare(rivals.finders(), images, rounds=options.rounds, device=device)
    objects = [i for i in coco.all_instances() if not i.iscrowd]
    box_channels = {"box_channels": options.box_channels}
    return {
        "machine": {**machine(device), "on_gpu": device.type == "cuda"},
        "settings": {**asdict(shared), **box_channels, **asdict(amounts)},
        "pictures": {
            "annotations": display(options.annotations),
            "count": len(coco.images),
            "width": statistics.mean(x.width for x in coco.images),
            "height": statistics.mean(x.height for x in coco.images),
            "upright": statistics.mean(x.height > x.width for x in coco.images),
            "objects": len(objects) / len(coco.images),
        },
        "models": {n: c.model.model_dump(mode="json") for n, c in rivals.configs.items()},
        "rows": [row._asdict() for row in rows],
        "training": facts,
        "inference": {"rows": [row._asdict() for row in found], "models": finders},
        "loading": rivals.loading(),
        "speed": speed,
        "backbone_flops": {
            name: backbone_flops(
                ModelConfig(method="faster_rcnn", backbone=name, weights="imagenet"),
                height=options.min_size,
                width=round(options.min_size * options.width / options.height),
            )
            for name in ("resnet50", "resnet101")
        },
    }


def options_of(parameters: Mapping[str, Any]) -> list[str]:
    """Return a notebook's ``speed_*`` parameters as options of the command line.

    Those that the command line does not have, and those that are empty, are left out.
    """
    known = {action.dest for action in _parser()._actions if action.option_strings}
    options = []
    for parameter, value in parameters.items():
        name = parameter.removeprefix(PREFIX)
        name = CALLED.get(name, name)
        if not parameter.startswith(PREFIX) or name not in known or value in ("", []):
            continue
        values = value if isinstance(value, list) else [value]
        options += [f"--{name.replace('_', '-')}", *map(str, values)]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lib.bench.models",
        description="Measure training and inference beside torchvision's Mask R-CNN.",
    )
    add = parser.add_argument
    add("models", type=Path, help="JSON: names with training configurations")
    add(
        "--out",
        type=file_ending_in(".json", has_fields("machine", "rows"), place=resolve),
        required=True,
        help="the JSON file to write",
    )
    add("--annotations", type=Path, help="COCO-format labels; without, pictures are drawn")
    add("--images", type=Path, help="the folder of the labels' pictures")
    add("--pictures", type=Path, default=Path("cache/speed_pictures"), help="where to draw them")
    add("--count", type=int, default=64, help="pictures, drawn or taken from the labels")
    add("--width", type=int, default=640, help="of drawn pictures")
    add("--height", type=int, default=480, help="of drawn pictures")
    add("--min-size", type=int, default=800, help="shorter side that models resize to")
    add("--max-size", type=int, default=1333, help="limit of the longer side")
    add("--batch", type=int, default=8, help="pictures per training step")
    add("--workers", type=int, default=4, help="processes that load pictures")
    add("--rois", type=int, default=0, help="RoIs per training picture; 0: as each model says")
    add("--box-channels", type=int, nargs="*", default=[], help="of conv box heads; none: as said")
    add("--foreground", type=int, default=64, help="proposals near objects in training")
    add("--detections", type=int, default=40, help="objects found in a picture")
    add("--rounds", type=int, default=5, help="turns of each model")
    add("--warm-up", type=int, default=5, help="steps before the clock starts, in each turn")
    add("--steps", type=int, default=10, help="measured steps of a turn, twice: with the loader")
    add("--profiled", type=int, default=5, help="steps that are cut into parts")
    add("--inference", type=int, default=16, help="pictures for inference")
    add("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add_on_bad(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler tells of each start and stop
    try:
        write_json(options.out, measure(options))
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    except torch.cuda.OutOfMemoryError:
        print("error: CUDA ran out of memory. Lower --batch or --min-size.", file=sys.stderr)
        return 2
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Training from kept maps beside other ways: ``python -m lib.bench.frozen_backbone --out F.json``.

One frozen EfficientNet-Lite0, the same scenes, the same batches, four ways to train what follows:

- ``torchvision``: torchvision's Mask R-CNN around it with all else at its defaults, an FPN of 256
  channels, 512 RoIs, up to 2000 proposals, two layers of 1024, four mask convolutions of 256;
- ``same_heads``: torchvision's with the pyramid, heads, proposals and RoIs of this study's model;
- ``pictures``: this study's model (:data:`MODEL` of a profile), which sees every picture anew;
- ``maps``: the same from kept maps (:mod:`lib.training.kept_maps`), reading their files included.

They take turns in one process, on one core and then on all. torchvision's models are fed and
trained as its reference scripts do (:mod:`lib.bench.torchvision_reference`). All proposals but some
near the objects are those of random weights (:mod:`lib.bench.untrained`).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torchvision.models.detection import MaskRCNN

from lib.bench.compared_models import REFERENCE, SINGLE
from lib.bench.costs import measured_models, training_schedules
from lib.bench.inference import machine
from lib.bench.models import draw_pictures
from lib.bench.program import add_out, as_options, with_sentences, write
from lib.bench.torchvision_reference import (
    ENDLESS,
    ReferenceLearner,
    reference_loader,
    reference_on_lite0,
)
from lib.bench.training_steps import Start, Trainer, compare_training
from lib.bench.untrained import keep_busy
from lib.data.coco import CocoSet, load
from lib.models.build import build_model, load_backbone
from lib.models.detector import Detector
from lib.paths import display
from lib.training.config import TrainConfig, parse_config
from lib.training.dataset import loader
from lib.training.device import pick_device
from lib.training.distributed import World
from lib.training.kept_maps import KeptMaps, kept_maps
from lib.training.learner import Learner
from lib.training.supervision import supervision_of

PROGRAM = "lib.bench.frozen_backbone"

MODEL = "baseline"
"""Which of :data:`lib.bench.costs.MEASURED` is trained: paper B's Mask R-CNN."""

NUMBERS = {
    "pictures": (16, "scenes drawn"),
    "batch": (2, "pictures per training step"),
    "foreground": (16, "proposals near objects in training"),
    "rounds": (4, "turns of each"),
    "warm_up": (1, "steps before the clock starts, in each turn"),
    "steps": (1, "measured steps of a turn, twice: with the loader and without"),
}
"""Options that are whole numbers: their defaults and what they are."""


def config_of(settings: Mapping[str, Any], options: argparse.Namespace) -> TrainConfig:
    """Return a profile's training on a body of which nothing learns, all of whose masks are used.

    Args:
        settings: of a model of :func:`lib.bench.costs.measured_models`.
        options: of the command line.
    """
    model = settings["model"]
    body = {"backbone": "lite0", "weights": "imagenet", "fresh_stages": [], "trainable_stages": 0}
    shared = {
        "model": {
            **model,
            **body,
            "frozen_parts": [],
            "anchor_sizes": model["anchor_sizes"][:4],
            "min_size": model["min_size"][-1:],
        },
        "annotations": str(options.annotations),
        "images": str(options.images),
        "supervised": "all",
        "init": None,
        "out": "unused",
        "iterations": ENDLESS,
        "batch_size": options.batch,
        "amp": "none",
        "workers": 0,
        "device": options.device,
        "snapshots": [],
    }
    return parse_config({**settings, **shared}, where="speed of training from kept maps,")


def untrained(config: TrainConfig, coco: CocoSet) -> Detector:
    """Return this study's model, of which the body alone has its weights."""
    torch.manual_seed(0)
    model = build_model(config.model, num_classes=len(coco.categories))
    load_backbone(model, config.model)
    return model


class Ways:
    """The ways to train, each from the start in every turn.

    Args:
        config: this study's run.
        coco: its pictures.
        maps: what is kept of them.
        foreground: proposals near the objects of a picture.
        device: where all run.
    """

    def __init__(
        self,
        config: TrainConfig,
        coco: CocoSet,
        maps: KeptMaps,
        *,
        foreground: int,
        device: torch.device,
    ) -> None:
        self.config, self.coco, self.maps = config, coco, maps
        self.foreground, self.device = foreground, device

    def starts(self) -> dict[tuple[str, str], Start]:
        """Return how they start, by name and precision: each saves on the one before it."""
        model, classes = self.config.model, len(self.coco.categories)
        default = partial(reference_on_lite0, model, num_classes=classes)
        ways: dict[str, Start] = {
            REFERENCE: partial(self._theirs, default),
            "same_heads": partial(self._theirs, partial(default, same_heads=True)),
            "pictures": partial(self._ours, None),
            "maps": partial(self._ours, self.maps),
        }
        return {(name, SINGLE): start for name, start in ways.items()}

    def _theirs(self, build: Callable[[], MaskRCNN], turn: int) -> tuple[Trainer, Iterator[Any]]:
        torch.manual_seed(0)
        model = build().to(self.device).train()
        keep_busy(model, foreground=self.foreground, boxes=[])
        batches = reference_loader(
            self.coco, batch_size=self.config.batch_size, workers=0, seed=turn
        )
        return ReferenceLearner(model, self.device, amp=False), batches

    def _ours(self, maps: KeptMaps | None, turn: int) -> tuple[Trainer, Iterator[Any]]:
        config, world = self.config.model_copy(update={"seed": turn}), World(self.device)
        model = untrained(config, self.coco).to(self.device).train()
        keep_busy(model, foreground=self.foreground, boxes=[])
        supervision = supervision_of(config, self.coco)
        batches = loader(config, self.coco, supervision, 0, world=world, maps=maps)
        return Learner(config, model, world), batches


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure as the command line says and return what the JSON file holds.

    Returns:
        ``machine``, ``settings`` (how much was measured), ``model`` (this study's settings),
        ``kept`` (``files`` made, in how many ``seconds``, and their ``bytes``), and of each number
        of threads, in ``threads``, ``rows`` and ``training`` (see
        :func:`lib.bench.training_steps.compare_training`).

    Raises:
        FileNotFoundError, ValueError: if a file is missing or unfit, or nothing is to be measured.
    """
    device, given = pick_device(options.device), vars(options)
    settings = measured_models(training_schedules(options.profile), [MODEL])[MODEL]
    draw_pictures(options)
    coco = load(options.annotations, options.images)
    config = config_of(settings, options)
    every = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        model = untrained(config, coco).to(device)
        maps = kept_maps(model, folder, gib=1024)  # as good as no limit
        assert maps is not None  # nothing of the body learns
        begin = perf_counter()
        files = maps.fill(coco.images, model.look, mirrored=config.flip)
        kept = {"files": files, "seconds": perf_counter() - begin}
        kept["bytes"] = sum(path.stat().st_size for path in Path(folder).iterdir())
        ways = Ways(config, coco, maps, foreground=options.foreground, device=device)
        amounts = {name: given[name] for name in ("rounds", "warm_up", "steps")}
        measured = []
        for threads in sorted({1, every} if device.type == "cpu" else {every}):
            print(f"threads: {threads}", flush=True)
            torch.set_num_threads(threads)
            rows, facts = compare_training(ways.starts(), **amounts, device=device)
            measured.append({"threads": threads, "rows": rows, "training": facts})
    return {
        "machine": machine(device),
        "settings": {name: given[name] for name in (*NUMBERS, "width", "height")},
        "model": config.model.model_dump(mode="json"),
        "kept": kept,
        "threads": measured,
    }


def options_of(parameters: Mapping[str, Any]) -> list[str]:
    """Return a notebook's ``kept_*`` parameters, and those that it shares, as options."""
    shared = as_options(parameters, "speed", ("width", "height", "device"))
    return [*as_options(parameters, "kept", ("profile", *NUMBERS)), *shared]


@with_sentences
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure training on a frozen backbone."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Measure training from kept maps, from pictures and as torchvision does.",
    )
    add = parser.add_argument
    add("--profile", default="demo", help="whose model and sizes (default: demo)")
    add_out(parser, PROGRAM)
    add("--draw-in", type=Path, default=Path("cache/speed_pictures"), help="where to draw scenes")
    sizes = {"width": (320, "of drawn scenes"), "height": (240, "of drawn scenes")}
    for name, (default, text) in (NUMBERS | sizes).items():
        add(f"--{name.replace('_', '-')}", type=int, default=default, help=text)
    add("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = parser.parse_args(arguments)
    write(options.out, PROGRAM, measure(options))
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

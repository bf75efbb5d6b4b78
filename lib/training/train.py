"""Train a model: ``python -m lib.training.train CONFIG.json``.

The file holds a :class:`lib.training.config.TrainConfig`. The run writes ``metrics.jsonl``, a
checkpoint every so many iterations, snapshots of the model where it is told to, and at the end
``model.pt``. Started again after it was killed, it continues from the checkpoint and ends with the
weights of an uninterrupted run, bit for bit on the CPU with as many threads: all that is random
derives from the seed and a sample's place in the run, so there is no random state to restore.

``torchrun --nproc-per-node N -m lib.training.train CONFIG.json`` is the same program on several
devices, and with ``--nnodes`` on several machines that share the folder. The batch is divided among
the processes, and the run learns what one process would, up to rounding and padding (see
:class:`lib.models.detector.Detector`): each sample's seed, losses, gradients, what ``clip_value``
cuts, and, with ``norm: syncbn``, batch statistics are those of the whole batch. So a run may
continue on another number of processes. Asked to stop (SIGTERM), it saves its progress after the
iteration at hand and ends with exit code 75.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lib.data.coco import CocoSet
from lib.data.coco import load as load_coco
from lib.files import explain, write_json
from lib.models.build import build_model, load_backbone
from lib.models.detector import Detector
from lib.models.weights import read_tensors
from lib.paths import display, resolve
from lib.seeds import derive
from lib.training import checkpoint, scaling
from lib.training.config import TrainConfig, load_config
from lib.training.dataset import loader
from lib.training.distributed import PROBLEMS, World, joined
from lib.training.failures import STOPPED, RunEndedError, RunState, explained
from lib.training.kept_maps import KeptMaps, kept_maps
from lib.training.launch import end_with_caller
from lib.training.learner import Learner
from lib.training.lock import alone_in
from lib.training.log import METRICS, Clock, Record, cut_metrics, line
from lib.training.schedule import learning_rate
from lib.training.supervision import mask_line, supervision_of

DIVISION = "batch.json"
"""Name of the file that says how the batch was divided, in the folder of a run."""


def prepare(config: TrainConfig, coco: CocoSet, *, fill: bool = True) -> Detector:
    """Return the model to train, with its initial weights.

    Args:
        config: the run.
        coco: its set.
        fill: read the weights that it starts from; False leaves all of them random.
    """
    torch.manual_seed(derive(config.seed, "weights"))
    model = build_model(config.model, num_classes=len(coco.categories))
    if not fill:
        return model
    if config.init is None:
        load_backbone(model, config.model)
    else:
        copied = checkpoint.initialise(model, config.model, resolve(config.init), coco.categories)
        if copied.masks and coco.categories.split(config.supervised) != coco.categories.labels:
            raise ValueError(
                f"{config.init} was trained with masks, of whichever classes; starting from it "
                f"with masks of some (train.supervised is {config.supervised!r}) could hand on "
                "those of the others. Start from a detector, or from model.weights."
            )
        fresh = f"; {copied.fresh} starts anew" if copied.fresh else ""
        print(f"started from {display(config.init)}: {copied.tensors} tensors{fresh}", flush=True)
    return model


def train(config: TrainConfig, *, stop: Callable[[], bool] = lambda: False) -> Path:
    """Train as ``config`` says and return the path of the model file.

    A finished run of the same configuration, on the same files, is not repeated.

    Args:
        config: the run. Its paths must mean the same files to all processes.
        stop: whether the run shall end after the iteration at hand.

    Raises:
        FileNotFoundError, ValueError: if inputs are missing or unfit.
        FloatingPointError: if the loss is not finite.
        RunEndedError: if something else ends the run before its last iteration.
    """
    with joined(config.device) as world:
        with world.together():
            run = Run(config, world)
            done = world.main and run.is_done()
        if world.share(done):
            world.say(f"{display(run.finished)} is there already")
            return run.finished
        with explained(run.progress, world), alone_in(run.out, world):
            run.iterate(run.begin(), stop)
    return run.finished


class Run:
    """A run on the processes at hand.

    Snapshots are written before the step that follows them, checkpoints after the step before: one
    that continues from a checkpoint has all earlier snapshots and writes all later ones.

    Args:
        asked: its configuration.
        world: the processes.

    Raises:
        FileNotFoundError, ValueError: if the configuration is unfit, or files are missing.
    """

    def __init__(self, asked: TrainConfig, world: World) -> None:
        self.asked, self.world = asked, world
        self.config = scaling.resolved(asked, world.size)
        self.out = resolve(asked.out)
        self.finished = self.out / "model.pt"
        self.digest = self.config.digest()
        self.progress = RunState(self.out / "checkpoint.pt")
        self.sums: dict[str, float] = {}  # since the last log line, and over how many iterations

    def is_done(self) -> bool:
        """Return whether a run of this configuration has written all its models, undamaged."""
        return checkpoint.is_of(self.finished, self.digest) and checkpoint.are_of(
            self.out, self.config.snapshots, self.digest
        )

    def begin(self) -> Learner:
        """Read the set and what was done before, and return what learns; say what there is."""
        config, world = self.config, self.world
        state: dict[str, Any] = {}
        with world.together():
            labels, images = resolve(config.annotations), resolve(config.images)
            self.coco = coco = load_coco(labels, images, check_images="none")
            self.supervision = supervision = supervision_of(config, coco)
            model = prepare(config, coco, fill=world.main).to(world.device).train()
            if world.main:
                state = self._earlier()
        learner = Learner(config, model, world)
        state = world.share(state)
        if state:
            learner.restore(state)
            self.progress.saved = int(state["iteration"])
            self.sums = dict(state["sums"])
        self.maps = self._maps(learner.model)
        world.say(scaling.sentence(self.asked, config, world.size))
        if config.model.has_masks:
            world.say(mask_line(coco, supervision))
            if config.supervised != "all" and supervision.supervised == coco.categories.labels:
                world.say("all classes have masks: nothing is left to generalise to")
        return learner

    def _maps(self, model: Detector) -> KeptMaps | None:
        """Return what is kept of the pictures, and first make what is missing of it."""
        config, world = self.config, self.world
        maps = kept_maps(model, config.maps, gib=config.maps_gib)
        if maps:
            with world.together():  # the others wait for a lock, which has no limit of time
                maps.fill(self.coco.images, model.look, mirrored=config.flip)
        return maps

    def _earlier(self) -> dict[str, Any]:
        """Return the checkpoint of this run, empty if there is none; remove snapshots of others."""
        path = self.progress.checkpoint
        try:
            state = read_tensors(path) if path.exists() else {}
        except ValueError as error:
            print(f"{error} Starting anew.", flush=True)
            state = {}
        earlier = [n for n in self.config.snapshots if n < state.get("iteration", 0)]
        own = state.get("run") == self.digest
        if state and own and checkpoint.are_of(path.parent, earlier, self.digest):
            print(f"continuing from iteration {state['iteration']}", flush=True)
            return state
        if state:
            print(
                "The checkpoint belongs to other settings, files or (where images_per_device is "
                "given) numbers of processes, or an earlier snapshot is missing; starting anew.",
                flush=True,
            )
        for stale in path.parent.glob("snapshot_*.pt"):
            stale.unlink()
        return {}

    def iterate(self, learner: Learner, stop: Callable[[], bool]) -> None:
        """Do the iterations that are left, and write the model file.

        Raises:
            RunEndedError: if ``stop`` says so in one of the processes.
        """
        config, world, progress = self.config, self.world, self.progress
        if world.main:
            division = scaling.division(self.asked, config, world.size)
            write_json(self.out / DIVISION, division, indent=1)
            cut_metrics(self.out / METRICS, progress.saved)
        self.clock = Clock()
        batches = loader(
            config, self.coco, self.supervision, progress.saved, world=world, maps=self.maps
        )
        for iteration in range(progress.saved, config.iterations):
            progress.iteration = done = iteration + 1
            if iteration in config.snapshots:
                self._keep(checkpoint.snapshot_path(self.out, iteration), learner)
            waiting = time.perf_counter()
            images, targets = next(batches)
            self.clock.data += time.perf_counter() - waiting
            progress.images = [target["image_id"] for target in targets]
            losses, stopped = learner.step(images, targets, iteration, stop=stop())
            self.clock.iterations += 1
            for name, value in {"count": 1, **losses}.items():
                self.sums[name] = self.sums.get(name, 0) + value
            last = done == config.iterations
            if done % config.log_every == 0 or last:
                self._log()
            if not last and (stopped or done % config.checkpoint_every == 0):
                self._save(learner, done)
            if stopped and not last:
                world.gather(None)  # none ends before the checkpoint is written
                raise RunEndedError(
                    f"Stopped as asked (SIGTERM) after iteration {done}. {progress.kept}",
                    code=STOPPED,
                )
        self._keep(self.finished, learner)
        if world.main:
            progress.checkpoint.unlink(missing_ok=True)

    def _keep(self, path: Path, learner: Learner) -> None:
        """Write a model file."""
        if self.world.main:
            model, categories = self.config.model, self.coco.categories
            checkpoint.save_model(path, learner.model, model, categories, run=self.digest)

    def _save(self, learner: Learner, done: int) -> None:
        """Write a checkpoint."""
        if self.world.main:
            about = {"iteration": done, "run": self.digest, "sums": self.sums}
            checkpoint.save(self.progress.checkpoint, about | learner.state())
        self.progress.saved = done

    def _log(self) -> None:
        """Write and print a log line: means over the iterations since the last one."""
        device, done = self.world.device, self.progress.iteration
        memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
        everywhere = self.world.gather([*self.clock.means(), memory])
        seconds, data, memory = map(max, zip(*everywhere, strict=True))
        count = self.sums.pop("count")
        record: Record = {
            "iteration": done,
            "lr": learning_rate(self.config, done - 1),
            **{name: round(value / count, 6) for name, value in self.sums.items()},
            "seconds": round(seconds, 4),
            "data": round(data, 4),
            "max_mib": round(memory),
        }
        if self.world.main:
            with (self.out / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(line(record, self.config.iterations), flush=True)
        self.clock, self.sums = Clock(), {}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.training.train", description="Train a model."
    )
    parser.add_argument("config", type=Path, help="a JSON file, see lib/training/config.py")
    path = parser.parse_args(arguments).config
    end_with_caller()
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        written = train(load_config(path), stop=asked.is_set)
        if os.environ.get("RANK", "0") == "0":
            print(f"wrote {display(written)}")
    except (RunEndedError, *PROBLEMS) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return error.code if isinstance(error, RunEndedError) else 2
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

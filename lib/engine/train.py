"""Train a model: ``python -m lib.engine.train CONFIG.json``.

The file holds a :class:`lib.engine.config.TrainConfig`. The run writes ``metrics.jsonl``, a
checkpoint every so many iterations, snapshots of the model where it is told to, and at the end
``model.pt``. Started again after it was killed, it continues from the checkpoint and ends with the
weights of an uninterrupted run, bit for bit on the CPU with as many threads: every iteration seeds
itself, so there is no random state to restore.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from lib.data.coco import CocoSet
from lib.data.coco import load as load_coco
from lib.engine import checkpoint
from lib.engine.config import TrainConfig, load_config
from lib.engine.dataset import Batches, TrainingSet, Uses, collate
from lib.engine.device import pick_device
from lib.engine.learner import Learner
from lib.engine.log import Clock, MetricsLog, Record, line
from lib.engine.schedule import learning_rate
from lib.models.build import build_model, load_backbone
from lib.models.detector import Detector
from lib.models.weights import read_tensors
from lib.paths import display, resolve
from lib.seeds import derive


def uses_of(config: TrainConfig, coco: CocoSet) -> Uses:
    """Return what the configuration makes of a set's instances.

    Masks are for models that predict masks: without, none is read.

    Raises:
        ValueError: if it leaves nothing to learn from, or a mask branch without a class.
    """
    supervised = coco.categories.split(config.supervised)
    if config.model.has_masks and not supervised:
        names = list(coco.categories.names)
        raise ValueError(
            f"train.supervised is {config.supervised!r}, and none of the set's {len(names)} "
            f"classes ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}) is among them, "
            "so the mask branch has no class to learn from. Name another split or a list of the "
            "set's classes, or train a model without masks (method 'faster_rcnn')."
        )
    uses = Uses(
        supervised=supervised if config.model.has_masks else frozenset(),
        valid=config.valid,
        invalid=config.invalid,
        empty=config.empty,
    )
    instances = [i for i in coco.all_instances() if not i.iscrowd]
    if instances and all(uses.of(i) in ("ignore", "drop") for i in instances):
        raise ValueError(
            f"All {len(instances):,} instances are ignored or dropped (train.valid is "
            f"{config.valid!r}, train.invalid {config.invalid!r}), so there is nothing to learn. "
            "Choose 'learn' or 'box_only' for a kind of instance that the set has, or name the "
            "step in the profile's leave_out."
        )
    return uses


def mask_line(coco: CocoSet, uses: Uses) -> str:
    """Return one sentence on how many instances have a mask that may be used."""
    instances = [i for i in coco.all_instances() if not i.iscrowd]
    usable = sum(map(uses.reads_mask, instances))
    line = f"{usable:,} of {len(instances):,} instances have a mask to learn from"
    return line if usable else f"WARNING: {line}; the mask branch will learn nothing"


def loader(config: TrainConfig, coco: CocoSet, uses: Uses, start: int) -> Iterator[Any]:
    """Yield each iteration's images and targets, from iteration ``start`` on."""
    samples = TrainingSet(coco, uses=uses, flip=config.flip, seed=config.seed)
    batches = Batches(
        len(samples), config.batch_size, start=start, stop=config.iterations, seed=config.seed
    )
    return iter(
        DataLoader(
            samples,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=config.workers,
            pin_memory=config.device != "cpu" and torch.cuda.is_available(),
        )
    )


def prepare(config: TrainConfig, coco: CocoSet) -> Detector:
    """Return the model to train, with its initial weights."""
    torch.manual_seed(derive(config.seed, "weights"))
    model = build_model(config.model, num_classes=len(coco.categories))
    if config.init is None:
        load_backbone(model, config.model)
    else:
        copied = checkpoint.initialise(model, resolve(config.init), coco.categories)
        if copied.masks and coco.categories.split(config.supervised) != coco.categories.labels:
            raise ValueError(
                f"{config.init} was trained with masks, of whichever classes; starting from it "
                f"with masks of some (train.supervised is {config.supervised!r}) could hand on "
                "those of the others. Start from a detector, or from model.weights."
            )
        fresh = f"; {copied.fresh} starts anew" if copied.fresh else ""
        print(f"started from {display(config.init)}: {copied.tensors} tensors{fresh}", flush=True)
    return model


def train(config: TrainConfig) -> Path:
    """Train as ``config`` says and return the path of the model file.

    A finished run of the same configuration, on the same files, is not repeated.

    Snapshots are written before the step that follows them, checkpoints after the step before: one
    that continues from a checkpoint has all earlier snapshots and writes all later ones.

    Raises:
        FileNotFoundError, ValueError: if inputs are missing or unfit.
        FloatingPointError: if the loss is not finite.
    """
    out = resolve(config.out)
    saved, finished = out / "checkpoint.pt", out / "model.pt"
    device, run = pick_device(config.device), config.digest()
    written = checkpoint.is_of(finished, run) and checkpoint.are_of(out, config.snapshots, run)
    if (out / "metrics.jsonl").exists() and written:
        print(f"{display(finished)} is there already", flush=True)
        return finished
    coco = load_coco(resolve(config.annotations), resolve(config.images), check_images="none")
    uses = uses_of(config, coco)
    model = prepare(config, coco).to(device).train()
    learner = Learner(config, model, device)
    start = _start(saved, run, config.snapshots, learner)
    if config.model.has_masks:
        print(mask_line(coco, uses), flush=True)
        if config.supervised != "all" and uses.supervised == coco.categories.labels:
            print("all classes have masks: nothing is left to generalise to", flush=True)
    log = MetricsLog(out / "metrics.jsonl", resume_from=start)
    clock, sums = Clock(), dict[str, float]()
    batches = loader(config, coco, uses, start)
    for iteration in range(start, config.iterations):
        if iteration in config.snapshots:
            path = checkpoint.snapshot_path(out, iteration)
            checkpoint.save_model(path, model, config.model, coco.categories, run=run)
        waiting = Clock()
        images, targets = next(batches)
        clock.data += waiting.seconds
        losses = learner.step(images, targets, iteration)
        clock.iterations += 1
        done = iteration + 1
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value
        if done % config.log_every == 0 or done == config.iterations:
            record = _record(done, learning_rate(config, iteration), sums, clock, device)
            log.append(record)
            print(line(record, config.iterations), flush=True)
            sums.clear()
            clock.reset()
        if done % config.checkpoint_every == 0 and done < config.iterations:
            checkpoint.save(saved, {"iteration": done, "run": run, **learner.state()})
    checkpoint.save_model(finished, model, config.model, coco.categories, run=run)
    saved.unlink(missing_ok=True)
    return finished


def _record(
    done: int, rate: float, sums: dict[str, float], clock: Clock, device: torch.device
) -> Record:
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
    means = {name: round(value / clock.iterations, 6) for name, value in sums.items()}
    return {
        "iteration": done,
        "lr": rate,
        **means,
        "seconds": round(clock.seconds, 4),
        "data": round(clock.data_seconds, 4),
        "max_mib": round(memory),
    }


def _start(path: Path, run: str, snapshots: Sequence[int], learner: Learner) -> int:
    """Restore a checkpoint of the same configuration and return the iterations it has done.

    Where there is none, 0, and snapshots of other runs are removed.
    """
    state = read_tensors(path) if path.exists() else {}
    earlier = [n for n in snapshots if n < state.get("iteration", 0)]
    if state and state["run"] != run:
        print("The checkpoint belongs to other settings or files; starting anew.", flush=True)
    elif not checkpoint.are_of(path.parent, earlier, run):
        print("A snapshot from before the checkpoint is missing; starting anew.", flush=True)
    elif state:
        learner.restore(state)
        print(f"continuing from iteration {state['iteration']}", flush=True)
        return int(state["iteration"])
    for stale in path.parent.glob("snapshot_*.pt"):
        stale.unlink()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.engine.train", description="Train a model."
    )
    parser.add_argument("config", type=Path, help="a JSON file, see lib/engine/config.py")
    path = parser.parse_args(arguments).config
    try:
        print(f"wrote {display(train(load_config(path)))}")
    except (ValueError, FileNotFoundError, ConnectionError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except torch.cuda.OutOfMemoryError:
        print(
            "error: CUDA ran out of memory. Lower train.batch_size or model.min_size; started "
            "again, the run continues from its last checkpoint unless the settings changed.",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

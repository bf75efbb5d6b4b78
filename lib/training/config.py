"""The configuration of a training run: one JSON file, checked before anything is loaded."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lib.files import digest, digest_of, read_json
from lib.models.config import STAGES, ModelConfig
from lib.paths import find_data, resolve

Use = Literal["learn", "box_only", "ignore", "drop"]
Empty = Literal["no_mask", "background"]
"""What becomes of an instance in training; see :class:`TrainConfig`."""


class TrainConfig(BaseModel):
    """A training run. Relative paths are relative to the repository.

    The defaults are those of paper B, Sec. 4.1 and its official code.

    Attributes:
        model: the model's settings.
        annotations: COCO-format labels; masks are optional for every instance.
        images: the folder of the images.
        supervised: the classes whose masks may be used: ``all``, ``none``, ``voc``, ``non_voc``,
            ``official_40`` or a list of names. Boxes of all classes are used.
        valid: what becomes of an instance whose pseudo-mask is valid, or that has a true mask or
            none. ``learn``: its box and its mask train the model (without a mask, its box does).
            ``box_only``: its mask is not read. ``ignore``: it is neither foreground nor
            background: nothing that matches it is sampled. ``drop``: as if it was not labelled,
            so it is background.
        invalid: likewise, where the pseudo-mask is invalid (paper A, Sec. 1 and 2: those do not
            train the large branch's masks; what becomes of their boxes it does not say).
        empty: what an empty pseudo-mask (GrabCut found nothing) is where it is to be learnt from:
            ``no_mask``, so that its box alone trains, or ``background``, a mask like others: all
            of its box is background.
        init: a model file to start from (a detector), or None. A model with an Enhanced-FPN may
            start from one with a plain FPN.
        maps: a folder where the maps of a backbone of which nothing learns are kept, for all runs;
            "": none are. It changes no result.
        maps_gib: most that this folder may hold, in GiB; 0 keeps none.
        out: the folder for ``model.pt``, ``metrics.jsonl`` and the checkpoint.
        iterations: optimiser steps.
        batch_size: images per step, of all processes together.
        images_per_device: images per step of each process. If given, the batch is that many times
            the number of processes, and learning rate, iterations, steps, warm-up and snapshots
            are scaled from those that ``batch_size`` has (see :mod:`lib.training.scaling`). None:
            the processes share ``batch_size``.
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``.
        learning_rate: the rate after warm-up.
        warmup: steps of linear warm-up, from a thousandth of the rate.
        steps: iterations at which the rate is divided by ten.
        weight_decay: for all weights except those of normalisation layers.
        clip_value: gradients are clipped element-wise to plus or minus this; None: not.
        clip_norm: gradients are scaled to at most this norm; None: not.
        flip: mirror half of the training images.
        amp: ``auto`` is bfloat16 on CUDA devices that have it, and single precision elsewhere;
            ``none`` is single precision everywhere.
        device: ``auto`` takes CUDA where there is one; each process has a device of its own.
        workers: processes that load images for each training process; 0 loads them in itself.
        seed: everything random derives from it.
        checkpoint_every: steps between checkpoints.
        log_every: steps between log lines.
        snapshots: iterations after which the model is also kept, as ``snapshot_<n>.pt``; 0 is
            before the first step. After the last one it is ``model.pt`` itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelConfig
    annotations: str
    images: str
    supervised: str | list[str] = "all"
    valid: Use = "learn"
    invalid: Use = "learn"
    empty: Empty = "no_mask"
    init: str | None = None
    maps: str = ""
    maps_gib: Annotated[float, Field(ge=0)] = 8.0
    out: str
    iterations: Annotated[int, Field(gt=0)] = 130_000
    batch_size: Annotated[int, Field(gt=0)] = 16
    images_per_device: Annotated[int, Field(gt=0)] | None = None
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.02
    warmup: Annotated[int, Field(ge=0)] = 1000
    steps: tuple[int, ...] = (120_000,)
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    clip_value: Annotated[float, Field(gt=0)] | None = 1.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    flip: bool = True
    amp: Literal["auto", "none"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Annotated[int, Field(ge=0)] = 0
    seed: int = 0
    checkpoint_every: Annotated[int, Field(gt=0)] = 1000
    log_every: Annotated[int, Field(gt=0)] = 20
    snapshots: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "TrainConfig":
        if self.model.frozen_parts and self.init is None:
            raise ValueError(
                f"model.frozen_parts ({', '.join(self.model.frozen_parts)}) would stay random: let "
                "the run start from a trained detector (init), or leave them out."
            )
        fixed = STAGES[: len(STAGES) - self.model.learning_stages]
        still = [stage for stage in self.model.fresh_stages if stage in fixed]
        if still and self.init is None:
            raise ValueError(
                f"model.fresh_stages ({', '.join(still)}) would stay random: raise "
                f"model.trainable_stages, which is {self.model.trainable_stages}, or let the run "
                "start from a trained detector (init)."
            )
        wrong = [n for n in self.snapshots if not 0 <= n < self.iterations]
        if wrong or len(set(self.snapshots)) < len(self.snapshots):
            raise ValueError(
                f"snapshots are different iterations from 0 to {self.iterations - 1}, found "
                f"{', '.join(map(str, self.snapshots))}; after the last of the {self.iterations} "
                "iterations the model is model.pt."
            )
        return self

    def digest(self) -> str:
        """Return a digest of everything that decides the trained weights, and which are kept.

        Files count by their contents: labels, initial weights, backbone weights. Pictures count by
        their names and sizes in the labels. Where results go, how often progress is saved or
        logged, and how many processes share the batches, is left out.

        Raises:
            FileNotFoundError: if one of the files does not exist.
        """
        places = {"annotations", "images", "init", "out", "maps", "maps_gib"}
        free = {"checkpoint_every", "log_every", "workers", "device"}
        content = self.model_dump(mode="json", exclude=places | free)
        if self.images_per_device is None:
            del content["images_per_device"]
        del content["model"]["prior_from"]  # for inference alone
        files = {"annotations": resolve(self.annotations)}
        if self.init is not None:
            files["init"] = resolve(self.init)
        if self.model.weights not in ("none", "imagenet"):
            files["weights"] = find_data(self.model.weights)
        return digest_of(content | {name: digest(path) for name, path in files.items()})


def load_config(path: Path) -> TrainConfig:
    """Read and check a training configuration.

    Raises:
        ValueError: if it is not valid; the message has a line for each wrong setting.
        FileNotFoundError: if there is no such file.
    """
    return parse_config(read_json(path), where=str(path))


def parse_config(content: Any, *, where: str) -> TrainConfig:
    """Check a configuration that is already in memory; ``where`` names it in errors."""
    try:
        return TrainConfig.model_validate(content)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"
            f" (found {str(problem['input'])[:60]!r})"
            for problem in error.errors()
        ]
        raise ValueError("\n".join([f"{where} is not a training configuration:", *lines])) from None

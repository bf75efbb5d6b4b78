"""Checkpoints to resume from and model files to use, both read with ``weights_only=True``."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lib.data.categories import Categories
from lib.files import atomic
from lib.models.build import build_model
from lib.models.config import ModelConfig
from lib.models.detector import Detector
from lib.models.weights import read_tensors


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values atomically: a crash or a full disk leaves the previous file.

    Equal contents give equal bytes: given a path, ``torch.save`` would write its name too.

    Raises:
        OSError: if it cannot be written.
    """
    buffer = io.BytesIO()  # torch.save turns a full disk into an error of its own
    torch.save(content, buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


@dataclass(frozen=True)
class TrainedModel:
    """A model file: the model with its weights, its settings and its classes."""

    model: Detector
    config: ModelConfig
    categories: Categories


def save_model(
    path: Path,
    model: nn.Module,
    config: ModelConfig,
    categories: Categories,
    *,
    run: str,
) -> None:
    """Write a model file that says what it is and needs nothing else to be used.

    Args:
        path: the file.
        model: the model.
        config: its settings.
        categories: its classes.
        run: digest of the run that it came from; see :func:`is_of`.
    """
    content = {
        "model": config.model_dump(mode="json"),
        "categories": categories.to_coco(),
        "run": run,
        "state": {name: tensor.cpu() for name, tensor in model.state_dict().items()},
    }
    save(path, content)


def is_of(path: Path, run: str) -> bool:
    """Return whether ``path`` is a model file that the run with this digest has written."""
    try:
        return path.is_file() and read_tensors(path).get("run") == run
    except ValueError:  # damaged: it is written again
        return False


def snapshot_path(folder: Path, iteration: int) -> Path:
    """Return where a run keeps its model as it was after so many iterations."""
    return folder / f"snapshot_{iteration}.pt"


def are_of(folder: Path, iterations: Iterable[int], run: str) -> bool:
    """Return whether the run with this digest has written all these snapshots."""
    return all(is_of(snapshot_path(folder, iteration), run) for iteration in iterations)


def release(path: Path) -> None:
    """Leave of a model file only which run wrote it: the run stays done, and its room is free."""
    save(path, {"run": read_tensors(path)["run"]})


def is_released(path: Path) -> bool:
    """Return whether of a model file only its run is left."""
    return read_tensors(path).keys() == {"run"}


def load_model(path: Path) -> TrainedModel:
    """Return the model of a file that :func:`save_model` wrote, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a model file, or damaged.
    """
    content = read_tensors(path)
    if not {"model", "categories", "state"} <= content.keys():
        raise ValueError(
            f"{path} is not a model file: expected model, categories and state, found "
            f"{', '.join(map(str, list(content)[:5]))}."
        )
    config = ModelConfig.model_validate(content["model"])
    categories = Categories.from_coco(content["categories"])
    model = build_model(config, num_classes=len(categories))
    try:
        model.load_state_dict(content["state"])
    except RuntimeError as error:  # it lists every weight
        raise ValueError(
            f"The weights in {path} do not fit the {config.method} model that its settings "
            "describe: it was written by another version of the study. Train the model again."
        ) from error
    return TrainedModel(model.eval(), config, categories)


class Initialised(NamedTuple):
    """What a model has of another one.

    Attributes:
        tensors: how many.
        fresh: what it could not take over, in words; empty if that is nothing.
        masks: whether a mask branch was among it.
    """

    tensors: int
    fresh: str
    masks: bool


def initialise(
    model: Detector, config: ModelConfig, path: Path, categories: Categories
) -> Initialised:
    """Copy the weights of a trained detector into a model that was built as ``config`` says.

    Everything but the mask branch must fit; the mask branch is copied too if the file has one.
    There are three exceptions. A model with an Enhanced-FPN may start from one with a plain FPN,
    which it then resembles: what the file lacks stays as :mod:`lib.models.enhanced_fpn`
    initialises it. Where one box head is ``conv`` and the other ``fc``, the model keeps its own
    box head and predictor, untrained. And between batch and group normalisation, whose weights
    look alike and mean different things, the box head's convolutions are copied and its
    normalisation starts anew.

    Raises:
        ValueError: if the file's classes, feature pyramid or shapes differ from the model's.
        FileNotFoundError: if there is no such file.
    """
    content = read_tensors(path)
    names = [c["name"] for c in content.get("categories", [])]
    if names != list(categories.names):
        raise ValueError(
            f"{path} was trained for {len(names)} classes ({', '.join(names[:4])}, ...), but the "
            f"set has {len(categories)} ({', '.join(list(categories.names)[:4])}, ...)."
        )
    theirs = ModelConfig.model_validate(content["model"])
    if theirs.fpn not in ("plain", config.fpn):
        raise ValueError(
            f"{path} has a feature pyramid of kind {theirs.fpn!r}, this model one of kind "
            f"{config.fpn!r}: start from a model with a plain one, or set model.fpn to "
            f"{theirs.fpn!r}."
        )
    words, fresh = "", tuple[str, ...]()
    if theirs.box_head != config.box_head:
        words, fresh = "the box head, of another kind", (".box_head.", ".box_predictor.")
    elif config.box_head == "conv" and (theirs.norm == "gn") != (config.norm == "gn"):
        layers = range(len(config.box_channels))
        words, fresh = "the box head's normalisation", tuple(f".box_head.{n}.1." for n in layers)
    enhanced = () if theirs.fpn == config.fpn else (".fpn.extra_blocks.",)
    added = (".mask_branch.", *fresh, *enhanced)
    state: dict[str, Tensor] = {
        name: tensor
        for name, tensor in content["state"].items()
        if not any(part in name for part in fresh)
    }
    own = model.state_dict()
    wrong = [n for n, t in state.items() if n not in own or own[n].shape != t.shape]
    missing = [n for n in own if n not in state and not any(part in n for part in added)]
    if wrong or missing:
        raise ValueError(
            f"{path} does not fit this model (its first differing weight is "
            f"{(wrong + missing)[0]!r}): use the same backbone, channels, box head and norm in "
            "both, and the same mask head if the file has one."
        )
    model.load_state_dict(state, strict=False)
    return Initialised(len(state), words, any(".mask_branch." in name for name in state))

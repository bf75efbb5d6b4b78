"""Checkpoints to resume from and model files to use, both read with ``weights_only=True``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib.data.categories import Categories
from lib.files import atomic
from lib.models.build import build_model
from lib.models.config import ModelConfig
from lib.models.detector import Detector
from lib.models.enhanced_fpn import kind_of
from lib.models.weights import read_tensors


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values atomically: a crash leaves the previous file whole.

    Equal contents give equal bytes: given a path, ``torch.save`` would write its name too.
    """
    with atomic(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)


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
        model: the model, on the CPU.
        config: its settings.
        categories: its classes.
        run: digest of the run that it came from; see :func:`is_of`.
    """
    save(
        path,
        {
            "model": config.model_dump(mode="json"),
            "categories": categories.to_coco(),
            "run": run,
            "state": model.state_dict(),
        },
    )


def is_of(path: Path, run: str) -> bool:
    """Return whether ``path`` is a model file that the run with this digest has written."""
    return path.is_file() and read_tensors(path).get("run") == run


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
    model.load_state_dict(content["state"])
    return TrainedModel(model.eval(), config, categories)


def initialise(model: Detector, path: Path, categories: Categories) -> int:
    """Copy the weights of a trained detector into ``model`` and return how many tensors that were.

    Everything but the mask branch must fit; the mask branch is copied too if the file has one. A
    model with an Enhanced-FPN may start from one with a plain FPN, which it then resembles: what
    the file lacks stays as :mod:`lib.models.enhanced_fpn` initialises it.

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
    theirs, ours = content["model"].get("fpn", "plain"), kind_of(model.backbone.fpn.extra_blocks)
    if theirs not in ("plain", ours):
        raise ValueError(
            f"{path} has a feature pyramid of kind {theirs!r}, this model one of kind {ours!r}: "
            f"start from a model with a plain one, or set model.fpn to {theirs!r}."
        )
    state: dict[str, Tensor] = content["state"]
    own = model.state_dict()
    added = (".mask_branch.",) if theirs == ours else (".mask_branch.", ".fpn.extra_blocks.")
    wrong = [n for n, t in state.items() if n not in own or own[n].shape != t.shape]
    missing = [n for n in own if n not in state and not any(part in n for part in added)]
    if wrong or missing:
        raise ValueError(
            f"{path} does not fit this model (its first differing weight is "
            f"{(wrong + missing)[0]!r}): use the same backbone, channels, box head and norm in "
            "both, and the same mask head if the file has one."
        )
    model.load_state_dict(state, strict=False)
    return len(state)

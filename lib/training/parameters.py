"""From a notebook's flat parameters to the configuration of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.data.sources import SetFiles
from lib.seeds import derive
from lib.training.config import TrainConfig, parse_config

MAPS = "cache/maps"
"""Where all profiles and steps keep the maps of frozen backbones."""

ELSEWHERE = ("train_init", "train_method", "train_repeat", "train_seed")
"""Parameters called like settings of the run that have their place elsewhere."""


def _group(parameters: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix) and name not in ELSEWHERE
    }


def run_seed(seed: int, repeat: int) -> int:
    """Return what all of a run derives from that is random.

    Args:
        seed: the base seed, which is also that of the first repetition.
        repeat: which repetition, from 0.
    """
    return derive(seed, "repeat", repeat) if repeat else seed


def training_config(
    parameters: Mapping[str, Any], *, files: SetFiles, out: Path, init: Path | None
) -> TrainConfig:
    """Return the configuration that ``model_*`` and ``train_*`` parameters describe.

    Args:
        parameters: a notebook's parameters by name; others are left alone.
        files: the training set.
        out: the folder of the run.
        init: the model file to start from.

    Raises:
        ValueError: if a setting is wrong; the message has a line for each.
    """
    model = {"method": parameters["train_method"], **_group(parameters, "model_")}
    content = {
        **_group(parameters, "train_"),
        "seed": run_seed(parameters["train_seed"], parameters["train_repeat"]),
        "model": model,
        "annotations": str(files.annotations),
        "images": str(files.images),
        "maps": MAPS,
        "out": str(out),
        "init": None if init is None else str(init),
    }
    return parse_config(content, where="The parameters cell")

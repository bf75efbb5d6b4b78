"""How the batch is divided among processes, and the linear rule where it grows with them.

``batch_size`` is the whole batch. By default any number of processes share it, and the run is the
same run. With ``images_per_device`` the batch is that many images for each process, and a batch k
times ``batch_size`` is compensated by the linear rule (Goyal et al., 2017): k times the learning
rate, and a k-th of all that is counted in iterations, so that the run sees each image as often.
"""

from typing import Any

from lib.training.config import TrainConfig, parse_config
from lib.training.order import share_of


def resolved(config: TrainConfig, processes: int) -> TrainConfig:
    """Return the run that ``config`` means on so many processes; it has no ``images_per_device``.

    Raises:
        ValueError: if there are fewer images in a batch than processes, or if scaling leaves
            snapshots that are not different iterations.
    """
    if config.images_per_device is None:
        share_of(config.batch_size, 0, processes)
        return config
    batch = config.images_per_device * processes
    k = batch / config.batch_size
    changes = {
        "images_per_device": None,
        "batch_size": batch,
        "learning_rate": config.learning_rate * k,
        "iterations": max(1, round(config.iterations / k)),
        "steps": [round(step / k) for step in config.steps],
        "warmup": round(config.warmup / k),
        "snapshots": [round(n / k) for n in config.snapshots],
    }
    return parse_config(config.model_dump() | changes, where=f"The run on {processes} processes")


def division(asked: TrainConfig, config: TrainConfig, processes: int) -> dict[str, Any]:
    """Return how a run is divided and scaled, for its folder.

    Args:
        asked: the configuration as given.
        config: as :func:`resolved`.
        processes: how many there are.
    """
    kept = ("batch_size", "learning_rate", "iterations", "steps", "warmup", "snapshots")
    return {
        "processes": processes,
        "images": [len(share_of(config.batch_size, r, processes)) for r in range(processes)],
        "factor": config.batch_size / asked.batch_size,
        "asked": asked.model_dump(mode="json", include={*kept, "images_per_device"}),
        "resolved": config.model_dump(mode="json", include=set(kept)),
    }


def sentence(asked: TrainConfig, config: TrainConfig, processes: int) -> str:
    """Return in a sentence or two how a run is divided and scaled; empty if it is neither."""
    if asked.images_per_device is None and processes == 1:
        return ""
    images = division(asked, config, processes)["images"]
    each = " or ".join(str(n) for n in sorted(set(images)))
    noun = "processes" if processes > 1 else "process"
    text = f"{processes} {noun} with {each} images each: batches of {config.batch_size}"
    k = config.batch_size / asked.batch_size
    if k == 1:
        text += ", as the settings have them; nothing is scaled."
    else:
        text += (
            f" instead of {asked.batch_size}; by the linear rule (k = {k:g}) the learning rate is "
            f"{config.learning_rate:g} instead of {asked.learning_rate:g}, iterations are "
            f"{config.iterations:,} instead of {asked.iterations:,}, warm-up is {config.warmup:,} "
            f"instead of {asked.warmup:,}."
        )
    if processes > 1 and config.model.norm == "bn":
        text += (
            " model.norm is 'bn', so the heads take the batch statistics of each process's images "
            "alone; 'syncbn' takes those of the whole batch."
        )
    return text

"""What a profile trains: each training step with its configuration and the time it is given."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from lib.data.sources import SetFiles
from lib.runner.problems import UsageError
from lib.runner.setup import prepare
from lib.steps import STEPS
from lib.study import Study
from lib.training.parameters import training_config

TRAINS = "train_method"
"""A notebook with this parameter trains a model."""

PLACES = {"annotations", "images", "out", "init"}
"""Settings of a training run that say where its files are."""

MEASURED = {
    "mask_rcnn": "06_train_opmask.class_specific.all",
    "baseline": "06_train_opmask.baseline.voc",
    "opmask": "06_train_opmask.opmask.voc",
    "large": "04_train_hybrid.large",
    "small": "04_train_hybrid.small",
}
"""The models whose speed is measured, each by a step that trains it: Mask R-CNN as torchvision has
it, paper B's baseline and OPMask, and paper A's large branch (Enhanced-FPN) and small branch (a
detector, whose masks GrabCut makes at test)."""


def training_schedules(profile: str) -> list[dict[str, Any]]:
    """Return the training steps of a profile, in order.

    Returns:
        For each ``step``, its id; ``minutes``, the time that the profile expects of it; and
        ``config``, its :class:`lib.training.config.TrainConfig` without the places of its files.

    Raises:
        ValueError: if there is no such profile, or a setting of it is wrong.
    """
    try:
        setup = prepare(Study(), STEPS, profile=profile, planned=True)
    except UsageError as error:
        raise ValueError("\n".join(error.problems)) from error
    files, schedules = SetFiles(Path("annotations.json"), Path("images")), []
    for step in setup.steps:
        parameters = setup.parameters.get(step.id, {})
        if TRAINS in parameters:
            config = training_config(parameters, files=files, out=Path("out"), init=None)
            settings = config.model_dump(mode="json", exclude=PLACES)
            schedules.append({"step": step.id, "minutes": step.minutes, "config": settings})
    return schedules


def measured_models(
    schedules: Iterable[Mapping[str, Any]], names: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return the settings of the models to measure by name: those of :data:`MEASURED` there are.

    Args:
        schedules: of `training_schedules`.
        names: which of them; all if empty.

    Raises:
        ValueError: if the profile trains none of them.
    """
    configs = {row["step"]: row["config"] for row in schedules}
    wanted = {name: step for name, step in MEASURED.items() if not names or name in names}
    found = {name: configs[step] for name, step in wanted.items() if step in configs}
    if not found:
        raise ValueError(
            f"The profile trains none of {', '.join(wanted.values())}, whose speed is measured. "
            "Name another profile in speed.profile, or by --profile."
        )
    return found

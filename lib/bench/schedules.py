"""What a profile trains: each training step with its configuration and the time it is given.

``python -m lib.bench.schedules --profile paper --out models.json`` writes the models whose speed is
measured, for `lib.bench.models`.
"""

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.bench.program import add_out, with_sentences, write
from lib.data.sources import SetFiles
from lib.paths import display
from lib.runner.problems import UsageError
from lib.runner.setup import prepare
from lib.steps import STEPS
from lib.study import Study
from lib.training.parameters import training_config

PROGRAM = "lib.bench.schedules"

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


def training_schedules(profile: str, study: Study | None = None) -> list[dict[str, Any]]:
    """Return the training steps of a profile, in order.

    Returns:
        For each ``step``, its id; ``minutes``, the time that the profile expects of it; and
        ``config``, its :class:`lib.training.config.TrainConfig` without the places of its files.

    Raises:
        ValueError: if there is no such profile, or a setting of it is wrong.
    """
    try:
        setup = prepare(study or Study(), STEPS, profile=profile, planned=True)
    except UsageError as error:
        raise ValueError("\n".join(error.problems)) from error
    return [
        {"step": step.id, "minutes": step.minutes, "config": _config(parameters)}
        for step in setup.steps
        if TRAINS in (parameters := setup.parameters.get(step.id, {}))
    ]


def measured_models(
    schedules: Iterable[Mapping[str, Any]], names: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return the settings of the models to measure by name: those of :data:`MEASURED` there are.

    Args:
        schedules: of `training_schedules`.
        names: which of them; all if empty.

    Raises:
        ValueError: if a name is unknown, or there is none of them.
    """
    if unknown := sorted(set(names) - set(MEASURED)):
        raise ValueError(
            f"Speed can be measured of {', '.join(MEASURED)}, not of {', '.join(unknown)}: change "
            "speed.models."
        )
    configs = {row["step"]: row["config"] for row in schedules}
    wanted = {name: step for name, step in MEASURED.items() if not names or name in names}
    found = {name: configs[step] for name, step in wanted.items() if step in configs}
    if not found:
        raise ValueError(
            f"The profile trains none of {', '.join(wanted.values())}, whose speed is measured. "
            "Name another profile in speed.profile."
        )
    return found


def _config(parameters: Mapping[str, Any]) -> dict[str, Any]:
    files = SetFiles(Path("annotations.json"), Path("images"))
    config = training_config(parameters, files=files, out=Path("out"), init=None)
    return config.model_dump(mode="json", exclude=PLACES)


@with_sentences
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the models to measure to a file."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description="Write the models whose speed is measured."
    )
    parser.add_argument("--profile", default="paper")
    add_out(parser, PROGRAM)
    options = parser.parse_args(arguments)
    write(options.out, PROGRAM, measured_models(training_schedules(options.profile)))
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

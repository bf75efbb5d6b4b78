"""What a profile trains, and what its training steps cost: hours of a GPU, and money.

A step shows its model as many pictures as it has iterations times its batch; divided by the
pictures per second that were measured of a model like it, that is its time. On a CPU nothing is
known of a GPU, so its hours are the profile's own estimates, and what is measured is said beside
them.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lib.bench.model_tables import policy
from lib.data.sources import SetFiles
from lib.runner.problems import UsageError
from lib.runner.setup import prepare
from lib.steps import STEPS
from lib.study import Study
from lib.training.parameters import training_config
from lib.variant import split_seed

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
    configs = {split_seed(row["step"])[0]: row["config"] for row in schedules}
    wanted = {name: step for name, step in MEASURED.items() if not names or name in names}
    found = {name: configs[step] for name, step in wanted.items() if step in configs}
    if not found:
        raise ValueError(
            f"The profile trains none of {', '.join(wanted.values())}, whose speed is measured. "
            "Name another profile in speed.profile, or by --profile."
        )
    return found


def stands_for(model: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the measured model whose speed a model is taken to have, or None.

    That is one with the same backbone, box head and way to masks: the prior of OPMask, an
    Enhanced-FPN, seven or four mask convolutions. How masks are chosen, and what scales the prior,
    costs next to nothing.

    Args:
        model: settings of `lib.models.config.ModelConfig`.
        measured: those of the models that were measured, by name.
    """
    fc = model["box_head"] == "fc"
    if model["method"] == "faster_rcnn":
        names = ["small"] if fc else ["baseline", "opmask"]
    elif not fc:
        names = [model["method"]] if model["method"] == "opmask" else ["baseline", "opmask"]
    else:
        names = ["mask_rcnn", "large"] if model["fpn"] == "plain" else ["large"]
    there = [name for name in names if name in measured]
    return next((n for n in there if measured[n]["backbone"] == model["backbone"]), None)


def cost_table(
    schedules: Iterable[Mapping[str, Any]],
    content: Mapping[str, Any],
    training: pd.DataFrame,
    *,
    price: float,
) -> pd.DataFrame:
    """Return what each training step costs on one device.

    Args:
        schedules: of `training_schedules`.
        content: what `lib.bench.models` wrote.
        training: of `lib.bench.model_tables.training_table`.
        price: of an hour of a GPU.

    Returns:
        Columns ``step``, ``pictures`` (iterations times batch), ``like`` (the measured model),
        ``precision``, ``images_per_second`` (measured, on this machine), ``hours_here`` (at that
        speed, on this machine), ``gpu_hours`` (the same on a GPU, else the profile's estimate),
        ``from`` (``measured`` or ``estimated``), ``money``; and of all in ``mixed`` precision
        ``gpu_hours_mixed``, where it was measured. The last row, ``all``, has the sums.
    """
    on_gpu = content["machine"]["on_gpu"]
    speeds = training.assign(kind=training["precision"].map(policy))
    table = []
    for row in schedules:
        config = row["config"]
        name = stands_for(config["model"], content["models"])
        kind = "single" if config["amp"] == "none" or not on_gpu else "mixed"
        pictures = config["iterations"] * config["batch_size"]
        rates: dict[Any, float] = {}
        if name is not None:
            like = speeds[speeds["model"] == name]
            rates = like.set_index("kind")["images_per_second"].to_dict()
        hours = {k: pictures / rate / 3600 for k, rate in rates.items()}
        measured = on_gpu and kind in hours
        gpu_hours = hours[kind] if measured else row["minutes"] / 60
        table.append(
            {
                "step": row["step"],
                "pictures": pictures,
                "like": name,
                "precision": kind,
                "images_per_second": rates.get(kind),
                "hours_here": hours.get(kind),
                "gpu_hours": gpu_hours,
                "from": "measured" if measured else "estimated",
                "money": gpu_hours * price,
                "gpu_hours_mixed": hours.get("mixed") if on_gpu else None,
            }
        )
    frame = pd.DataFrame(table)
    sums = ["pictures", "hours_here", "gpu_hours", "money", "gpu_hours_mixed"]
    total = frame[sums].astype(float).sum(min_count=len(frame))
    last = {"step": "all", **total.to_dict(), "pictures": int(frame["pictures"].sum())}
    return pd.concat([frame, pd.DataFrame([last])], ignore_index=True)

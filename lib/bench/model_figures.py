"""Figures and sentences on how fast models train and find objects, and what training costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.bench.model_tables import FASTER_INFERENCE, FASTER_TRAINING, REFERENCE, SINGLE
from lib.pages.style import COLOURS, FLAT, GREY, SEQUENCE, WIDTH

NAMES = {
    "torchvision": "torchvision's Mask R-CNN",
    "mask_rcnn": "the same network here",
    "baseline": "baseline (paper B)",
    "opmask": "OPMask",
    "large": "HybridNet, large branch",
    "small": "HybridNet, small branch",
}
"""Models as people read them."""

SHORT = {
    "mask_rcnn": "Mask R-CNN",
    "baseline": "baseline",
    "opmask": "OPMask",
    "large": "large branch",
    "small": "small branch",
}
"""The same in narrow columns."""

PARTS = {
    "data": "waiting for data",
    "transfer": "to the device",
    "transform": "resizing",
    "backbone": "ResNet and FPN",
    "rpn": "RPN",
    "sampling": "RoI sampling",
    "box": "box head",
    "mask": "mask branch",
    "losses": "checks of losses",
    "backward": "backward",
    "optimiser": "optimiser",
}
"""Parts of a step as people read them."""

PART_COLOURS = dict(zip(PARTS, [*SEQUENCE, "#005f4b", "#b5b5b5", "#5b3a8c"], strict=True))


def measured_line(content: Mapping[str, Any]) -> str:
    """Return what was measured where, as sentences.

    Args:
        content: what `lib.bench.models` wrote.
    """
    machine, settings, pictures = (content[k] for k in ("machine", "settings", "pictures"))
    rois = f"{settings['rois']} RoIs" if settings["rois"] else "as many RoIs as each model says"
    loading = ", ".join(
        f"{1000 * seconds:.0f} ms ({whose})" for whose, seconds in content["loading"].items()
    )
    return (
        f"{machine['device']} ({machine['processor']}), {machine['threads']} threads, torch "
        f"{machine['torch']}. {pictures['count']} pictures of {pictures['width']:.0f} x "
        f"{pictures['height']:.0f} on average with {pictures['objects']:.1f} objects, resized to "
        f"{settings['min_size']} (at most {settings['max_size']}) pixels; {settings['batch']} in a "
        f"batch, {settings['workers']} processes load them; {rois} per picture; "
        f"{settings['rounds']} rounds of {settings['steps']} steps. To load a training picture "
        f"takes a core {loading}."
    )


def scale_line(content: Mapping[str, Any]) -> str:
    """Return whether the numbers speak of the sizes that are used in earnest, as sentences."""
    settings = content["settings"]
    small = settings["min_size"] < 600 or settings["rois"] or settings["box_channels"]
    if content["machine"]["on_gpu"] and not small:
        return "This is the scale of the papers: their heads, and pictures of COCO's usual size."
    parts = [
        *([] if content["machine"]["on_gpu"] else ["on a CPU"]),
        *(["with small pictures and heads"] if small else []),
    ]
    return (
        f"This is a trial of the measurement {' and '.join(parts)}: on a GPU at full size the "
        "parts of a step compare otherwise, and what is asked of a GPU is not asked here."
    )


def readable_training(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.model_tables.training_table` with names for people."""
    return _named(table).rename(columns={"from_memory": "images_per_second_from_memory"})


def readable_inference(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.model_tables.inference_table` with names for people."""
    return _named(table)


def readable_parts(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.model_tables.by_part` with names for people."""
    return table.assign(part=table["part"].map(PARTS)).rename(columns=_column)


def readable_roofline(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.model_tables.roofline_table` with names for people, and milliseconds."""
    times = {f"{name}_ms": 1000 * table[column] for name, column in _TIMES.items()}
    columns = [
        "model",
        "precision",
        "teraflop",
        "gib",
        *times,
        "bound",
        "achieved",
        "waits",
        "busy",
    ]
    shown = _named(table.assign(**times)[columns])
    return shown.drop(columns="busy") if table["busy"].isna().all() else shown


_TIMES = {"shortest": "shortest", "measured": "seconds"}


def speed_line(content: Mapping[str, Any]) -> str:
    """Return what the device was measured to do, as a sentence."""
    speed = content["speed"]
    kinds = ", ".join(
        f"{rate / 1e12:.3g} ({kind})" for kind, rate in speed["flops_per_second"].items()
    )
    return (
        f"Measured just before: {kinds} teraflop per second in matrix products or convolutions, "
        f"whichever is faster, and {speed['bytes_per_second'] / 1e9:.0f} GB per second in copies."
    )


def asked_line(content: Mapping[str, Any]) -> str:
    """Return what is asked of speed, as sentences."""
    where = (
        ""
        if content["machine"]["on_gpu"]
        else " It is asked on a GPU; here the table only shows how the two compare on a CPU."
    )
    return (
        f"Asked is training at {FASTER_TRAINING:g} times torchvision's images per second, "
        f"inference at {FASTER_INFERENCE:g} times, and no more memory.{where}"
    )


def ratios(training: pd.DataFrame, inference: pd.DataFrame) -> Figure:
    """Draw images per second over torchvision's, in training and at test.

    Args:
        training: of `lib.bench.model_tables.training_table`.
        inference: of `lib.bench.model_tables.inference_table`.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, FLAT * 1.1), sharey=True)
    for axes, table, title, asked in (
        (panels[0], training, "Training", FASTER_TRAINING),
        (panels[1], inference, "Inference", FASTER_INFERENCE),
    ):
        _ratio_bars(axes, table[table["model"] != REFERENCE], asked)
        axes.set_title(title)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _ratio_bars(axes: Axes, table: pd.DataFrame, asked: float) -> None:
    models = list(dict.fromkeys(table["model"]))
    kinds = [table["precision"] == SINGLE, table["precision"] != SINGLE]
    shown = [kind for kind in kinds if kind.any()]
    height = 0.8 / len(shown)
    for number, kind in enumerate(shown):
        part = table[kind]
        places = np.array([models.index(m) for m in part["model"]]) + number * height
        colour = COLOURS["baseline"] if kind is kinds[0] else COLOURS["ours"]
        label = "single precision" if kind is kinds[0] else "mixed precision"
        axes.barh(places, part["ratio"], height=height, color=colour, alpha=0.75, label=label)
        axes.hlines(places, part["ci_low"], part["ci_high"], color="black", linewidth=2)
    axes.axvline(1, color="black", linewidth=1, label="torchvision's")
    axes.axvline(asked, color=GREY, linestyle="--", linewidth=1.2, label="asked on a GPU")
    middle = (len(shown) - 1) * height / 2
    axes.set_yticks(np.arange(len(models)) + middle, [NAMES.get(m, m) for m in models])
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("images per second, over torchvision's")


def parts_figure(parts: pd.DataFrame) -> Figure:
    """Draw where the time of a training step goes, a bar for each model and precision.

    Args:
        parts: of `lib.bench.model_tables.parts_table`.
    """
    groups = list(parts.groupby(["model", "precision"], sort=False))
    figure, axes = plt.subplots(figsize=(WIDTH, 1.6 + 0.34 * len(groups)))
    several = parts["precision"].nunique() > 1
    labels = []
    for place, ((model, precision), one) in enumerate(groups):
        left = 0.0
        for part, seconds in zip(one["part"], one["seconds"], strict=True):
            label = PARTS[part] if place == 0 else None
            axes.barh(place, seconds, left=left, color=PART_COLOURS[part], label=label)
            left += seconds
        name = NAMES.get(str(model), str(model))
        labels.append(f"{name}, {precision}" if several else name)
    axes.set_yticks(range(len(groups)), labels)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("seconds per training step")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def readable_costs(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.costs.cost_table` for people: what is alike in all rows is left out."""
    columns = {
        "step": table["step"],
        "million_pictures": table["pictures"] / 1e6,
        "like": table["like"].map(SHORT, na_action="ignore"),
        "images_per_second": table["images_per_second"],
        "hours_here": table["hours_here"],
        "GPU_hours": table["gpu_hours"],
        "GPU_hours_mixed": table["gpu_hours_mixed"],
        "money": table["money"],
    }
    steps = table.iloc[:-1]
    alike = {name: steps[name].nunique() == 1 for name in ("precision", "from")}
    columns |= {name: table[name] for name in alike if not alike[name]}
    if table["gpu_hours_mixed"].isna().all():
        del columns["GPU_hours_mixed"]
    if (steps["from"] == "measured").all():
        del columns["hours_here"]
    return pd.DataFrame(columns)


def cost_line(
    content: Mapping[str, Any], costs: pd.DataFrame, *, profile: str, price: float
) -> str:
    """Return what the hours rest on, as sentences.

    Args:
        content: what `lib.bench.models` wrote.
        costs: of `lib.bench.costs.cost_table`.
        profile: whose steps they are.
        price: of an hour of a GPU.
    """
    *steps, total = costs.to_dict("records")
    measured = sum(row["from"] == "measured" for row in steps)
    device, sizes = content["machine"]["device"], content["settings"]
    if measured:
        what = (
            f"Hours are those of one {device} at the speeds measured above, with pictures of "
            f"{sizes['min_size']} to {sizes['max_size']} pixels; a step that trains on smaller "
            "ones takes less."
        )
    else:
        what = (
            f"No GPU was measured: the GPU hours are the estimates in params/{profile}.yaml. What "
            f"a step would take on this machine ({device}) is extrapolated from the speeds above, "
            f"with pictures of {sizes['min_size']} to {sizes['max_size']} pixels."
        )
    return (
        f"Profile {profile} trains {len(steps)} models. {what} At {price:g} per GPU hour, which is "
        f"an assumption, training costs {total['money']:,.0f} in all."
    )


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(model=[NAMES.get(name, name) for name in table["model"]])


def _column(name: str) -> str:
    model, _, precision = name.partition(" ")
    return f"{NAMES.get(model, model)} {precision}".strip()

"""Figures and sentences on how fast models train and find objects, and what training costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.bench.compared_models import REFERENCE, SINGLE
from lib.pages.style import COLOURS, FLAT, WIDTH

NAMES = {
    "torchvision": "torchvision's Mask R-CNN",
    "same_heads": "torchvision's, with the heads and RoIs of here",
    "pictures": "here, from pictures",
    "maps": "here, from kept maps",
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


def measured_line(content: Mapping[str, Any]) -> str:
    """Return what was measured where, as sentences.

    Args:
        content: what `lib.bench.models` wrote.
    """
    machine, settings, pictures = (content[k] for k in ("machine", "settings", "pictures"))
    rois = f"{settings['rois']} RoIs" if settings["rois"] else "as many RoIs as each model says"
    return (
        f"{machine['device']} ({machine['processor']}), {machine['threads']} threads, torch "
        f"{machine['torch']}. {pictures['count']} pictures of {pictures['width']:.0f} x "
        f"{pictures['height']:.0f} on average with {pictures['objects']:.1f} objects, resized to "
        f"{settings['min_size']} (at most {settings['max_size']}) pixels; {settings['batch']} in a "
        f"batch, {settings['loaders']} processes load them; {rois} per picture; "
        f"{settings['rounds']} rounds of {settings['steps']} steps."
    )


def scale_line(content: Mapping[str, Any]) -> str:
    """Return whether the numbers speak of the sizes that are used in earnest, as sentences."""
    settings = content["settings"]
    small = settings["min_size"] < 600 or settings["rois"] or settings["box_channels"]
    if content["machine"]["on_gpu"] and not small:
        return "This is the scale of the papers: their heads, and pictures of COCO's usual size."
    on_cpu = not content["machine"]["on_gpu"]
    parts = ["on a CPU"] * on_cpu + ["with small pictures and heads"] * bool(small)
    return (
        f"This is a trial of the measurement {' and '.join(parts)}: on a GPU at full size the "
        "parts of a step compare otherwise."
    )


def frozen_line(content: Mapping[str, Any], table: pd.DataFrame) -> str:
    """Return what was measured of a frozen backbone, and when kept maps pay, as sentences.

    Args:
        content: what `lib.bench.frozen_backbone` wrote.
        table: of `lib.bench.model_tables.frozen_table`.
    """
    machine, settings, model, kept = (content[k] for k in ("machine", "settings", "model", "kept"))
    rates = table[table["threads"] == table["threads"].max()].set_index("model")
    saved = 1 / rates["images_per_second"]["pictures"] - 1 / rates["images_per_second"]["maps"]
    times = kept["seconds"] / settings["pictures"] / saved
    pays = f"after {times:.1f} passes over the pictures" if saved > 0 else "never, here"
    return (
        f"{machine['device']} ({machine['processor']}), torch {machine['torch']}. "
        f"{settings['pictures']} scenes of {settings['width']} x {settings['height']}, resized to "
        f"{model['min_size'][-1]} (at most {model['max_size']}) pixels; {settings['batch']} in a "
        f"batch; {settings['rounds']} rounds of {settings['steps']} steps; "
        f"{model['rois_per_image']} RoIs per picture here, 512 at torchvision's default. Making "
        f"{kept['files']} maps took "
        f"{kept['seconds']:.1f} s, {kept['bytes'] / kept['files'] / 1024:.0f} KiB each; the time "
        f"is won back {pays}."
    )


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `lib.bench.model_tables` with names for people."""
    named = table.assign(model=[NAMES.get(name, name) for name in table["model"]])
    return named.rename(columns={"from_memory": "images_per_second_from_memory"})


def ratios(training: pd.DataFrame, inference: pd.DataFrame) -> Figure:
    """Draw images per second over torchvision's, in training and at test.

    Args:
        training: of `lib.bench.model_tables.training_table`.
        inference: of `lib.bench.model_tables.inference_table`.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, FLAT * 1.1), sharey=True)
    _ratio_bars(panels[0], training)
    _ratio_bars(panels[1], inference)
    panels[0].set_title("Training")
    panels[1].set_title("Inference")
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _ratio_bars(axes: Axes, table: pd.DataFrame) -> None:
    table = table[table["model"] != REFERENCE]
    models = list(dict.fromkeys(table["model"]))
    single = table["precision"] == SINGLE
    kinds = [
        (table[single], COLOURS["baseline"], "single precision"),
        (table[~single], COLOURS["ours"], "mixed precision"),
    ]
    shown = [kind for kind in kinds if len(kind[0])]
    height = 0.8 / len(shown)
    for number, (part, colour, label) in enumerate(shown):
        places = np.array([models.index(m) for m in part["model"]]) + number * height
        axes.barh(places, part["ratio"], height=height, color=colour, alpha=0.75, label=label)
        axes.hlines(places, part["ci_low"], part["ci_high"], color="black", linewidth=2)
    axes.axvline(1, color="black", linewidth=1, label="torchvision's")
    middle = (len(shown) - 1) * height / 2
    axes.set_yticks(np.arange(len(models)) + middle, [NAMES.get(m, m) for m in models])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("images per second, over torchvision's")


def readable_costs(table: pd.DataFrame) -> pd.DataFrame:
    """Return `lib.bench.costs.cost_table` for people: what is alike in all rows is left out."""
    shown = pd.DataFrame(
        {
            "step": table["step"],
            "million_pictures": table["pictures"] / 1e6,
            "like": table["like"].map(SHORT, na_action="ignore"),
            "images_per_second": table["images_per_second"],
            "hours_here": table["hours_here"],
            "GPU_hours": table["gpu_hours"],
            "GPU_hours_mixed": table["gpu_hours_mixed"],
            "money": table["money"],
            "precision": table["precision"],
            "from": table["from"],
        }
    )
    steps = table.iloc[:-1]
    alike = [name for name in ("precision", "from") if steps[name].nunique() == 1]
    mixed = ["GPU_hours_mixed"] if table["gpu_hours_mixed"].isna().all() else []
    here = ["hours_here"] if (steps["from"] == "measured").all() else []
    return shown.drop(columns=[*alike, *mixed, *here])


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
    device, sizes = content["machine"]["device"], content["settings"]
    pictures = f"with pictures of {sizes['min_size']} to {sizes['max_size']} pixels"
    if any(row["from"] == "measured" for row in steps):
        what = (
            f"Hours are those of one {device} at the speeds measured above, {pictures}; a step "
            "that trains on smaller ones takes less."
        )
    else:
        what = (
            f"No GPU was measured: the GPU hours are the estimates in params/{profile}.yaml. What "
            f"a step would take on this machine ({device}) is extrapolated from the speeds above, "
            f"{pictures}."
        )
    return (
        f"Profile {profile} trains {len(steps)} models. {what} At {price:g} per GPU hour, which is "
        f"an assumption, training costs {total['money']:,.0f} in all."
    )

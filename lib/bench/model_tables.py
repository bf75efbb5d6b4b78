"""How fast the models train and find objects, beside torchvision's Mask R-CNN.

``python -m lib.bench.model_tables measured.json`` prints all tables of a measurement of
`lib.bench.models`. Ratios are of speeds, ours over torchvision's under the same policy:
single precision beside single precision, mixed beside mixed. Above 1 is faster.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lib.files import read_json
from lib.metrics.bootstrap import Interval, ratio_of_sums

REFERENCE, SINGLE = "torchvision", "float32"
"""What the measurement calls the model that others are compared with, and single precision."""

TWIN = "mask_rcnn"
"""The model that is torchvision's network; what is asked of speed is asked of it."""

FASTER_TRAINING, FASTER_INFERENCE = 1.5, 1.3
"""What is asked on a GPU: images per second over torchvision's."""

GIB = 2**30

Place = tuple[int, int]
"""Where a step is in a measurement: (round, step)."""


def policy(precision: str) -> str:
    """Return ``single`` or ``mixed``: precisions of one policy are compared."""
    return "single" if precision == SINGLE else "mixed"


def step_seconds(
    content: Mapping[str, Any], model: str, precision: str, *, loaded: bool, what: str = "seconds"
) -> dict[Place, float]:
    """Return the seconds of a model's steps, fed by the loader or from memory.

    Args:
        content: what `lib.bench.models` wrote.
        model: whose.
        precision: in which.
        loaded: whether the loader fed them.
        what: ``seconds``, or ``wait``, those of the wait for the loader.
    """
    return {
        (row["round"], row["step"]): row[what]
        for row in content["rows"]
        if (row["model"], row["precision"], row["loaded"]) == (model, precision, loaded)
    }


def image_seconds(content: Mapping[str, Any], name: str) -> dict[int, float]:
    """Return the seconds of inference per picture: the median over the rounds."""
    times: dict[int, list[float]] = {}
    for row in content["inference"]["rows"]:
        if row["model"] == name:
            times.setdefault(row["image_id"], []).append(row["seconds"])
    return {image: statistics.median(values) for image, values in times.items()}


def speed_ratio(
    ours: Mapping[Any, float], theirs: Mapping[Any, float], *, resamples: int, seed: int
) -> Interval:
    """Return the speed of ``ours`` over that of ``theirs``, with its interval over what was timed.

    Args:
        ours: seconds of each step, or of each picture.
        theirs: likewise, of the same ones.
        resamples: of the bootstrap over them.
        seed: of the bootstrap.

    Raises:
        ValueError: if they are not of the same ones.
    """
    if ours.keys() != theirs.keys() or not ours:
        raise ValueError("The two were not measured in the same turns, or on the same pictures.")
    above = [theirs[key] for key in ours]
    return ratio_of_sums(above, list(ours.values()), resamples=resamples, seed=seed)


def training_table(content: Mapping[str, Any], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return what training achieves.

    Args:
        content: what `lib.bench.models` wrote.
        resamples: of the bootstrap, over steps.
        seed: of the bootstrap.

    Returns:
        Columns ``model``, ``precision``, ``images_per_second`` (fed by the loader),
        ``from_memory`` (the same with batches in memory), ``waiting`` (share of the time in which
        the processor waited for the loader), ``ratio`` of images per second to torchvision's,
        ``ci_low``, ``ci_high``, ``peak_mib`` (everything on the device) and ``memory_ratio``.
    """
    batch = content["settings"]["batch"]
    facts = {(f["model"], policy(f["precision"])): f for f in content["training"]}
    table = []
    for (model, kind), fact in facts.items():
        precision = fact["precision"]
        fed = step_seconds(content, model, precision, loaded=True)
        alone = step_seconds(content, model, precision, loaded=False)
        waited = sum(step_seconds(content, model, precision, loaded=True, what="wait").values())
        other = facts[REFERENCE, kind]
        ratio, low, high = speed_ratio(
            fed,
            step_seconds(content, REFERENCE, other["precision"], loaded=True),
            resamples=resamples,
            seed=seed,
        )
        table.append(
            {
                "model": model,
                "precision": precision,
                "images_per_second": batch * len(fed) / sum(fed.values()),
                "from_memory": batch * len(alone) / sum(alone.values()),
                "waiting": min(waited / sum(fed.values()), 1.0),
                **_ratio(model, ratio, low, high),
                "peak_mib": fact["peak_mib"],
                "memory_ratio": _other(model, fact["peak_mib"] / other["peak_mib"]),
            }
        )
    return pd.DataFrame(table)


def inference_table(content: Mapping[str, Any], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return what inference achieves, from a picture in memory to run-length codes.

    Returns:
        Columns ``model``, ``precision``, ``images_per_second``, ``ratio`` to torchvision's,
        ``ci_low``, ``ci_high``, ``detections`` (mean per picture), ``peak_mib`` (with the weights)
        and ``memory_ratio``.
    """
    facts = content["inference"]["models"]
    names = {tuple(name.split(" ")): name for name in facts}
    reference = {policy(p): name for (m, p), name in names.items() if m == REFERENCE}
    table = []
    for (model, precision), name in names.items():
        other = reference[policy(precision)]
        own = image_seconds(content, name)
        theirs = image_seconds(content, other)
        ratio, low, high = speed_ratio(own, theirs, resamples=resamples, seed=seed)
        peak, most = (facts[n]["peak_mib"] + facts[n]["weights_mib"] for n in (name, other))
        table.append(
            {
                "model": model,
                "precision": precision,
                "images_per_second": len(own) / sum(own.values()),
                **_ratio(model, ratio, low, high),
                "detections": facts[name]["detections"],
                "peak_mib": peak,
                "memory_ratio": _other(model, peak / most),
            }
        )
    return pd.DataFrame(table)


def parts_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return where the time of a training step goes.

    Returns:
        Columns ``model``, ``precision``, ``part`` (see `lib.bench.step_profile.PARTS`),
        ``seconds`` and ``share`` of the step.
    """
    table = []
    for fact in content["training"]:
        total = sum(fact["parts"].values())
        for part, seconds in fact["parts"].items():
            of = {"model": fact["model"], "precision": fact["precision"], "part": part}
            table.append({**of, "seconds": seconds, "share": seconds / total})
    return pd.DataFrame(table)


def by_part(parts: pd.DataFrame) -> pd.DataFrame:
    """Return `parts_table` as shares of the step, with a row for each part.

    Returns:
        Columns ``part`` and, for each model, its name and its precision if it has several.
    """
    several = parts.groupby("model")["precision"].nunique().max() > 1
    columns = {"part": list(dict.fromkeys(parts["part"]))}
    for (model, precision), one in parts.groupby(["model", "precision"], sort=False):
        columns[f"{model} {precision}" if several else str(model)] = one["share"].tolist()
    return pd.DataFrame(columns)


def roofline_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return how near training comes to what the device can do.

    Returns:
        Columns ``model``, ``precision``, ``teraflop`` and ``gib`` (work of a step), ``shortest``
        (seconds that it takes at least), ``bound`` (``arithmetic`` or ``memory``, whichever takes
        longer), ``seconds`` (measured, batches in memory), ``achieved`` (shortest over measured),
        ``waits`` (of the processor for the device, per step), and ``busy`` (share of the step in
        which a GPU did anything; missing on a CPU).
    """
    speed = content["speed"]
    table = []
    for fact in content["training"]:
        precision = fact["precision"]
        arithmetic = fact["flops"] / speed["flops_per_second"][precision]
        memory = fact["bytes"] / speed["bytes_per_second"]
        alone = step_seconds(content, fact["model"], precision, loaded=False).values()
        seconds, shortest = sum(alone) / len(alone), max(arithmetic, memory)
        table.append(
            {
                "model": fact["model"],
                "precision": precision,
                "teraflop": fact["flops"] / 1e12,
                "gib": fact["bytes"] / GIB,
                "shortest": shortest,
                "bound": "arithmetic" if arithmetic >= memory else "memory",
                "seconds": seconds,
                "achieved": shortest / seconds,
                "waits": sum(fact["waits"].values()),
                "busy": fact.get("busy", math.nan),
            }
        )
    return pd.DataFrame(table)


def limits_table(training: pd.DataFrame, inference: pd.DataFrame) -> pd.DataFrame:
    """Return what is asked of speed on a GPU beside what was found, for torchvision's own network.

    Returns:
        Columns ``what``, ``precision``, ``asked``, ``found``, ``ci_low``, ``ci_high``, ``kept``.
        Asked of speed is at least, of memory at most. Empty if the network was not measured.
    """
    table = []
    for what, frame, least in (
        ("training", training, FASTER_TRAINING),
        ("inference", inference, FASTER_INFERENCE),
    ):
        for row in frame[frame["model"] == TWIN].to_dict("records"):
            ratio, memory = row["ratio"], row["memory_ratio"]
            of = {"precision": row["precision"]}
            interval = {"ci_low": row["ci_low"], "ci_high": row["ci_high"]}
            table += [
                {
                    "what": f"{what}, images per second over torchvision's",
                    **of,
                    "asked": f"at least {least:g}",
                    "found": ratio,
                    **interval,
                    "kept": ratio >= least,
                },
                {
                    "what": f"{what}, peak memory over torchvision's",
                    **of,
                    "asked": "at most 1",
                    "found": memory,
                    "ci_low": math.nan,
                    "ci_high": math.nan,
                    "kept": memory <= 1,
                },
            ]
    columns = ["what", "precision", "asked", "found", "ci_low", "ci_high", "kept"]
    return pd.DataFrame(table, columns=columns)


def tables(content: Mapping[str, Any], *, resamples: int, seed: int) -> dict[str, pd.DataFrame]:
    """Return all tables of a measurement by name."""
    training = training_table(content, resamples=resamples, seed=seed)
    inference = inference_table(content, resamples=resamples, seed=seed)
    return {
        "training": training,
        "inference": inference,
        "parts": parts_table(content),
        "roofline": roofline_table(content),
        "limits": limits_table(training, inference),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of a measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.bench.model_tables",
        description="Print what the measurements of lib.bench.models say.",
    )
    parser.add_argument("file", type=Path, help="what lib.bench.models wrote")
    content = read_json(parser.parse_args(arguments).file)
    for name, table in tables(content, resamples=1000, seed=0).items():
        shown = by_part(table) if name == "parts" else table
        print(f"\n{name}\n{shown.to_string(index=False, float_format='{:.3f}'.format)}")
    return 0


def _ratio(model: str, ratio: float, low: float, high: float) -> dict[str, float]:
    """Return a ratio as columns; torchvision's to itself says nothing."""
    values = {"ratio": ratio, "ci_low": low, "ci_high": high}
    return {name: _other(model, value) for name, value in values.items()}


def _other(model: str, value: float) -> float:
    return math.nan if model == REFERENCE else value


if __name__ == "__main__":
    sys.exit(main())

"""How fast the models train and find objects, beside torchvision's Mask R-CNN.

``python -m lib.bench.model_tables measured.json`` prints all tables of a measurement of
`lib.bench.models`. Ratios are of speeds, ours over torchvision's under the same policy:
single precision beside single precision, mixed beside mixed. Above 1 is faster.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lib.bench.compared_models import REFERENCE, SINGLE
from lib.bench.inference import image_seconds, time_ratio
from lib.bench.program import interval_columns, print_tables

TWIN = "mask_rcnn"
"""The model that is torchvision's network; what is asked of speed is asked of it."""

FASTER_TRAINING, FASTER_INFERENCE = 1.5, 1.3
"""What is asked on a GPU: images per second over torchvision's."""


def policy(precision: str) -> str:
    """Return ``single`` or ``mixed``: precisions of one policy are compared."""
    return "single" if precision == SINGLE else "mixed"


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
    facts = {(f["model"], policy(f["precision"])): f for f in content["training"]}
    steps = pd.DataFrame(content["rows"]).set_index(["round", "step"])
    parts = {key: part.to_dict() for key, part in steps.groupby(["model", "precision", "loaded"])}
    batch, table = content["settings"]["batch"], []
    for (model, kind), fact in facts.items():
        precision, other = fact["precision"], facts[REFERENCE, kind]
        fed, alone = (parts[model, precision, loaded]["seconds"] for loaded in (True, False))
        waited = sum(parts[model, precision, True]["wait"].values())
        theirs = parts[REFERENCE, other["precision"], True]["seconds"]
        ratio = time_ratio(theirs, fed, resamples=resamples, seed=seed)
        table.append(
            {
                "model": model,
                "precision": precision,
                "images_per_second": batch * len(fed) / sum(fed.values()),
                "from_memory": batch * len(alone) / sum(alone.values()),
                "waiting": min(waited / sum(fed.values()), 1.0),
                **interval_columns("ratio", ratio),
                "peak_mib": fact["peak_mib"],
                "memory_ratio": fact["peak_mib"] / other["peak_mib"],
            }
        )
    return _without_own_ratio(table)


def inference_table(content: Mapping[str, Any], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return what inference achieves, from a picture in memory to run-length codes.

    Returns:
        Columns ``model``, ``precision``, ``images_per_second``, ``ratio`` to torchvision's,
        ``ci_low``, ``ci_high``, ``detections`` (mean per picture), ``peak_mib`` (with the weights)
        and ``memory_ratio``.
    """
    facts, rows = content["inference"]["models"], content["inference"]["rows"]
    seconds = {name: image_seconds(rows, name) for name in facts}
    peaks = {name: fact["peak_mib"] + fact["weights_mib"] for name, fact in facts.items()}
    names = {tuple(name.split(" ")): name for name in facts}
    reference = {policy(p): name for (model, p), name in names.items() if model == REFERENCE}
    table = []
    for (model, precision), name in names.items():
        other = reference[policy(precision)]
        ratio = time_ratio(seconds[other], seconds[name], resamples=resamples, seed=seed)
        table.append(
            {
                "model": model,
                "precision": precision,
                "images_per_second": len(seconds[name]) / sum(seconds[name].values()),
                **interval_columns("ratio", ratio),
                "detections": facts[name]["detections"],
                "peak_mib": peaks[name],
                "memory_ratio": peaks[name] / peaks[other],
            }
        )
    return _without_own_ratio(table)


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
            ratio, low, high = row["ratio"], row["ci_low"], row["ci_high"]
            speed = (f"at least {least:g}", ratio, low, high, ratio >= least)
            memory = row["memory_ratio"]
            room = ("at most 1", memory, math.nan, math.nan, memory <= 1)
            for of, values in (("images per second", speed), ("peak memory", room)):
                table.append((f"{what}, {of} over torchvision's", row["precision"], *values))
    columns = ["what", "precision", "asked", "found", "ci_low", "ci_high", "kept"]
    return pd.DataFrame(table, columns=columns)


def tables(content: Mapping[str, Any], *, resamples: int, seed: int) -> dict[str, pd.DataFrame]:
    """Return all tables of a measurement by name."""
    training = training_table(content, resamples=resamples, seed=seed)
    inference = inference_table(content, resamples=resamples, seed=seed)
    limits = limits_table(training, inference)
    return {"training": training, "inference": inference, "limits": limits}


def _without_own_ratio(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a table in which torchvision's model is not compared with itself."""
    table = pd.DataFrame(rows)
    own = table["model"] == REFERENCE
    table.loc[own, ["ratio", "ci_low", "ci_high", "memory_ratio"]] = math.nan
    return table


if __name__ == "__main__":
    sys.exit(print_tables("lib.bench.model_tables", tables))

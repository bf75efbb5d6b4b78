"""How fast the models train and find objects, beside torchvision's Mask R-CNN.

Ratios are of speeds, ours over torchvision's under the same policy: single precision beside single
precision, mixed beside mixed. Above 1 is faster.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from lib.bench.compared_models import REFERENCE, SINGLE
from lib.bench.inference import image_seconds, time_ratio
from lib.bench.program import interval_columns


def policy(precision: str) -> str:
    """Return ``single`` or ``mixed``: precisions of one policy are compared."""
    return "single" if precision == SINGLE else "mixed"


def training_table(content: Mapping[str, Any], **draws: int) -> pd.DataFrame:
    """Return what training achieves.

    Args:
        content: what `lib.bench.models` wrote.
        draws: ``resamples`` and ``seed`` of the bootstrap, over steps.

    Returns:
        Columns ``model``, ``precision``, ``images_per_second`` (fed by the loader),
        ``from_memory`` (the same with batches in memory), ``waiting`` (share of the time in which
        the processor waited for the loader), ``ratio`` of images per second to torchvision's,
        ``ci_low``, ``ci_high``, ``peak_mib`` (everything on the device) and ``memory_ratio``.
    """
    facts = {(f["model"], policy(f["precision"])): f for f in content["training"]}
    steps = pd.DataFrame(content["rows"]).set_index(["round", "step"])
    parts: dict[Any, pd.DataFrame] = dict(list(steps.groupby(["model", "precision", "loaded"])))
    batch, table = content["settings"]["batch"], []
    for (model, kind), fact in facts.items():
        precision, other = fact["precision"], facts[REFERENCE, kind]
        fed, alone = parts[model, precision, True], parts[model, precision, False]
        theirs = parts[REFERENCE, other["precision"], True]
        total = fed["seconds"].sum()
        table.append(
            {
                "model": model,
                "precision": precision,
                "images_per_second": batch * len(fed) / total,
                "from_memory": batch * len(alone) / alone["seconds"].sum(),
                "waiting": min(fed["wait"].sum() / total, 1.0),
                **interval_columns("ratio", time_ratio(theirs["seconds"], fed["seconds"], **draws)),
                "peak_mib": fact["peak_mib"],
                "memory_ratio": fact["peak_mib"] / other["peak_mib"],
            }
        )
    return _without_own_ratio(table)


def frozen_table(content: Mapping[str, Any], **draws: int) -> pd.DataFrame:
    """Return what training on a frozen backbone achieves, in several ways.

    Args:
        content: what `lib.bench.frozen_backbone` wrote.
        draws: ``resamples`` and ``seed`` of the bootstrap, over steps.

    Returns:
        The columns of `training_table`, ``threads`` first and none of precision or memory's ratio;
        and ``gain``, ``gain_low`` and ``gain_high``: the ratio of images per second to those of
        the way in the row above, with the same number of threads.
    """
    tables = []
    for measured in content["threads"]:
        table = training_table(measured | {"settings": content["settings"]}, **draws)
        rows = pd.DataFrame(measured["rows"]).query("loaded").set_index(["round", "step"])
        seconds = [rows.loc[rows["model"] == name, "seconds"] for name in table["model"]]
        gains = [time_ratio(above, own, **draws) for above, own in pairwise(seconds)]
        table["gain"] = [math.nan, *(gain.estimate for gain in gains)]
        table["gain_low"] = [math.nan, *(gain.low for gain in gains)]
        table["gain_high"] = [math.nan, *(gain.high for gain in gains)]
        table.insert(0, "threads", measured["threads"])
        tables.append(table.drop(columns=["precision", "memory_ratio"]))
    return pd.concat(tables, ignore_index=True)


def inference_table(content: Mapping[str, Any], **draws: int) -> pd.DataFrame:
    """Return what inference achieves, from a picture in memory to run-length codes.

    Args:
        content: what `lib.bench.models` wrote.
        draws: ``resamples`` and ``seed`` of the bootstrap, over pictures.

    Returns:
        Columns ``model``, ``precision``, ``images_per_second``, ``ratio`` to torchvision's,
        ``ci_low``, ``ci_high``, ``detections`` (mean per picture), ``peak_mib`` (with the weights)
        and ``memory_ratio``.
    """
    facts, seconds = content["inference"]["models"], image_seconds(content["inference"]["rows"])
    peaks = {name: fact["peak_mib"] + fact["weights_mib"] for name, fact in facts.items()}
    names = {tuple(name.split(" ")): name for name in facts}
    reference = {policy(p): name for (model, p), name in names.items() if model == REFERENCE}
    table = []
    for (model, precision), name in names.items():
        other = reference[policy(precision)]
        ratio = time_ratio(seconds[other], seconds[name], **draws)
        table.append(
            {
                "model": model,
                "precision": precision,
                "images_per_second": 1 / seconds[name].mean(),
                **interval_columns("ratio", ratio),
                "detections": facts[name]["detections"],
                "peak_mib": peaks[name],
                "memory_ratio": peaks[name] / peaks[other],
            }
        )
    return _without_own_ratio(table)


def _without_own_ratio(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a table in which torchvision's model is not compared with itself."""
    table = pd.DataFrame(rows)
    own = table["model"] == REFERENCE
    table.loc[own, ["ratio", "ci_low", "ci_high", "memory_ratio"]] = math.nan
    return table

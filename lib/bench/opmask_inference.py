"""How long OPMask takes for an image beside the baseline, and how much memory (paper B, Sec. 4.3).

Times are of the machine that ran the notebook; their ratio belongs less to it, since both models
take turns on the same images (:mod:`lib.bench.inference`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lib.bench.inference import image_seconds, time_ratio
from lib.bench.program import interval_columns
from lib.metrics.claims import Observation
from lib.opmask.predictions import DIRECTIONS, METHODS, Models, Predictions, pairs

MOST = 1.15
"""The most that OPMask may take, in relation to the baseline; the paper's ratio is 1.5."""

RATIO = "opmask / baseline"
CLAIM = "B.sec4_3.time_ratio"


def models(runs: Models) -> dict[str, Path]:
    """Return the model files to compare, by method: of the first direction that has both.

    Of models that were trained several times it is the first run.

    Args:
        runs: from :func:`lib.opmask.predictions.read`.
    """
    pair = _pair(runs)
    return {method: pair[method].first.folder / "model.pt" for method in METHODS if pair}


def options(runs: Models) -> list[str]:
    """Return the models as options of ``python -m lib.bench.inference``."""
    return [part for name, path in models(runs).items() for part in ("--model", f"{name}={path}")]


def inference_table(content: Mapping[str, Any], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return time, memory and size of both models, and their ratios.

    Args:
        content: what ``python -m lib.bench.inference`` wrote.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns method (the last row is ``opmask / baseline``), seconds (median over images),
        ci_low, ci_high (of the ratio), peak_mib (beside the weights), weights_mib, parameters,
        detections (mean per image).
    """
    rows, facts = content["rows"], content["models"]
    times = image_seconds(rows)
    ratio = time_ratio(times["opmask"], times["baseline"], resamples=resamples, seed=seed)
    lines: list[dict[str, Any]] = [
        {"method": method, "seconds": times[method].median(), **facts[method]} for method in METHODS
    ]
    ours, base = facts["opmask"], facts["baseline"]
    ratios = {key: ours[key] / base[key] if base[key] else None for key in base}
    lines.append({"method": RATIO, **interval_columns("seconds", ratio), **ratios})
    columns = ["method", "seconds", "ci_low", "ci_high", "peak_mib", "weights_mib", "parameters"]
    return pd.DataFrame(lines, columns=[*columns, "detections"]).astype({"parameters": float})


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with times in milliseconds and sizes in millions for people."""
    model = table["method"].isin(METHODS)
    names = {"opmask": "OPMask", RATIO: "ratio"}
    return pd.DataFrame(
        {
            "method": table["method"].replace(names),
            "ms_per_image": table["seconds"].where(~model, 1000 * table["seconds"]),
            "ci_low": table["ci_low"],
            "ci_high": table["ci_high"],
            "peak_MiB": table["peak_mib"],
            "weights_MiB": table["weights_mib"],
            "parameters_in_millions": table["parameters"].where(~model, table["parameters"] / 1e6),
            "detections_per_image": table["detections"],
        }
    )


def ratio_line(table: pd.DataFrame, content: Mapping[str, Any]) -> str:
    """Return what the benchmark says of time and memory, as sentences."""
    (row,) = table[table["method"] == RATIO].to_dict("records")
    time, memory = row["seconds"] <= MOST, row["peak_mib"] <= MOST
    where = f"{content['device']}, {content['threads']} threads, {content['images']} images"
    return (
        f"OPMask takes {row['seconds']:.2f} times as long as the baseline "
        f"[{row['ci_low']:.2f}, {row['ci_high']:.2f}] on this machine ({where}); at most "
        f"{MOST}: {'yes' if time else 'NO'}. Memory beside the weights: {row['peak_mib']:.2f} "
        f"times; at most {MOST}: {'yes' if memory else 'NO'}."
    )


def observations(table: pd.DataFrame, runs: Models) -> list[Observation]:
    """Return what the claim on time is judged by; with a ResNet-50 alone."""
    pair = _pair(runs)
    if not pair or pair["opmask"].config.backbone != "resnet50":
        return []
    (row,) = table[table["method"] == RATIO].to_dict("records")
    return [Observation(CLAIM, row["seconds"], row["ci_low"], row["ci_high"])]


def _pair(runs: Models) -> dict[str, Predictions]:
    there = pairs(runs)
    order = (*DIRECTIONS.values(), "list", "full")
    return next((there[setting] for setting in order if setting in there), {})

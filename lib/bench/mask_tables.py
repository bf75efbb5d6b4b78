"""What the fast method of GrabCut saves, and whether it keeps to what was asked of it.

``python -m lib.bench.mask_tables speed.json`` prints all tables of a measurement of
`lib.bench.masks`, those of `lib.bench.mask_agreement` among them.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lib.bench.mask_agreement import agreement_table, fig1_table
from lib.bench.mask_boxes import ALL, boxes_of, by_size, over_images
from lib.bench.masks import EXACT, FAST
from lib.files import read_json
from lib.masks.quality import VALID_FROM

COCO_BOXES, COCO_IMAGES = 860_000, 118_000
"""Boxes and images of COCO train2017, rounded."""

COCO_CORES = (1, 16, 1024)

# What the fast method has to keep to.
FASTER, TWO_WORKERS = 5.0, 1.8  # ratios
MARGIN, FIG1_MARGIN = 0.5, 1.0  # points of 100


def speed_table(boxes: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return what a mask costs with both methods, by size and in all.

    Args:
        boxes: of `lib.bench.mask_boxes.boxes_of`.
        resamples: of the bootstrap, over images.
        seed: of the bootstrap.

    Returns:
        Columns ``size``, ``boxes``, ``images``, ``exact_seconds`` and ``fast_seconds`` (mean per
        box), ``ratio`` (of total seconds, exact to fast) and its interval ``ci_low``, ``ci_high``.
    """
    rows = []
    for size, part in by_size(boxes):
        ratio = over_images(
            part["image_id"],
            part[["exact_seconds", "fast_seconds"]],
            lambda sums: sums["exact_seconds"] / sums["fast_seconds"],
            resamples=resamples,
            seed=seed,
        )
        rows.append(
            {
                "size": size,
                "boxes": len(part),
                "images": part["image_id"].nunique(),
                "exact_seconds": part["exact_seconds"].mean(),
                "fast_seconds": part["fast_seconds"].mean(),
                "ratio": ratio.estimate,
                "ci_low": ratio.low,
                "ci_high": ratio.high,
            }
        )
    return pd.DataFrame(rows)


def memory_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return the peak memory of each method in a process of its own, MiB.

    Returns:
        Columns ``method``, ``imports_and_pictures``, ``first_mask`` and ``masks`` (what each
        stage added to the peak), ``beyond_pictures`` (the last two) and ``peak`` (all).
    """
    rows = []
    for method in (EXACT, FAST):
        found = content["memory"][method]
        rows.append(
            {
                "method": method,
                "imports_and_pictures": found["decoded"],
                "first_mask": found["warm"] - found["decoded"],
                "masks": found["peak"] - found["warm"],
                "beyond_pictures": found["peak"] - found["decoded"],
                "peak": found["peak"],
            }
        )
    return pd.DataFrame(rows)


def workers_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return what two workers gain, a row for one and one for two.

    Returns:
        Columns ``workers``, ``boxes``, ``seconds``, ``speedup`` (over one) and ``efficiency``
        (speedup per worker).
    """
    found = content["workers"]
    rows = [(1, found["boxes"], found["one"]), (2, found["boxes"], found["two"])]
    table = pd.DataFrame(rows, columns=["workers", "boxes", "seconds"])
    table["speedup"] = found["one"] / table["seconds"]
    return table.assign(efficiency=table["speedup"] / table["workers"])


def coco_table(boxes: pd.DataFrame) -> pd.DataFrame:
    """Return what the masks of COCO train2017 would cost, if its pictures were like these.

    What is done once for an image is counted once for each of COCO's images, decoding included,
    and the rest for each of its boxes. Cores are taken to scale perfectly.

    Returns:
        Columns ``method``, ``core_hours`` and ``hours_on_<n>_cores`` for `COCO_CORES`.
    """
    images = boxes.groupby("image_id").first()
    rows = []
    for method in (EXACT, FAST):
        share = boxes[f"{method}_prepare"] / boxes["image_boxes"]
        per_box = (boxes[f"{method}_seconds"] - share).mean()
        per_image = (images[f"{method}_prepare"] + images["decode"]).mean()
        hours = (COCO_BOXES * per_box + COCO_IMAGES * per_image) / 3600
        times = {f"hours_on_{n}_core{'s' * (n > 1)}": hours / n for n in COCO_CORES}
        rows.append({"method": method, "core_hours": hours, **times})
    return pd.DataFrame(rows)


def limits_table(
    speed: pd.DataFrame,
    agreement: pd.DataFrame,
    fig1: pd.DataFrame,
    memory: pd.DataFrame,
    workers: pd.DataFrame,
) -> pd.DataFrame:
    """Return what is asked of the fast method beside what was found, from the other tables.

    Returns:
        Columns ``what``, ``unit``, ``asked``, ``found``, ``ci_low``, ``ci_high``, ``kept`` (by
        what was found) and ``beyond_chance`` (whether the whole interval says the same; None
        without an interval, or if every resample is the same).
    """
    rows = []

    def add(what: str, unit: str, limits: tuple[float, float], *values: float) -> None:
        found, low, high = (*values, math.nan, math.nan)[:3]
        least, most = limits
        found = round(found, 9)  # a difference of 3 in 300 is one point, not a little more
        kept = least <= found <= most
        inside, outside = least <= low and high <= most, high < least or low > most
        asked = f"{least:g} to {most:g}".replace("-", "−")
        if math.isinf(most):
            asked = f"at least {least:g}".replace("-", "−")
        elif least == 0:
            asked = f"at most {most:g}"
        rows.append(
            {
                "what": what,
                "unit": unit,
                "asked": asked,
                "found": found,
                "ci_low": low,
                "ci_high": high,
                "kept": kept,
                "beyond_chance": (inside if kept else outside) if low < high else None,
            }
        )

    (total,) = speed[speed["size"] == ALL].to_dict("records")
    add("time, exact / fast", "ratio", (FASTER, math.inf), *_values(total, "ratio"))
    for what, column in (("masks", "masks"), ("all beyond pictures", "beyond_pictures")):
        peak = memory.set_index("method")[column]
        if peak[EXACT] > 0:  # a few tiny pictures need no more than their decoding did
            add(f"memory of {what}, fast / exact", "ratio", (0, 1), peak[FAST] / peak[EXACT])
    for row in agreement[agreement["size"] == ALL].to_dict("records"):
        what = f"{row['measure']}, fast − exact"
        add(what, "points", (-MARGIN, math.inf), *_values(row, "difference", 100))
    for row in fig1.dropna(subset="difference").to_dict("records"):
        what = f"{row['formula']}, fast − exact"
        add(what, "points", (-FIG1_MARGIN, FIG1_MARGIN), *_values(row, "difference", 100))
    (two,) = workers.loc[workers["workers"] == 2, "speedup"]
    add("two workers over one", "ratio", (TWO_WORKERS, math.inf), two)
    return pd.DataFrame(rows)


def tables(
    content: Mapping[str, Any], *, resamples: int, seed: int, valid_from: float = VALID_FROM
) -> dict[str, pd.DataFrame]:
    """Return all tables of a measurement by name."""
    boxes = boxes_of(content, valid_from=valid_from)
    draws = {"resamples": resamples, "seed": seed}
    made = {
        "speed": speed_table(boxes, **draws),
        "agreement": agreement_table(boxes, **draws),
        "fig1": fig1_table(boxes, **draws),
        "memory": memory_table(content),
        "workers": workers_table(content),
    }
    return {**made, "coco": coco_table(boxes), "limits": limits_table(**made)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of a measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.bench.mask_tables",
        description="Print what the measurements of lib.bench.masks say.",
    )
    parser.add_argument("file", type=Path, help="what lib.bench.masks wrote")
    content = read_json(parser.parse_args(arguments).file)
    for name, table in tables(content, resamples=1000, seed=0).items():
        print(f"\n{name}\n{table.to_string(index=False, float_format='{:.4f}'.format)}")
    return 0


def _values(row: Mapping[Any, Any], name: str, factor: float = 1.0) -> tuple[float, float, float]:
    return row[name] * factor, row["ci_low"] * factor, row["ci_high"] * factor


if __name__ == "__main__":
    sys.exit(main())

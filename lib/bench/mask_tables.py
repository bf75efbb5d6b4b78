"""What the fast method of GrabCut saves, whether its masks are those of GrabCut on the whole image
up to chance, and whether it keeps to what was asked of it.

GrabCut starts from a random k-means, so two runs of the very same method differ: how far two seeds
of the whole-image method agree is what the fast method's agreement with it is held against.

``python -m lib.bench.mask_tables speed.json`` prints all tables of a measurement of
`lib.bench.masks`.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from lib.bench.mask_boxes import ALL, RUNS, Sums, boxes_of, by_size, over_images
from lib.bench.mask_trials import EXACT, FAST, OTHER_SEED
from lib.bench.program import interval_columns, print_tables
from lib.hybridnet import fig1
from lib.masks.quality import SMALL_SIDE, VALID_FROM

COCO_BOXES, COCO_IMAGES = 860_000, 118_000
"""Boxes and images of COCO train2017, rounded."""

COCO_CORES = (1, 16, 1024)

# What the fast method has to keep to.
FASTER, TWO_WORKERS = 5.0, 1.8  # ratios
MARGIN, FIG1_MARGIN = 0.5, 1.0  # points of 100

SHARES = {
    "A.fig1.invalid_rate": ("invalid {}", "all"),
    "A.fig1.small_share_of_invalid": ("small invalid {}", "invalid {}"),
    "A.fig1.small_invalid_rate": ("small invalid {}", "small"),
    "A.fig1.large_invalid_rate": ("large invalid {}", "large"),
}
"""Percentages of paper A's Fig. 1: counts of which boxes over counts of which, for a run."""


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
    names = {"exact": "exact_seconds", "fast": "fast_seconds"}
    sides = {name: boxes[column] for name, column in names.items()}
    rows = _sizes(
        boxes[["image_id", "size"]].assign(**sides),
        "ratio",
        lambda sums: sums["exact"] / sums["fast"],
        resamples=resamples,
        seed=seed,
    )
    return pd.DataFrame(rows).rename(columns=names)


def agreement_table(boxes: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return how far the fast method agrees with the exact one, beside two seeds of the latter.

    Returns:
        Columns ``measure``, ``size``, ``boxes``, ``exact``, ``fast``, ``difference`` (fast minus
        exact), ``ci_low``, ``ci_high`` (of the difference); fractions of 1. By ``valid or
        invalid`` (share of boxes on which both say the same) and ``mask IoU`` (mean), ``exact`` is
        the agreement of its two seeds and ``fast`` that of fast and exact, with the same seed. By
        ``IoU with the true mask``, each is its own mean, ``exact`` that of both seeds; no row if
        no box has a true mask.
    """
    same = {name: boxes[f"valid_{name}"] == boxes[f"valid_{EXACT}"] for name in (OTHER_SEED, FAST)}
    true = boxes[[f"true_iou_{EXACT}", f"true_iou_{OTHER_SEED}"]].mean(axis=1)
    measures = {
        "valid or invalid": (same[OTHER_SEED].astype(float), same[FAST].astype(float)),
        "mask IoU": (boxes["mask_iou_seeds"], boxes["mask_iou_fast"]),
        "IoU with the true mask": (true, boxes[f"true_iou_{FAST}"]),
    }
    rows = [
        {"measure": measure, **row}
        for measure, (exact, fast) in measures.items()
        for row in _sizes(
            boxes[["image_id", "size"]].assign(exact=exact, fast=fast).dropna(),
            "difference",
            lambda sums: (sums["fast"] - sums["exact"]) / sums["boxes"],
            resamples=resamples,
            seed=seed,
        )
    ]
    return pd.DataFrame(rows).drop(columns="images")


def _sizes(
    frame: pd.DataFrame,
    name: str,
    value: Callable[[Sums], np.ndarray],
    *,
    resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield a row for all boxes and for each size, with a quantity and its interval over images.

    Args:
        frame: columns ``image_id``, ``size``, ``exact`` and ``fast``.
        name: the quantity's.
        value: the quantity, from the sums of ``exact``, ``fast`` and ``boxes``.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    for size, part in by_size(frame):
        sums = part[["exact", "fast"]].assign(boxes=1)
        found = over_images(part["image_id"], sums, value, resamples=resamples, seed=seed)
        yield {
            "size": size,
            "boxes": len(part),
            "images": part["image_id"].nunique(),
            "exact": part["exact"].mean(),
            "fast": part["fast"].mean(),
            **interval_columns(name, found),
        }


def fig1_table(boxes: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the percentages of paper A's Fig. 1 from the masks of each run.

    Returns:
        Columns ``label``, ``formula`` (see `lib.hybridnet.fig1.QUANTITIES`), ``exact``,
        ``other_seed``, ``fast``, ``difference`` (fast minus exact), ``ci_low``, ``ci_high`` (of
        the difference); fractions of 1, NaN where there is nothing to take a share of.
    """
    small = boxes["box_area"] < SMALL_SIDE**2
    counts = pd.DataFrame({"all": 1, "small": small, "large": ~small}, dtype=float)
    for run in RUNS:
        invalid = ~boxes[f"valid_{run}"]
        counts[f"invalid {run}"] = invalid
        counts[f"small invalid {run}"] = invalid & small
        counts[f"large invalid {run}"] = invalid & ~small

    def share(sums: Mapping[Any, Any], run: str, above: str, below: str) -> np.ndarray:
        whole = np.asarray(sums[below.format(run)], dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(whole > 0, sums[above.format(run)] / whole, np.nan)

    def gap(sums: Sums, above: str, below: str) -> np.ndarray:
        return share(sums, FAST, above, below) - share(sums, EXACT, above, below)

    rows, totals = [], counts.sum().to_dict()
    for quantity, (above, below) in SHARES.items():
        difference = over_images(
            boxes["image_id"],
            counts,
            partial(gap, above=above, below=below),
            resamples=resamples,
            seed=seed,
        )
        rows.append(
            {
                "label": fig1.LABELS[quantity],
                "formula": fig1.QUANTITIES[quantity],
                **{run: float(share(totals, run, above, below)) for run in RUNS},
                **interval_columns("difference", difference),
            }
        )
    return pd.DataFrame(rows)


def memory_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return the peak memory of each method in a process of its own, MiB.

    Returns:
        Columns ``method``, ``imports_and_pictures``, ``first_mask`` and ``masks`` (what each
        stage added to the peak), ``beyond_pictures`` (the last two) and ``peak`` (all).
    """
    found = pd.DataFrame([{"method": m, **content["memory"][m]} for m in (EXACT, FAST)])
    return pd.DataFrame(
        {
            "method": found["method"],
            "imports_and_pictures": found["decoded"],
            "first_mask": found["warm"] - found["decoded"],
            "masks": found["peak"] - found["warm"],
            "beyond_pictures": found["peak"] - found["decoded"],
            "peak": found["peak"],
        }
    )


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

    def add(what: str, unit: str, least: float, most: float, *values: float) -> None:
        found, low, high = (*values, math.nan, math.nan)[:3]
        found = round(found, 9)  # a difference of 3 in 300 is one point, not a little more
        kept = least <= found <= most
        inside, outside = least <= low and high <= most, high < least or low > most
        asked = f"at least {least:g}" if math.isinf(most) else f"{least:g} to {most:g}"
        rows.append(
            {
                "what": what,
                "unit": unit,
                "asked": f"at most {most:g}" if least == 0 else asked.replace("-", "−"),
                "found": found,
                "ci_low": low,
                "ci_high": high,
                "kept": kept,
                "beyond_chance": (inside if kept else outside) if low < high else None,
            }
        )

    def points(row: Mapping[Any, Any]) -> list[float]:
        return [100 * row[name] for name in ("difference", "ci_low", "ci_high")]

    (total,) = speed.loc[speed["size"] == ALL, ["ratio", "ci_low", "ci_high"]].to_numpy()
    add("time, exact / fast", "ratio", FASTER, math.inf, *total)
    for what, column in (("masks", "masks"), ("all beyond pictures", "beyond_pictures")):
        peak = memory.set_index("method")[column]
        if peak[EXACT] > 0:  # a few tiny pictures need no more than their decoding did
            add(f"memory of {what}, fast / exact", "ratio", 0, 1, peak[FAST] / peak[EXACT])
    for row in agreement[agreement["size"] == ALL].to_dict("records"):
        add(f"{row['measure']}, fast − exact", "points", -MARGIN, math.inf, *points(row))
    for row in fig1.dropna(subset="difference").to_dict("records"):
        limits = -FIG1_MARGIN, FIG1_MARGIN
        add(f"{row['formula']}, fast − exact", "points", *limits, *points(row))
    (two,) = workers.loc[workers["workers"] == 2, "speedup"]
    add("two workers over one", "ratio", TWO_WORKERS, math.inf, two)
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


if __name__ == "__main__":
    sys.exit(print_tables("lib.bench.mask_tables", tables))

"""Table 3 of paper B: class activation maps taken as masks, at one threshold and at all of them.

The paper does not say where a map is cut. Beside a fixed threshold the table therefore gives each
model's best of a sweep: the best of several tries on the very images that it is judged on, which
flatters all models. Claims are judged at the fixed threshold; whether a difference survives where
each model is cut at its own best stands beside it. All tables are tidy and in points of 100.
``table`` is everywhere what :func:`table3` returns.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from lib.metrics.bootstrap import Replicates
from lib.metrics.cam_masks import cam_ap_sweep, read_cams
from lib.metrics.claims import Claims, Observation
from lib.metrics.coco_ap import APResult, evaluate
from lib.metrics.seeds import resample_runs, score
from lib.opmask.filled_boxes import filled
from lib.opmask.predictions import Models, Run, mean_value, span, unbroken
from lib.pages import comparison
from lib.pages.comparison import LESS, Row
from lib.workers import worker_count, worker_options

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

MODELS = {
    "all": ("faster_rcnn", "baseline", "opmask"),
    "voc": ("baseline", "opmask"),
    "non_voc": ("baseline", "opmask"),
}
"""Supervised split -> methods of the table."""

PAIRS = (("opmask", "faster_rcnn"), ("opmask", "baseline"))

PAPER = {"faster_rcnn": "Faster_RCNN", "baseline": "Mask_RCNN", "opmask": "OPMask"}
MASKS_OF = {"all": "all classes", "voc": "voc", "non_voc": "non-voc"}
TRAINED = {"all": "all", "voc": "voc", "non_voc": "nonvoc"}
TESTED = {"all": "all", "voc": "voc", "nonvoc": "non_voc"}
"""Classes that the table tests on, as claim ids spell them -> split."""

METRICS = ("AP", "AP50")
BOX = "box"
"""The box of each detection, filled: what a map must be better than to show an object."""

NAMES = {
    "faster_rcnn": "Faster R-CNN, CAM",
    "baseline": "baseline, CAM",
    "opmask": "OPMask, prior",
    BOX: "filled box",
    f"opmask{LESS}faster_rcnn": "OPMask − Faster R-CNN",
    f"opmask{LESS}baseline": "OPMask − baseline",
}
"""Method -> as people read it."""

AT_ONCE = 2
"""Models swept side by side; each holds its class activation maps, and the masks of one image."""

Sweeps = Mapping[str, Mapping[float, Mapping[int, APResult]]]
"""By variant, threshold and seed."""


def variants(models: Models | None = None) -> list[str]:
    """Return the variants of Table 3; of ``models``, those that left class activation maps."""
    every = [f"{method}.{split}" for split, methods in MODELS.items() for method in methods]
    if models is None:
        return every
    return [v for v in every if v in models and (models[v].first.folder / "cams_val.npz").exists()]


def sweep(
    val: "CocoSet", models: Models, thresholds: Sequence[float]
) -> dict[str, dict[float, dict[int, APResult]]]:
    """Return the mask AP of every model's class activation maps, by variant, threshold and seed.

    Args:
        thresholds: shares of a map's range from which a pixel belongs to the mask.
    """
    runs = [(name, seed) for name in variants(models) for seed in models[name].runs]
    with parallel_config(**worker_options()):
        swept = Parallel(n_jobs=min(worker_count(0), AT_ONCE))(
            delayed(_swept)(val, models[name].runs[seed], thresholds) for name, seed in runs
        )
    found: dict[str, dict[float, dict[int, APResult]]] = {}
    for (name, seed), results in zip(runs, swept, strict=True):
        for threshold, result in results.items():
            found.setdefault(name, {}).setdefault(threshold, {})[seed] = result
    return found


def _swept(val: "CocoSet", run: Run, thresholds: Sequence[float]) -> dict[float, APResult]:
    maps = read_cams(run.folder / "cams_val.npz").maps
    return cam_ap_sweep(val, run.detections, maps, thresholds)


def boxes_as_masks(val: "CocoSet", models: Models) -> dict[str, dict[int, APResult]]:
    """Return the mask AP of OPMask's detections with their whole box as the mask.

    By split and seed.
    """
    labels, there = val.to_coco(), variants(models)
    return {
        split: {
            seed: evaluate(
                labels,
                filled(val, run.detections),
                iou_type="segm",
                area_ranges={},
            )
            for seed, run in models[f"opmask.{split}"].runs.items()
        }
        for split in MODELS
        if f"opmask.{split}" in there
    }


def table3(
    sweeps: Sweeps,
    boxes: Mapping[str, Mapping[int, APResult]],
    *,
    claims: Claims,
    threshold: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return Table 3 with intervals, differences and the paper's numbers.

    Args:
        sweeps: from :func:`sweep`.
        boxes: from :func:`boxes_as_masks`.
        threshold: the fixed one; one of the sweep's.

    Returns:
        Columns trained (split), method (``a - b`` is a paired difference), tested (``all``,
        ``voc``, ``nonvoc``), metric, threshold, those of :data:`lib.pages.comparison.NUMBERS` (at
        that threshold), best (of the sweep, the mean over seeds at one threshold), best_at (that
        threshold; NaN if none gives anything), paper; points of 100. Of a difference, best is that
        of each model at its own best threshold, and best_low and best_high are its paired interval
        with these thresholds kept.
    """

    @cache
    def drawn(split: str, method: str, at: float) -> dict[int, Replicates]:
        runs = boxes[split] if method == BOX else sweeps[f"{method}.{split}"][at]
        return resample_runs(runs, resamples=resamples, seed=seed)

    lines = []
    for split, methods in MODELS.items():
        swept = {m: sweeps[f"{m}.{split}"] for m in methods if f"{m}.{split}" in sweeps}
        there = [*swept, *([BOX] if split in boxes else [])]
        for tested, classes in TESTED.items() if there else ():
            one = next(iter(drawn(split, there[0], threshold).values()))
            labels = one.result.categories.split(classes)
            best_at = {(m, k): _best(swept[m], k, labels) for m in swept for k in METRICS}
            fixed = {
                m: {k: score(drawn(split, m, threshold), k, labels) for k in METRICS} for m in there
            }
            best = {
                m: {
                    k: score(drawn(split, m, best_at[m, k] or threshold), k, labels)
                    for k in METRICS
                }
                for m in swept
            }
            at_best = {(r["method"], r["metric"]): r for r in comparison.rows({}, best, PAIRS)}
            place = {"trained": split, "tested": tested, "threshold": threshold}
            for row in comparison.rows(place, fixed, PAIRS):
                key = row["method"], row["metric"]
                own = at_best.get(key, {})
                row |= {"best": own.get("ours"), "best_at": best_at.get(key)}
                if LESS in row["method"]:
                    row |= {"best_low": own["ci_low"], "best_high": own["ci_high"]}
                lines.append(row)
    best_columns = ("best", "best_low", "best_high", "best_at")
    columns = (
        "trained", "method", "tested", "metric", "threshold", *comparison.NUMBERS, *best_columns,
    )  # fmt: skip
    table = comparison.tidy(lines, columns, claim_id, claims)
    return table.astype(dict.fromkeys(best_columns, float))


def _best(
    tried: Mapping[float, Mapping[int, APResult]], metric: str, labels: frozenset[int]
) -> float | None:
    """Return the threshold with the largest mean over seeds; None where all are 0 or unknown."""
    values = {
        at: mean_value({n: run.select(labels) for n, run in runs.items()}, metric)
        for at, runs in tried.items()
    }
    known = {at: value for at, value in values.items() if value > 0}
    return max(known, key=lambda at: known[at], default=None)


def claim_id(row: Row) -> str:
    """Return the id that a claim on a row of Table 3 has."""
    start, tested = f"B.table3.train_{TRAINED[row['trained']]}", row["tested"]
    method, _, other = row["method"].partition(LESS)
    if other:
        # The paper's comparisons are of AP; those of AP50 have no claim.
        name = f"{start}.test_{tested}.opmask_above_{PAPER[other].lower()}"
        return name if row["metric"] == "AP" else ""
    return f"{start}.{PAPER.get(method, method)}.test_{tested}.{row['metric']}"


def observations(
    table: pd.DataFrame, models: Models, *, claims: Claims, reaching: Collection[str]
) -> list[Observation]:
    """Return what Table 3's claims are judged by: at the fixed threshold.

    Args:
        models: those that it was made from; the paper's numbers are observed with a ResNet-50.
        reaching: variants that detect well enough (:func:`lib.opmask.boxes.reaching`); a claim is
            not judged unless all models that it is on are among them.
    """

    def may_be_judged(row: Row) -> bool:
        variants = [f"{method}.{row['trained']}" for method in row["method"].split(LESS)]
        if not set(variants) <= set(reaching):
            return False
        return len(variants) > 1 or models[variants[0]].config.backbone == "resnet50"

    return comparison.observations(table, claim_id, claims, when=may_be_judged)


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per model for people, metrics by tested classes; below it the paper's.

    Args:
        table: from :func:`table3`; differences are left to :func:`differences`.
    """
    lines = []
    rows = table[~comparison.is_difference(table["method"])]
    for (trained, method), part in rows.groupby(["trained", "method"], sort=False):
        cut = f"cut at {part['threshold'].iloc[0]:g}" if method != BOX else "not cut"
        titles = {"ours": f"ours, {cut}", "best": "ours, cut at best", "paper": "paper"}
        for whose, text in titles.items():
            if part[whose].isna().all() and whose != "ours":
                continue
            first = whose == "ours"  # a model's name once is easier to read
            line: dict[str, Any] = {
                "masks_of": unbroken(MASKS_OF[str(trained)]) if first else "",
                "method": unbroken(NAMES[str(method)]) if first else "",
                "whose": unbroken(text),
                "seeds": part["seeds"].iloc[0] if whose != "paper" else float("nan"),
            }
            for row in part.to_dict("records"):
                line[f"{row['metric']} {row['tested']}"] = row[whose]
            lines.append(line)
    return pd.DataFrame(lines)


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences in AP for people: at the fixed threshold, which decides, and best."""
    rows = table[comparison.is_difference(table["method"]) & (table["metric"] == "AP")]
    lines = [
        {
            "masks_of": unbroken(MASKS_OF[row["trained"]]),
            "difference in AP": unbroken(NAMES[row["method"]]),
            "tested": unbroken(MASKS_OF.get(TESTED[row["tested"]], row["tested"])),
            f"cut at {row['threshold']:g}": row["ours"],
            "95 %": span(row),
            "would be seen": row["detectable"],
            "each at its best": row["best"],
            "95 % (best)": span(row, "best_low", "best_high"),
            "seeds": row["seeds"],
            "paper": row["paper"],
        }
        for row in rows.to_dict("records")
    ]
    return pd.DataFrame(lines)


def best_line(table: pd.DataFrame, thresholds: Sequence[float]) -> str:
    """Return where the sweep is best for AP on all classes, as a sentence."""
    rows = table[(table["tested"] == "all") & (table["metric"] == "AP")]
    rows = rows[~comparison.is_difference(rows["method"]) & (rows["method"] != BOX)]
    parts = []
    for row in rows.to_dict("records"):
        at = "nowhere above 0" if np.isnan(row["best_at"]) else f"at {row['best_at']:g}"
        parts.append(f"{NAMES[row['method']]} (masks of {MASKS_OF[row['trained']]}) {at}")
    return f"Best of {len(thresholds)} thresholds for AP on all classes: {', '.join(parts)}."

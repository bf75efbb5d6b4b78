"""Paper B's Table 3: class activation maps taken as masks, at one threshold and at all of them.

The paper does not say where a map is cut. Beside a fixed threshold the table therefore gives each
model's best of a sweep: the best of several tries on the very images that it is judged on, which
flatters all models. Claims are judged at the fixed threshold; whether a difference survives where
each model is cut at its own best stands beside it. All tables are tidy and in points of 100.
"""

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from lib.data.coco import Result
from lib.masks.rle import encode
from lib.masks.shapes import rectangle_mask
from lib.metrics.bootstrap import Replicates, resample
from lib.metrics.cam_masks import cam_ap_sweep, read_cams
from lib.metrics.claims import Claims, Observation
from lib.metrics.coco_ap import APResult, evaluate
from lib.opmask.trained import LESS, Run, Runs, span, unbroken
from lib.pages.tables import points
from lib.workers import worker_count, worker_options

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

MODELS = {
    "all": ("faster_rcnn", "baseline", "opmask"),
    "voc": ("baseline", "opmask"),
    "non_voc": ("baseline", "opmask"),
}
"""Supervised split -> methods of Table 3."""

PAPER = {"faster_rcnn": "Faster_RCNN", "baseline": "Mask_RCNN", "opmask": "OPMask"}
MASKS_OF = {"all": "all classes", "voc": "voc", "non_voc": "non-voc"}
TRAINED = {"all": "all", "voc": "voc", "non_voc": "nonvoc"}
TESTED = {"all": "all", "voc": "voc", "nonvoc": "non_voc"}
"""Classes that Table 3 tests on, as claim ids spell them -> split."""

METRICS = ("AP", "AP50")
BOX = "box"
"""The box of each detection, filled: what a map must be better than to show an object."""

NAMES = {
    "faster_rcnn": "Faster R-CNN, CAM",
    "baseline": "baseline, CAM",
    "opmask": "OPMask, prior",
    BOX: "the whole box",
    f"opmask{LESS}faster_rcnn": "OPMask − Faster R-CNN",
    f"opmask{LESS}baseline": "OPMask − baseline",
}
"""Method -> as people read it."""

COLUMNS = (
    "trained", "method", "tested", "metric", "threshold",
    "ours", "ci_low", "ci_high", "best", "best_low", "best_high", "best_at", "paper",
)  # fmt: skip
"""Columns of :func:`table3`."""

AT_ONCE = 2
"""Models swept side by side; each holds its class activation maps, and the masks of one image."""

Sweeps = Mapping[str, Mapping[float, APResult]]
"""By variant and threshold."""


def variants(runs: Runs | None = None) -> list[str]:
    """Return the variants of Table 3; of ``runs``, those that left class activation maps."""
    every = [f"{method}.{split}" for split, methods in MODELS.items() for method in methods]
    if runs is None:
        return every
    return [v for v in every if v in runs and (runs[v].folder / "cams_val.npz").exists()]


def sweep(val: "CocoSet", runs: Runs, thresholds: Sequence[float]) -> dict[str, Any]:
    """Return the mask AP of every model's class activation maps, by variant and threshold.

    Args:
        val: the validation images.
        runs: from :func:`lib.opmask.trained.read_runs`.
        thresholds: shares of a map's range from which a pixel belongs to the mask.
    """
    names = variants(runs)
    with parallel_config(**worker_options()):
        swept = Parallel(n_jobs=min(worker_count(0), AT_ONCE))(
            delayed(_swept)(val, runs[name], thresholds) for name in names
        )
    return dict(zip(names, swept, strict=True))


def _swept(val: "CocoSet", run: Run, thresholds: Sequence[float]) -> dict[float, APResult]:
    maps = read_cams(run.folder / "cams_val.npz").maps
    return cam_ap_sweep(val, run.detections, maps, thresholds)


def boxes_as_masks(val: "CocoSet", runs: Runs) -> dict[str, APResult]:
    """Return the mask AP of OPMask's detections with their whole box as the mask, by split."""
    labels = val.to_coco()
    return {
        split: evaluate(
            labels,
            _rectangles(val, runs[f"opmask.{split}"].detections),
            iou_type="segm",
            area_ranges={},
        )
        for split in MODELS
        if f"opmask.{split}" in variants(runs)
    }


def table3(
    sweeps: Sweeps,
    boxes: Mapping[str, APResult],
    *,
    claims: Claims,
    threshold: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return the rows of paper B's Table 3, with intervals, differences and the paper's numbers.

    Args:
        sweeps: from :func:`sweep`.
        boxes: from :func:`boxes_as_masks`.
        claims: where the paper's numbers (ResNet-50) come from.
        threshold: the fixed one; one of the sweep's.
        resamples: bootstrap resamples, over images; the same for all models.
        seed: of the resamples.

    Returns:
        Columns trained (split), method (``a - b`` is a paired difference), tested (``all``,
        ``voc``, ``nonvoc``), metric, threshold, ours, ci_low, ci_high (at that threshold), best
        (of the sweep), best_at (its threshold; NaN if no threshold gives anything), paper; points
        of 100. Of a difference, best is that of each model at its own best threshold, and
        best_low and best_high are its paired interval with these thresholds kept.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    lines = []
    for split, methods in MODELS.items():
        swept = {m: sweeps[f"{m}.{split}"] for m in methods if f"{m}.{split}" in sweeps}

        @cache
        def drawn(method: str, at: float, swept: Sweeps = swept, split: str = split) -> Replicates:
            result = boxes[split] if method == BOX else swept[method][at]
            return resample(result, resamples=resamples, seed=seed)

        there = [*swept, *([BOX] if split in boxes else [])]
        for tested, classes in TESTED.items():
            for line in _lines(there, drawn, swept, threshold, classes):
                place = {"trained": split, "tested": tested, "threshold": threshold}
                name = _claim_id(split, line["method"], tested, line["metric"])
                lines.append({**place, **line, "paper": expected.get(name)})
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(
        dict.fromkeys(("best", "best_low", "best_high", "best_at", "paper"), float)
    )


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per model for people, metrics by tested classes; below it the paper's.

    Args:
        table: from :func:`table3`; differences are left to :func:`verdicts`.
    """
    lines = []
    models = table[~table["method"].str.contains(LESS, regex=False)]
    for (trained, method), part in models.groupby(["trained", "method"], sort=False):
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
            }
            for row in part.to_dict("records"):
                line[f"{row['metric']} {row['tested']}"] = row[whose]
            lines.append(line)
    return pd.DataFrame(lines)


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences in AP for people: at the fixed threshold, which decides, and at best.

    Args:
        table: from :func:`table3`.
    """
    rows = table[table["method"].str.contains(LESS, regex=False) & (table["metric"] == "AP")]
    lines = [
        {
            "masks_of": unbroken(MASKS_OF[row["trained"]]),
            "difference in AP": unbroken(NAMES[row["method"]]),
            "tested": unbroken(MASKS_OF.get(TESTED[row["tested"]], row["tested"])),
            f"cut at {row['threshold']:g}": row["ours"],
            "95 %": span(row),
            "each at its best": row["best"],
            "95 % (best)": span(row, "best_low", "best_high"),
            "paper": row["paper"],
        }
        for row in rows.to_dict("records")
    ]
    return pd.DataFrame(lines)


def best_line(table: pd.DataFrame, thresholds: Sequence[float]) -> str:
    """Return where the sweep is best for AP on all classes, as a sentence."""
    rows = table[(table["tested"] == "all") & (table["metric"] == "AP")]
    rows = rows[~rows["method"].str.contains(LESS, regex=False) & (rows["method"] != BOX)]
    parts = []
    for row in rows.to_dict("records"):
        at = "nowhere above 0" if np.isnan(row["best_at"]) else f"at {row['best_at']:g}"
        parts.append(f"{NAMES[row['method']]} (masks of {MASKS_OF[row['trained']]}) {at}")
    return f"Best of {len(thresholds)} thresholds for AP on all classes: {', '.join(parts)}."


def observations(
    table: pd.DataFrame, runs: Runs, *, claims: Claims, reaching: Collection[str]
) -> list[Observation]:
    """Return what Table 3's claims are judged by: at the fixed threshold.

    Args:
        table: from :func:`table3`.
        runs: those that it was made from; the paper's numbers are observed with a ResNet-50 alone.
        claims: the claims to be judged.
        reaching: variants that detect well enough (:func:`lib.opmask.further_tables.reaching`); a
            claim is not judged unless all models that it is on are among them.
    """
    known = {claim.id for claim in claims.claims}
    seen = []
    for row in table.to_dict("records"):
        name = _claim_id(row["trained"], row["method"], row["tested"], row["metric"])
        first, *compared = row["method"].split(LESS)
        models = [f"{method}.{row['trained']}" for method in (first, *compared)]
        if name not in known or not set(models) <= set(reaching):
            continue
        if compared or runs[models[0]].config.backbone == "resnet50":
            seen.append(Observation(name, row["ours"], row["ci_low"], row["ci_high"]))
    return seen


def _lines(
    there: Sequence[str],
    drawn: Callable[[str, float], Replicates],
    swept: Sweeps,
    threshold: float,
    classes: str,
) -> Iterator[dict[str, Any]]:
    if not there:
        return
    labels = drawn(there[0], threshold).result.categories.split(classes)
    for metric in METRICS:
        best_at = {}
        for method in there:
            interval = drawn(method, threshold).score(metric, labels).interval
            line = {"method": method, "metric": metric, **points(interval)}
            if method != BOX:
                tried = {t: r.select(labels).value(metric) for t, r in swept[method].items()}
                best_at[method] = _best(tried)
                best = 100 * tried.get(best_at[method] or threshold, float("nan"))
                line |= {"best": best, "best_at": best_at[method]}
            yield line
        for other in ("faster_rcnn", "baseline"):
            if "opmask" not in there or other not in there:
                continue
            at_fixed = (drawn(m, threshold).score(metric, labels) for m in ("opmask", other))
            fixed = operator.sub(*at_fixed).interval
            ours, base = (drawn(m, best_at[m] or threshold) for m in ("opmask", other))
            best_of_each = points(
                (ours.score(metric, labels) - base.score(metric, labels)).interval
            ).values()
            at_best = dict(zip(("best", "best_low", "best_high"), best_of_each, strict=True))
            place = {"method": f"opmask{LESS}{other}", "metric": metric}
            yield {**place, **points(fixed), **at_best}


def _best(tried: Mapping[float, float]) -> float | None:
    """Return the threshold with the largest value; None where all are 0 or unknown."""
    known = {threshold: value for threshold, value in tried.items() if value > 0}
    return max(known, key=lambda threshold: known[threshold], default=None)


def _claim_id(split: str, method: str, tested: str, metric: str) -> str:
    start = f"B.table3.train_{TRAINED[split]}"
    if LESS in method:
        other = PAPER[method.split(LESS)[1]].lower()
        # The paper's comparisons are of AP; those of AP50 have no claim.
        return f"{start}.test_{tested}.opmask_above_{other}" if metric == "AP" else ""
    return f"{start}.{PAPER.get(method, method)}.test_{tested}.{metric}"


def _rectangles(val: "CocoSet", detections: Sequence[Result]) -> list[Result]:
    found = []
    for detection in detections:
        record = val.image(detection["image_id"])
        x, y, width, height = detection["bbox"]
        mask = rectangle_mask((x, y, x + width, y + height), record.height, record.width)
        found.append({**detection, "segmentation": encode(mask)})
    return found

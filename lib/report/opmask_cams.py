"""Paper B's Table 3: class activation maps taken as masks, at one threshold and at all of them.

The paper does not say where a map is cut. Beside a fixed threshold the table therefore gives each
model's best of a sweep: the best of several tries on the very images that it is judged on, which
flatters all models alike. All tables are tidy and in points of 100.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lib.analysis.claims import Claims, Observation
from lib.evaluation.bootstrap import Interval, Replicates, resample
from lib.evaluation.cam_masks import COLUMNS as IOU_COLUMNS
from lib.evaluation.cam_masks import cam_ap_sweep, cam_iou_on_boxes, read_cams
from lib.evaluation.coco_ap import APResult, evaluate
from lib.evaluation.mask_iou import mean_iou
from lib.masks.detections import Result
from lib.masks.rle import encode
from lib.masks.shapes import rectangle_mask
from lib.report.opmask_runs import LESS, Runs
from lib.report.tables import points

if TYPE_CHECKING:
    from lib.data.categories import Categories
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
    "ours", "ci_low", "ci_high", "best", "best_at", "paper",
)  # fmt: skip
"""Columns of :func:`table3`."""

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
        runs: from :func:`lib.report.opmask_runs.read_runs`.
        thresholds: shares of a map's range from which a pixel belongs to the mask.
    """
    found = {}
    for variant in variants(runs):
        run = runs[variant]
        maps = read_cams(run.folder / "cams_val.npz").maps
        found[variant] = cam_ap_sweep(val, run.detections, maps, thresholds)
    return found


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
        (of the sweep), best_at (its threshold), paper; points of 100.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    lines = []
    for split, methods in MODELS.items():
        swept = {m: sweeps[f"{m}.{split}"] for m in methods if f"{m}.{split}" in sweeps}
        at = {method: results[threshold] for method, results in swept.items()}
        at |= {BOX: boxes[split]} if split in boxes else {}
        drawn = {m: resample(r, resamples=resamples, seed=seed) for m, r in at.items()}
        for tested, classes in TESTED.items():
            for line in _lines(drawn, swept, classes):
                place = {"trained": split, "tested": tested, "threshold": threshold}
                name = _claim_id(split, line["method"], tested, line["metric"])
                lines.append({**place, **line, "paper": expected.get(name)})
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"paper": float})


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per model for people, metrics by tested classes; below it the paper's.

    Args:
        table: from :func:`table3`.
    """
    titles = {"ours": "ours", "best": "ours, best of the sweep", "paper": "paper"}
    lines = []
    for (trained, method), part in table.groupby(["trained", "method"], sort=False):
        for whose, text in titles.items():
            if part[whose].isna().all() and whose != "ours":
                continue
            place = {"masks_of": MASKS_OF[str(trained)], "method": NAMES[str(method)]}
            line: dict[str, Any] = {**place, "whose": text}
            for row in part.to_dict("records"):
                line[f"{row['metric']} {row['tested']}"] = row[whose]
            lines.append(line)
    return pd.DataFrame(lines)


def best_line(table: pd.DataFrame, thresholds: Sequence[float]) -> str:
    """Return where the sweep is best for AP on all classes, as a sentence."""
    rows = table[(table["tested"] == "all") & (table["metric"] == "AP") & table["best_at"].notna()]
    parts = [f"{NAMES[r['method']]} (masks of {MASKS_OF[r['trained']]}) at {r['best_at']:g}"
             for r in rows.to_dict("records")]  # fmt: skip
    return f"Best of {len(thresholds)} thresholds for AP on all classes: {', '.join(parts)}."


def iou_frame(val: "CocoSet", runs: Runs, thresholds: Sequence[float]) -> pd.DataFrame:
    """Return the mask IoU of the maps on true boxes, by model and threshold.

    Columns trained, method, classes (``all`` where all masks were given, else ``unsupervised`` or
    ``supervised``) and those of :func:`lib.evaluation.cam_masks.cam_iou_on_boxes`. The method
    ``box``, at threshold 0, is the whole box; its rows stand once per split.
    """
    frames = []
    for split, methods in MODELS.items():
        there = [m for m in methods if f"{m}.{split}" in variants(runs)]
        for method in there:
            run = runs[f"{method}.{split}"]
            cams = read_cams(run.folder / "cams_on_boxes_val.npz")
            frame = cam_iou_on_boxes(val, cams, thresholds)
            filled = [(method, frame)]
            if method == there[0]:
                filled.append((BOX, _filled(val, frame)))
            for name, part in filled:
                part.insert(0, "classes", _classes(part["label"], split, val.categories))
                part.insert(0, "method", name)
                part.insert(0, "trained", split)
                frames.append(part)
    columns = ["trained", "method", "classes", *IOU_COLUMNS]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean of :func:`iou_frame` with its interval over images, in points.

    Columns trained, method, classes, threshold, instances, ours, ci_low, ci_high.
    """
    keys = ["trained", "method", "classes", "threshold"]
    lines = [
        dict(zip(keys, place, strict=True))
        | {"instances": len(part)}
        | points(mean_iou(part, resamples=resamples, seed=seed))
        for place, part in frame.groupby(keys, sort=False)
    ]
    return pd.DataFrame(lines, columns=[*keys, "instances", "ours", "ci_low", "ci_high"])


def observations(table: pd.DataFrame, runs: Runs, *, claims: Claims) -> list[Observation]:
    """Return what Table 3's claims are judged by: at the fixed threshold.

    Args:
        table: from :func:`table3`.
        runs: those that it was made from; the paper's numbers are observed with a ResNet-50 alone.
        claims: the claims to be judged.
    """
    known = {claim.id for claim in claims.claims}
    seen = []
    for row in table.to_dict("records"):
        name = _claim_id(row["trained"], row["method"], row["tested"], row["metric"])
        first, *compared = row["method"].split(LESS)
        if name not in known:
            continue
        if compared or runs[f"{first}.{row['trained']}"].config.backbone == "resnet50":
            seen.append(Observation(name, row["ours"], row["ci_low"], row["ci_high"]))
    return seen


def _lines(
    drawn: Mapping[str, Replicates],
    swept: Mapping[str, Mapping[float, APResult]],
    classes: str,
) -> Iterator[dict[str, Any]]:
    if not drawn:
        return
    labels = next(iter(drawn.values())).result.categories.split(classes)
    for metric in METRICS:
        intervals: dict[str, Interval] = {m: r.interval(metric, labels) for m, r in drawn.items()}
        for other in ("faster_rcnn", "baseline"):
            if "opmask" in drawn and other in drawn:
                change = drawn["opmask"].difference(drawn[other], metric, labels)
                intervals[f"opmask{LESS}{other}"] = change
        for method, interval in intervals.items():
            tried = {t: r.select(labels).value(metric) for t, r in swept.get(method, {}).items()}
            best_at = max(tried, key=lambda t: np.nan_to_num(tried[t]), default=None)
            best = None if best_at is None else 100 * tried[best_at]
            line = {"method": method, "metric": metric, **points(interval)}
            yield {**line, "best": best, "best_at": best_at}


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


def _filled(val: "CocoSet", frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one threshold with the whole box as the mask, at threshold 0."""
    part = frame[frame["threshold"] == frame["threshold"].min()].copy()
    boxes = {x.id: x.box for x in val.all_instances()}
    corners = np.array([boxes[i] for i in part["annotation_id"]], dtype=float).reshape(-1, 4)
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return part.assign(threshold=0.0, iou=np.minimum(part["area"] / area, 1.0))


def _classes(labels: pd.Series, split: str, categories: "Categories") -> pd.Series:
    if split == "all":
        return pd.Series("all", index=labels.index)
    given = labels.isin(categories.split(split))
    return given.map({True: "supervised", False: "unsupervised"})

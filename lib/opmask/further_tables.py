"""Further tables of paper B's results: classes, boxes, masks on true boxes.

As in :mod:`lib.opmask.table2`: tidy, in points of 100, differences paired.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from lib.metrics.mask_iou import COLUMNS, iou_on_boxes, mean_iou
from lib.opmask.table2 import PAIRS, table2_runs
from lib.opmask.trained import (
    LESS,
    METHODS,
    NAMES,
    SETTINGS,
    TITLES,
    Results,
    Run,
    Runs,
    groups,
)
from lib.pages.tables import points

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

CLASSES = ("unsupervised", "supervised")
ABLATION = "ablation."
"""How the variants of the ablation begin."""


def classes_table(coco_set: "CocoSet", runs: Runs) -> pd.DataFrame:
    """Return the number of classes and instances without and with masks, per setting.

    Columns direction, classes, number, present (classes that have an instance here; AP is a mean
    over these), instances.
    """
    instances = [x for x in coco_set.all_instances() if not x.iscrowd]
    lines = []
    of_setting = {run.setting: run for run in runs.values()}
    for run in (of_setting[setting] for setting in SETTINGS.values() if setting in of_setting):
        for classes, labels in groups(run, coco_set.categories).items():
            of = [x.label for x in instances if x.label in labels]
            place = {"direction": run.setting, "classes": classes, "number": len(labels)}
            lines.append({**place, "present": len(set(of)), "instances": len(of)})
    columns = ["direction", "classes", "number", "present", "instances"]
    return pd.DataFrame(lines, columns=columns)


def left_out_line(runs: Runs, wanted: Sequence[str]) -> str:
    """Return a sentence on which of the variants that something needs were not run."""
    missing = [variant for variant in wanted if variant not in runs]
    if not missing:
        return "Every model of this part was trained."
    return f"Not trained in this profile, so left out here: {', '.join(missing)}."


def main_runs(runs: Runs) -> Runs:
    """Return the runs of the main tables: those of the ablation share a schedule of their own."""
    return {variant: run for variant, run in runs.items() if not variant.startswith(ABLATION)}


def box_table(results: Results, runs: Runs) -> pd.DataFrame:
    """Return what every model detects: box AP and AP50 over all classes, in points.

    Columns variant, method, direction, backbone, box_AP, box_AP50; in the order of the tables.
    """
    lines = [
        {
            "variant": variant,
            "method": runs[variant].method,
            "direction": runs[variant].setting,
            "backbone": runs[variant].config.backbone,
            "box_AP": 100 * result.value("AP"),
            "box_AP50": 100 * result.value("AP50"),
        }
        for variant, result in sorted(results.items(), key=lambda item: _order(runs[item[0]]))
    ]
    columns = ["variant", "method", "direction", "backbone", "box_AP", "box_AP50"]
    return pd.DataFrame(lines, columns=columns)


def compared(boxes: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the baselines and OPMasks, which nearly all claims compare.

    Args:
        boxes: from :func:`box_table`.
    """
    return boxes[boxes["method"].isin(METHODS)]


def reaching(boxes: pd.DataFrame, floor: float) -> frozenset[str]:
    """Return the variants that detect well enough for claims on them to be judged.

    Args:
        boxes: from :func:`box_table`.
        floor: the least box AP50, as a fraction of 1.
    """
    return frozenset(boxes.loc[boxes["box_AP50"] >= 100 * floor, "variant"])


def detector_line(boxes: pd.DataFrame, floor: float) -> str:
    """Return whether Faster R-CNN detects well enough for the claims on it, as a sentence.

    Args:
        boxes: from :func:`box_table`.
        floor: the least box AP50, as a fraction of 1.
    """
    rows = boxes[boxes["method"] == "faster_rcnn"]
    if rows.empty:
        return "Faster R-CNN was not trained, so no claim on it is judged."
    ap50 = rows["box_AP50"].iloc[0]
    answer = "yes" if reaches(rows, floor) else "NO, so no claim on it is judged"
    return f"Faster R-CNN, which Table 3 alone compares with: {answer}, at {ap50:.1f}."


def reaches(boxes: pd.DataFrame, floor: float) -> bool:
    """Return whether every one of some models detects well enough for claims to be judged.

    Args:
        boxes: of these models, such as from :func:`compared`.
        floor: the least box AP50, as a fraction of 1.
    """
    return bool((boxes["box_AP50"] >= 100 * floor).all())


def floor_line(boxes: pd.DataFrame, floor: float) -> str:
    """Return the answer of :func:`reaches` as a sentence."""
    if boxes.empty:
        return "No baseline and no OPMask was trained, so there is nothing to compare."
    lowest = boxes.sort_values("box_AP50", na_position="first").iloc[0]
    answer = "yes" if reaches(boxes, floor) else "NO"
    return (
        f"Box AP50 of at least {100 * floor:.0f} for every compared model: {answer}, the lowest is "
        f"{lowest['box_AP50']:.1f} ({NAMES[lowest['method']]}, {TITLES[lowest['direction']]})."
    )


def masks_on_boxes_frame(coco_set: "CocoSet", runs: Runs) -> pd.DataFrame:
    """Return the IoU of every mask predicted on a ground-truth box, for the runs of Table 2.

    Those of a ResNet-101 of their own are left out. Columns direction, method, classes, and those
    of :func:`lib.metrics.mask_iou.iou_on_boxes`.
    """
    frames = []
    for (_, depth), of in table2_runs(runs).items():
        if depth != "R50":
            continue
        lead = next(run for method, run in of.items() if method != "class_specific")
        for method, run in of.items():
            frame = iou_on_boxes(coco_set, run.masks_on_boxes)
            given = frame["label"].isin(lead.supervised)
            frame.insert(0, "classes", given.map({True: "supervised", False: "unsupervised"}))
            frame.insert(0, "method", method)
            frame.insert(0, "direction", lead.setting)
            frames.append(frame)
    columns = ["direction", "method", "classes", *COLUMNS]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def mask_iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean mask IoU on ground-truth boxes with intervals and paired differences.

    Args:
        frame: from :func:`masks_on_boxes_frame`.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns direction, method, classes, instances, ours, ci_low, ci_high; points of 100.
    """
    drawn: dict[str, Any] = {"resamples": resamples, "seed": seed}
    lines = []
    for direction, classes in itertools.product(dict.fromkeys(frame["direction"]), CLASSES):
        part = frame[(frame["direction"] == direction) & (frame["classes"] == classes)]
        methods = dict.fromkeys(frame.loc[frame["direction"] == direction, "method"])
        of = {method: part[part["method"] == method] for method in methods}
        intervals = {method: mean_iou(rows, **drawn).interval for method, rows in of.items()}
        for first, second in PAIRS:
            if first in of and second in of:
                difference = mean_iou(of[first], **drawn) - mean_iou(of[second], **drawn)
                intervals[first + LESS + second] = difference.interval
        place = {"direction": direction, "classes": classes}
        lines += [
            {**place, "method": method, "instances": part["annotation_id"].nunique()}
            | points(interval)
            for method, interval in intervals.items()
        ]
    columns = ["direction", "method", "classes", "instances", "ours", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)


def _order(run: Run) -> tuple[int, int, str]:
    settings, methods = list(SETTINGS.values()), list(NAMES)
    place = settings.index(run.setting) if run.setting in settings else -1
    return place, methods.index(run.method) if run.method in methods else -1, run.variant

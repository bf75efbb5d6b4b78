"""Paper B's masks on true boxes: how well each model outlines an object that it need not find.

Beside the trained mask heads stand what a head must be better than to be worth its training: the
box itself, filled, and the class activation map of the model alone, cut at a threshold.
"""

import pandas as pd

from lib.data.coco import CocoSet
from lib.metrics.cam_masks import masks_on_boxes, read_cams
from lib.metrics.claims import Claims, Observation
from lib.metrics.mask_iou import COLUMNS, iou_on_boxes
from lib.opmask.filled_boxes import filled_on_boxes
from lib.opmask.predictions import (
    CLASSES,
    DIFFERENCE,
    FILLED,
    MAP,
    METHODS,
    Models,
    Predictions,
)
from lib.opmask.table2 import PAIRS, models_of_table, trained_on_split
from lib.pages import comparison
from lib.pages.comparison import NUMBERS, Row, mask_iou_rows

ALL_PAIRS = (*PAIRS, ("baseline", FILLED), ("opmask", f"opmask{MAP}"))
"""Differences that the table has."""


def masks_on_boxes_frame(coco_set: CocoSet, models: Models, *, threshold: float) -> pd.DataFrame:
    """Return the IoU of every mask on a ground-truth box, for the models of Table 2.

    Those of a ResNet-101 of their own are left out. To each direction belong filled boxes
    (``filled_box``) and, of baseline and OPMask, their maps alone (``opmask_map``).

    Args:
        coco_set: the set of the boxes.
        models: the models.
        threshold: share of a map's range from which a pixel belongs to the mask.

    Returns:
        Columns direction, method, seed (NaN of filled boxes), classes, and those of
        :func:`lib.metrics.mask_iou.iou_on_boxes`.
    """
    frames = [pd.DataFrame(columns=["direction", "method", "seed", "classes", *COLUMNS])]
    filled = iou_on_boxes(coco_set, filled_on_boxes(coco_set))
    for (_, depth), of in models_of_table(models).items():
        if depth != "R50":
            continue
        lead = trained_on_split(of)
        found = [(FILLED, float("nan"), filled)]
        for method, model in of.items():
            found += [
                (method, float(seed), iou_on_boxes(coco_set, run.masks_on_boxes))
                for seed, run in model.runs.items()
            ]
            if method in METHODS:
                found += _maps(coco_set, model, threshold)
        for method, number, frame in found:
            given = frame["label"].isin(lead.supervised)
            classes = given.map({True: "supervised", False: "unsupervised"})
            filed = frame.assign(
                direction=lead.setting, method=method, seed=number, classes=classes
            )
            frames.append(filed[frames[0].columns])
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _maps(
    coco_set: CocoSet, model: Predictions, threshold: float
) -> list[tuple[str, float, pd.DataFrame]]:
    """Return the IoU of a model's maps on true boxes, of the runs that left some."""
    paths = {seed: run.folder / "cams_on_boxes_val.npz" for seed, run in model.runs.items()}
    return [
        (
            model.method + MAP,
            float(seed),
            iou_on_boxes(coco_set, masks_on_boxes(coco_set, read_cams(path), threshold)),
        )
        for seed, path in paths.items()
        if path.exists()
    ]


def mask_iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean mask IoU on ground-truth boxes with intervals and paired differences.

    Args:
        frame: from :func:`masks_on_boxes_frame`.

    Returns:
        Columns direction, method, classes, instances, those of
        :data:`lib.pages.comparison.NUMBERS`; points of 100.
    """
    lines = []
    for direction, rows in frame.groupby("direction", sort=False):
        for classes in CLASSES:
            place = {"direction": direction, "classes": classes}
            chosen = rows["classes"] == classes
            lines += mask_iou_rows(place, rows, chosen, ALL_PAIRS, resamples=resamples, seed=seed)
    columns = ["direction", "method", "classes", "instances", *NUMBERS]
    return pd.DataFrame(lines, columns=columns)


def claim_id(row: Row) -> str:
    """Return the id of the claim on a row: OPMask above the baseline on unsupervised classes."""
    if (row["method"], row["classes"]) != (DIFFERENCE, "unsupervised"):
        return ""
    return f"B.maskiou.{row['direction']}.opmask_above_baseline"


def observations(table: pd.DataFrame, *, claims: Claims) -> list[Observation]:
    """Return what the claims on masks on true boxes are judged by.

    Args:
        table: from :func:`mask_iou_table`.
        claims: the claims.
    """
    return comparison.observations(table, claim_id, claims)

"""Paper B's masks on true boxes: how well each model outlines an object that it need not find."""

import pandas as pd

from lib.data.coco import CocoSet
from lib.metrics.mask_iou import COLUMNS, iou_on_boxes
from lib.opmask.predictions import CLASSES, Models
from lib.opmask.table2 import PAIRS, models_of_table, trained_on_split
from lib.pages.comparison import mask_iou_rows


def masks_on_boxes_frame(coco_set: CocoSet, models: Models) -> pd.DataFrame:
    """Return the IoU of every mask predicted on a ground-truth box, for the models of Table 2.

    Those of a ResNet-101 of their own are left out. Columns direction, method, classes, and those
    of :func:`lib.metrics.mask_iou.iou_on_boxes`.
    """
    frames = [pd.DataFrame(columns=["direction", "method", "classes", *COLUMNS])]
    for (_, depth), of in models_of_table(models).items():
        lead = trained_on_split(of)
        for method, model in of.items() if depth == "R50" else ():
            frame = iou_on_boxes(coco_set, model.masks_on_boxes)
            given = frame["label"].isin(lead.supervised)
            frame.insert(0, "classes", given.map({True: "supervised", False: "unsupervised"}))
            frame.insert(0, "method", method)
            frame.insert(0, "direction", lead.setting)
            frames.append(frame)
    return pd.concat(frames[1:] or frames, ignore_index=True)


def mask_iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean mask IoU on ground-truth boxes with intervals and paired differences.

    Args:
        frame: from :func:`masks_on_boxes_frame`.

    Returns:
        Columns direction, method, classes, instances, ours, ci_low, ci_high; points of 100.
    """
    lines = []
    for direction, rows in frame.groupby("direction", sort=False):
        for classes in CLASSES:
            place = {"direction": direction, "classes": classes}
            chosen = rows["classes"] == classes
            lines += mask_iou_rows(place, rows, chosen, PAIRS, resamples=resamples, seed=seed)
    columns = ["direction", "method", "classes", "instances", "ours", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)

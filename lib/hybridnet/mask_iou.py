"""Paper A's models on true boxes: how well each outlines an object that it need not find."""

import pandas as pd

from lib.data.coco import CocoSet
from lib.hybridnet.predictions import VARIANTS, Models
from lib.masks.quality import SMALL_SIDE
from lib.metrics.mask_iou import COLUMNS, iou_on_boxes
from lib.pages.comparison import mask_iou_rows

SIZES = ("all", "small", "large")
PAIRS = (
    ("large_branch", "baseline"),
    ("pixel_level", "large_branch"),
    ("large_drop", "large_branch"),
)


def masks_on_boxes_frame(val: CocoSet, models: Models) -> pd.DataFrame:
    """Return the IoU of every mask predicted on a ground-truth box, for the models with masks.

    Columns method, seed, size (of the true mask: ``small`` below 64x64 pixels) and those of
    :func:`lib.metrics.mask_iou.iou_on_boxes`.
    """
    frames = [pd.DataFrame(columns=["method", "seed", "size", *COLUMNS])]
    trained = {method: models[v] for method, v in VARIANTS.items() if v in models}
    for method, model in trained.items():
        for seed, masks in model.masks_on_boxes.items():
            frame = iou_on_boxes(val, masks)
            small = frame["area"] < SMALL_SIDE**2
            frame.insert(0, "size", small.map({True: "small", False: "large"}))
            frame.insert(0, "seed", seed)
            frame.insert(0, "method", method)
            frames.append(frame)
    return pd.concat(frames[1:] or frames, ignore_index=True)


def mask_iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean mask IoU on ground-truth boxes with intervals and paired differences.

    Args:
        frame: from :func:`masks_on_boxes_frame`.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns method, size (``all`` too), instances, ours, ci_low, ci_high, seeds; points of 100.
    """
    lines = []
    for size in SIZES:
        chosen = frame["size"].isin(["small", "large"] if size == "all" else [size])
        place = {"size": size}
        lines += mask_iou_rows(place, frame, chosen, PAIRS, resamples=resamples, seed=seed)
    columns = ["method", "size", "instances", "ours", "ci_low", "ci_high", "seeds"]
    return pd.DataFrame(lines, columns=columns)

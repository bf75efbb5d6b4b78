"""What paper A's models detect, and what they learnt from.

Tables are tidy and in points of 100; small is below 64x64 pixels.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lib.data.coco import CocoSet, load
from lib.hybridnet.predictions import REQUIRED, Models
from lib.hybridnet.table2 import AREAS
from lib.metrics.coco_ap import evaluate
from lib.pages import comparable
from lib.paths import resolve
from lib.training.config import TrainConfig, load_config
from lib.training.supervision import supervision_of

if TYPE_CHECKING:
    from lib.workspace import Workspace


def box_table(val: CocoSet, models: Models) -> pd.DataFrame:
    """Return what every model detects: box AP over all classes and by size, in points.

    As in COCO's own code, an object's size is that of its mask, also where boxes are judged.

    Columns variant, seeds, then means over these: box_AP, box_AP50, box_AP_S, box_AP_L; and
    box_AP50_least, of the training that found least.
    """
    labels = val.to_coco()
    lines = []
    for variant, model in models.items():
        runs = [
            evaluate(labels, found, iou_type="bbox", area_ranges=AREAS)
            for found in model.detections.values()
        ]
        values = {m: [100 * run.value(m) for run in runs] for m in ("AP", "AP50", "AP_S", "AP_L")}
        means = {f"box_{m}": np.mean(of) for m, of in values.items()}
        least = {"box_AP50_least": np.min(values["AP50"])}
        lines.append({"variant": variant, "seeds": len(runs)} | means | least)
    return pd.DataFrame(lines)


def with_schedule(boxes: pd.DataFrame, models: Models, workspace: "Workspace") -> pd.DataFrame:
    """Return :func:`box_table` with how long each model learnt, and from how many masks.

    Columns variant, iterations, images_seen (of each training), masks_learnt (instances whose mask
    trains it), then the other columns of ``boxes``.
    """
    opened: dict[str, CocoSet] = {}
    lines = []
    for variant in boxes["variant"]:
        config = load_config(workspace.input(models[variant].first.step, "config.json"))
        if config.annotations not in opened:
            path = resolve(config.annotations)
            opened[config.annotations] = load(path, None, check_images="none")
        lines.append(
            {
                "variant": variant,
                "iterations": config.iterations,
                "images_seen": config.iterations * config.batch_size,
                "masks_learnt": _masks_learnt(config, opened[config.annotations]),
            }
        )
    return pd.DataFrame(lines).merge(boxes, on="variant")


def _masks_learnt(config: TrainConfig, train: CocoSet) -> int:
    supervision = supervision_of(config, train)
    return sum(supervision.reads_mask(x) for x in train.all_instances())


def reaches(boxes: pd.DataFrame, floor: float) -> bool:
    """Return whether every training of the compared models detects enough for claims to be judged.

    Args:
        boxes: from :func:`box_table`.
        floor: the least box AP50, as a fraction of 1.
    """
    return comparable.reaches(_compared(boxes), floor)


def floor_line(boxes: pd.DataFrame, floor: float) -> str:
    """Return the answer of :func:`reaches` as a sentence."""
    return comparable.floor_line(_compared(boxes), floor, lambda row: row["variant"])


def _compared(boxes: pd.DataFrame) -> pd.DataFrame:
    compared = boxes[boxes["variant"].isin(REQUIRED)]
    return compared.assign(box_AP50=compared["box_AP50_least"])

"""What a model finds, as rows of COCO files: each mask is placed in its box and encoded there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib.data.categories import Categories
from lib.data.coco import Instance, Result
from lib.data.pictures.images import ImageRecord
from lib.masks.paste import paste
from lib.masks.rle import encode


@dataclass(frozen=True)
class Predictions:
    """COCO results of a set. What was not asked for, or the model does not have, is empty.

    Attributes:
        detections: image_id, category_id, bbox (xywh), score and, with masks, segmentation (RLE).
        masks_on_boxes: annotation_id, image_id, category_id, segmentation (RLE).
        cams: ``[D, h, w]`` float16, raw class activation maps in the order of ``detections``.
        cams_on_boxes: ``[N, h, w]`` float16, those of the ground-truth boxes and classes.
        annotation_ids: ``[N]`` int64, whose ``cams_on_boxes`` are.
    """

    detections: list[Result]
    masks_on_boxes: list[Result]
    cams: np.ndarray
    cams_on_boxes: np.ndarray
    annotation_ids: np.ndarray


def predictions_at(run: Path, stem: str, share: float) -> Path:
    """Return where a run's predictions at a moment are: ``detections_val_at_0.25.json``."""
    return run / f"{stem}_at_{share:g}.json"


def shares_in(run: Path) -> set[float]:
    """Return the shares at which detections are in a run's folder."""
    start, end = "detections_val_at_", ".json"
    names = (path.name for path in run.glob(f"{start}*{end}"))
    return {float(name.removeprefix(start).removesuffix(end)) for name in names}


def encode_masks(probabilities: Tensor, boxes: Tensor, height: int, width: int) -> list[Result]:
    """Return masks within boxes as run-length codes of masks within their image.

    Args:
        probabilities: ``[N, S, S]``, each mask within its box.
        boxes: ``[N, 4]`` xyxy pixels of the image.
        height: of the image.
        width: of the image.
    """
    pairs = zip(probabilities, boxes.cpu(), strict=True)
    return [encode(paste(probability, box, height, width)) for probability, box in pairs]


def detection_rows(
    record: ImageRecord, result: dict[str, Tensor], categories: Categories
) -> list[Result]:
    """Return one image's detections as rows of a COCO results file.

    Args:
        record: the image.
        result: ``boxes`` ``[D, 4]`` xyxy, ``labels`` ``[D]``, ``scores`` ``[D]`` and, of a model
            with masks, ``mask_probs`` ``[D, S, S]`` within the boxes.
        categories: of the set.
    """
    columns = (result[name].tolist() for name in ("boxes", "labels", "scores"))
    rows: list[Result] = [
        {
            "image_id": record.id,
            "category_id": categories.id_of(label),
            "bbox": [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(score, 5),
        }
        for (x1, y1, x2, y2), label, score in zip(*columns, strict=True)
    ]
    if "mask_probs" in result:
        codes = encode_masks(result["mask_probs"], result["boxes"], record.height, record.width)
        for row, code in zip(rows, codes, strict=True):
            row["segmentation"] = code
    return rows


def rows_on_boxes(
    record: ImageRecord, instances: Sequence[Instance], masks: Tensor
) -> list[Result]:
    """Return the masks ``[N, S, S]`` within an image's true boxes as rows of a COCO file."""
    boxes = torch.tensor([x.box for x in instances]).reshape(-1, 4)
    codes = encode_masks(masks, boxes, record.height, record.width)
    return [
        {
            "annotation_id": instance.id,
            "image_id": record.id,
            "category_id": instance.category_id,
            "segmentation": code,
        }
        for instance, code in zip(instances, codes, strict=True)
    ]

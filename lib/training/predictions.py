"""What a model finds, as rows of COCO files: each mask is placed in its box and encoded there.

All of this is the host's work, apart from the model, so that a GPU need not wait for it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from lib.data.categories import Categories
from lib.data.coco import Instance, Result
from lib.data.pictures.images import ImageRecord
from lib.masks.paste import MASK_FROM, sample
from lib.training.activation_maps import stack_cams

Item = TypeVar("Item")
Made = TypeVar("Made")

WAITING = 8
"""Images for each thread whose results may wait: enough that none is idle, and little memory."""


class Found(NamedTuple):
    """What a model gave for one image, on the host.

    Attributes:
        record: the image.
        result: ``boxes`` ``[D, 4]`` xyxy, ``labels``, ``scores`` and, if there are such,
            ``mask_probs`` ``[D, S, S]`` within the boxes and ``cams`` ``[D, h, w]``.
        instances: ground truth that the model was asked about; empty if it was not.
        masks: ``[N, S, S]`` within the instances' boxes; None if not asked for.
        cams: ``[N, h, w]``, the instances' maps; None if not asked for.
    """

    record: ImageRecord
    result: dict[str, Tensor]
    instances: Sequence[Instance] = ()
    masks: Tensor | None = None
    cams: Tensor | None = None


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


def merge(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several sets of images, one after the other, as those of one."""
    return Predictions(
        list(chain.from_iterable(part.detections for part in parts)),
        list(chain.from_iterable(part.masks_on_boxes for part in parts)),
        _joined([part.cams for part in parts]),
        _joined([part.cams_on_boxes for part in parts]),
        np.concatenate([np.zeros(0, np.int64), *(part.annotation_ids for part in parts)]),
    )


def of_image(found: Found, categories: Categories) -> Predictions:
    """Return one image's predictions."""
    record, result, maps = found.record, found.result, found.result.get("cams")
    ids = [] if found.cams is None else [x.id for x in found.instances]
    codes = None
    if "mask_probs" in result:
        codes = encode_masks(result["mask_probs"], result["boxes"], record.height, record.width)
    return Predictions(
        detection_rows(record, result, categories, codes),
        _masks_on_boxes(found.record, found.instances, found.masks),
        stack_cams([] if maps is None else [maps]),
        stack_cams([] if found.cams is None else [found.cams]),
        np.array(ids, np.int64),
    )


def encode_masks(probabilities: Tensor, boxes: Tensor, height: int, width: int) -> list[Result]:
    """Return masks within boxes as run-length codes of masks within their image.

    Args:
        probabilities: ``[N, S, S]``, each mask within its box.
        boxes: ``[N, 4]`` xyxy pixels of the image.
        height: of the image.
        width: of the image.
    """
    with torch.inference_mode():
        pairs = zip(probabilities.float().cpu(), boxes.cpu(), strict=True)
        return [
            sample(probability, box, height, width).encode(MASK_FROM, height, width)
            for probability, box in pairs
        ]


def in_order(
    function: Callable[[Item], Made], items: Iterable[Item], *, threads: int
) -> Iterator[Made]:
    """Yield the function's value for each item, in order; other threads work while items are made.

    Args:
        function: called once for each item.
        items: fetched here, at most a few beyond what was yielded.
        threads: that call the function; with 0 it is called here.
    """
    if not threads:
        yield from map(function, items)
        return
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > WAITING * threads:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def detection_rows(
    record: ImageRecord,
    result: dict[str, Tensor],
    categories: Categories,
    codes: Sequence[Result] | None = None,
) -> list[Result]:
    """Return one image's detections as rows of a COCO results file.

    Args:
        record: the image.
        result: ``boxes`` ``[D, 4]`` xyxy, ``labels`` ``[D]`` and ``scores`` ``[D]``.
        categories: of the set.
        codes: the run-length code of each detection's mask; None without masks.
    """
    rows: list[Result] = [
        {
            "image_id": record.id,
            "category_id": categories.id_of(label),
            "bbox": _xywh(box),
            "score": round(score, 5),
        }
        for box, label, score in zip(
            result["boxes"].tolist(),
            result["labels"].tolist(),
            result["scores"].tolist(),
            strict=True,
        )
    ]
    for row, code in zip(rows, codes or [], strict=codes is not None):
        row["segmentation"] = code
    return rows


def _masks_on_boxes(
    record: ImageRecord, instances: Sequence[Instance], masks: Tensor | None
) -> list[Result]:
    if masks is None or not instances:
        return []
    boxes = torch.tensor([x.box for x in instances])
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


def _xywh(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)]


def _joined(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return maps one after the other; sets without any say nothing of their size."""
    filled = [part for part in maps if len(part)]
    return np.concatenate(filled) if filled else stack_cams([])

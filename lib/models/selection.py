"""From boxes and scores to detections that know where they come from.

torchvision's own selection does not say which proposal a detection came from; the prior of paper B
needs to know.
"""

import torch
from torch import Tensor
from torchvision.ops import batched_nms

SMALLEST_SIDE = 1e-2
"""Detections with a shorter side, in pixels, are dropped."""


def select_detections(
    boxes: Tensor, scores: Tensor, *, score_threshold: float, nms_threshold: float, limit: int
) -> tuple[Tensor, Tensor]:
    """Choose one image's detections by score, then by NMS within each class.

    Args:
        boxes: ``[P, K + 1, 4]`` xyxy, each proposal's box for each class.
        scores: ``[P, K + 1]``; column 0 is background.
        score_threshold: only higher scores count.
        nms_threshold: of two boxes of one class with a larger IoU, the better one stays.
        limit: at most this many are kept.

    Returns:
        Proposal index and label of each detection, ``[D]`` each, best score first.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    candidate = (scores > score_threshold) & (sides >= SMALLEST_SIDE).all(-1)
    candidate[:, 0] = False
    rows, labels = torch.where(candidate)
    kept = batched_nms(boxes[rows, labels], scores[rows, labels], labels, nms_threshold)[:limit]
    return rows[kept], labels[kept]

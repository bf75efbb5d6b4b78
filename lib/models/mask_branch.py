"""The mask branch and its partially supervised loss (paper B, Eq. 3 and 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import MultiScaleRoIAlign, roi_align

from lib.models.prior import ObjectMaskPrior


class MaskBranch(nn.Module):
    """RoIAlign, an optional prior, and a mask head, class agnostic or with a mask per class.

    Args:
        roi_pool: cuts the mask features out of the pyramid.
        head: convolutions, ``[R, D, H, W]`` to ``[R, D', H, W]``.
        predictor: ``[R, D', H, W]`` to logits ``[R, 1, 2 H, 2 W]`` or ``[R, K, 2 H, 2 W]``.
        per_class: the predictor has an output for each of the K classes; an RoI's mask is that of
            its own class. False: its only output serves all.
        prior: joins the mask features; None gives the baseline.
    """

    def __init__(
        self,
        *,
        roi_pool: MultiScaleRoIAlign,
        head: nn.Module,
        predictor: nn.Module,
        per_class: bool = False,
        prior: ObjectMaskPrior | None = None,
    ) -> None:
        super().__init__()
        self.roi_pool = roi_pool
        self.head = head
        self.predictor = predictor
        self.per_class = per_class
        self.prior = prior

    def forward(
        self,
        features: dict[str, Tensor],
        boxes: Sequence[Tensor],
        image_shapes: Sequence[tuple[int, int]],
        *,
        labels: Tensor,
        box_maps: Tensor,
        class_weights: Tensor,
    ) -> Tensor:
        """Return mask logits ``[R, h, w]`` of all images' RoIs, in order.

        Args:
            features: the pyramid.
            boxes: per image ``[N, 4]`` xyxy, in pixels of the resized image.
            image_shapes: (height, width) of each resized image.
            labels: ``[R]`` class of each RoI, 1..K: the true one in training, else the predicted.
            box_maps: ``[R, C, h, w]``, the box head's last maps of the RoIs, for the prior alone;
                without one, anything.
            class_weights: ``[K + 1, C]``, the box head's classification weights, likewise.
        """
        x = self.roi_pool(features, list(boxes), list(image_shapes))
        if self.prior is not None:
            x = self.prior(x, box_maps, labels, class_weights)
        logits = self.predictor(self.head(x))
        if not self.per_class:
            return logits[:, 0]
        return logits[torch.arange(len(labels), device=labels.device), labels - 1]


def mask_targets(masks: Tensor, rows: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Return the part of each RoI's instance mask that lies in the RoI, resampled and binary.

    Args:
        masks: ``[M, H, W]`` uint8, the instance masks of one image.
        rows: ``[R]`` int64, the mask of each RoI.
        boxes: ``[R, 4]`` xyxy, in pixels of the same image.
        size: side of the targets.

    Returns:
        ``[R, size, size]`` float32, 0 or 1: RoIAlign of the mask, cut at one half.
    """
    rois = torch.cat([rows[:, None].to(boxes.dtype), boxes], 1).float()
    crops = roi_align(masks[:, None].float(), rois, (size, size), aligned=True)
    return (crops[:, 0] >= 0.5).float()


def partial_mask_loss(
    logits: Tensor,
    boxes: Sequence[Tensor],
    matched: Sequence[Tensor],
    targets: Sequence[dict[str, Tensor]],
) -> Tensor:
    """Return the mean cross-entropy over the RoIs whose instance has a mask to learn from.

    The gate is the target itself: a dataset hands over masks of supervised classes only, so a mask
    that must not be used is not there to be used. All RoIs pass the head, as in the official code
    of paper B, so batch statistics include those without a mask.

    Args:
        logits: ``[R, S, S]`` of all images' foreground RoIs, in order.
        boxes: per image ``[N, 4]`` xyxy, in pixels of the resized image.
        matched: per image ``[N]`` int64, the instance of each RoI.
        targets: per image, ``masks`` ``[M, H, W]`` uint8 and ``mask_index`` ``[instances]`` int64
            (row in ``masks``, or -1).

    Returns:
        A scalar; 0, with a gradient of 0, when no RoI has a mask.
    """
    chosen, wanted = [], []
    for rois, instances, target in zip(boxes, matched, targets, strict=True):
        rows = target["mask_index"][instances]
        has_mask = rows >= 0
        chosen.append(has_mask)
        if bool(has_mask.any()):
            wanted.append(
                mask_targets(target["masks"], rows[has_mask], rois[has_mask], logits.shape[-1])
            )
    if not wanted:
        return logits.sum() * 0
    return binary_cross_entropy_with_logits(logits[torch.cat(chosen)], torch.cat(wanted))

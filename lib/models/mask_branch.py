"""The mask branch and its partially supervised loss (paper B, Eq. 3 and 4)."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import MultiScaleRoIAlign, roi_align

from lib.masks.crops import Runs, crop, join
from lib.models.prior import ObjectMaskPrior
from lib.models.processes import part_of_mean, whole_count


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
    targets: Sequence[dict[str, Any]],
) -> Tensor:
    """Return the mean cross-entropy over the RoIs whose instance has a mask to learn from.

    The mean is over the whole batch, of which this is a process's part (see
    :mod:`lib.models.processes`); all processes must call this, also with no RoI at all.

    The gate is the target itself: a dataset hands over masks of supervised classes only, so a mask
    that must not be used is not there to be used. All RoIs pass the head, as in the official code
    of paper B, so batch statistics include those without a mask.

    Args:
        logits: ``[R, S, S]`` of all images' foreground RoIs, in order.
        boxes: per image ``[N, 4]`` xyxy, in pixels of the resized image.
        matched: per image ``[N]`` int64, the instance of each RoI.
        targets: per image its masks and ``mask_index`` ``[instances]`` int64, the number of each
            instance's mask, or -1. In all images alike, masks are ``masks`` ``[M, H, W]`` uint8,
            resized with the image, or ``mask_edges`` and ``mask_frames``, as
            :class:`lib.masks.crops.Runs` has them, with ``mask_scale``, the resized image's width
            and height over the image's.

    Returns:
        A scalar; 0, with a gradient of 0, when no RoI has a mask.
    """
    rows = [t["mask_index"][instances] for t, instances in zip(targets, matched, strict=True)]
    has_mask = torch.cat(rows) >= 0
    known = [row.clamp(min=0) for row in rows]
    if all("mask_edges" in target for target in targets):
        wanted = _from_runs(known, boxes, targets, logits)
    else:
        parts = [
            mask_targets(t["masks"], row, b, logits.shape[-1])
            if len(t["masks"])
            else torch.zeros_like(logits[: len(row)], dtype=torch.float32)
            for t, row, b in zip(targets, known, boxes, strict=True)
        ]
        wanted = torch.cat(parts)
    losses = binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((1, 2))
    total = torch.where(has_mask, losses, 0.0).sum()
    return part_of_mean(total, whole_count(has_mask.sum()))


def _from_runs(
    rows: Sequence[Tensor],
    boxes: Sequence[Tensor],
    targets: Sequence[dict[str, Any]],
    logits: Tensor,
) -> Tensor:
    """Return the targets of all RoIs from run lengths; of those without a mask, anything."""
    runs = join([Runs(target["mask_edges"], target["mask_frames"]) for target in targets])
    if len(runs.frames) == 0:
        return torch.zeros_like(logits, dtype=torch.float32)
    first = accumulate((len(target["mask_frames"]) for target in targets), initial=0)
    numbers = torch.cat([row + n for row, n in zip(rows, first, strict=False)])
    numbers = numbers.clamp(max=len(runs.frames) - 1)  # a last image without a mask
    scales = boxes[0].new_tensor([[*target["mask_scale"]] * 2 for target in targets])
    places = [b / scale for b, scale in zip(boxes, scales, strict=True)]
    return crop(runs, numbers, torch.cat(places), logits.shape[-1])

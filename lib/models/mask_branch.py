"""The mask branch and its partially supervised loss (paper B, Eq. 3 and 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import MultiScaleRoIAlign, roi_align

from lib.models.config import MaskRois
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


def objects_to_segment(
    which: MaskRois,
    rois: Sequence[Tensor],
    matched: Sequence[Tensor],
    labels: Sequence[Tensor],
    targets: Sequence[dict[str, Tensor]],
) -> list[dict[str, Tensor]]:
    """Return the RoIs that train a mask branch: ``boxes``, ``labels``, ``matched``, per image.

    Args:
        which: the foreground of the sampled RoIs, or the objects' own boxes.
        rois: per image ``[N, 4]`` xyxy, the sampled ones.
        matched: per image ``[N]`` int64, the instance of each.
        labels: per image ``[N]`` int64 in 0..K.
        targets: per image the instances' ``boxes`` and ``labels``.
    """
    if which == "gt_boxes":
        known = [torch.where(target["labels"] > 0)[0] for target in targets]
        return [
            {"boxes": target["boxes"][rows], "labels": target["labels"][rows], "matched": rows}
            for target, rows in zip(targets, known, strict=True)
        ]
    foreground = [torch.where(label > 0)[0] for label in labels]
    return [
        {"boxes": r[rows], "labels": n[rows], "matched": m[rows]}
        for r, n, m, rows in zip(rois, labels, matched, foreground, strict=True)
    ]


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

    The mean is over the whole batch, of which this is a process's part (see
    :mod:`lib.models.processes`); all processes must call this, also with no RoI at all.

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
    size = logits.shape[-1]
    chosen, wanted = [], [logits.new_zeros((0, size, size), dtype=torch.float32)]
    for rois, instances, target in zip(boxes, matched, targets, strict=True):
        rows = target["mask_index"][instances]
        has_mask = rows >= 0
        chosen.append(has_mask)
        if bool(has_mask.any()):
            wanted.append(mask_targets(target["masks"], rows[has_mask], rois[has_mask], size))
    truth = torch.cat(wanted)
    total = binary_cross_entropy_with_logits(logits[torch.cat(chosen)], truth, reduction="sum")
    return part_of_mean(total / size**2, whole_count(len(truth), logits.device))

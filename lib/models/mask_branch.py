"""The mask branch and its partially supervised loss (paper B, Eq. 3 and 4)."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import MultiScaleRoIAlign

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


def partial_mask_loss(
    logits: Tensor,
    boxes: Sequence[Tensor],
    matched: Sequence[Tensor],
    targets: Sequence[dict[str, Tensor]],
    image_shapes: Sequence[tuple[int, int]],
) -> Tensor:
    """Return the mean cross-entropy over the RoIs whose instance has a mask to learn from.

    The mean is over the whole batch, of which this is a process's part (see
    :mod:`lib.models.processes`); all processes must call this, also with no RoI at all.

    The gate is the target itself: a dataset hands over masks of supervised classes only, so a mask
    that must not be used is not there to be used. All RoIs pass the head, as in the official code
    of paper B, so batch statistics include those without a mask.

    Args:
        logits: ``[R, S, S]`` of all images' foreground RoIs, in order.
        boxes: per image ``[R', 4]`` xyxy, in pixels of the resized image.
        matched: per image ``[R']`` int64, the instance of each RoI.
        targets: per image of N instances ``mask_edges`` and ``mask_frames`` ``[N, 3]``, as
            :class:`lib.masks.crops.Runs` has them, and ``has_mask`` ``[N]`` bool.
        image_shapes: (height, width) of each resized image.

    Returns:
        A scalar; 0, with a gradient of 0, when no RoI has a mask.
    """
    runs = join([Runs(target["mask_edges"], target["mask_frames"]) for target in targets])
    first = accumulate((len(target["has_mask"]) for target in targets), initial=0)
    rows = torch.cat([m + n for m, n in zip(matched, first, strict=False)])
    shapes = torch.tensor(image_shapes, dtype=boxes[0].dtype)
    shapes = shapes.to(boxes[0].device, non_blocking=True)  # so that a GPU is not waited for
    resized = torch.cat([s.expand(len(b), 2) for s, b in zip(shapes, boxes, strict=True)])
    scale = (resized / runs.frames[rows, :2]).flip(1).repeat(1, 2)
    wanted = crop(runs, rows, torch.cat(list(boxes)) / scale, logits.shape[-1])
    losses = binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((1, 2))
    has_mask = torch.cat([target["has_mask"] for target in targets])[rows]
    total = torch.where(has_mask, losses, 0.0).sum()
    return part_of_mean(total, whole_count(has_mask.sum()))

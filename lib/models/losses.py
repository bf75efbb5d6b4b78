"""The losses of the region proposals and of the box head, over the whole batch.

They are torchvision's, but divided by the samples of all processes; see
:mod:`lib.models.processes`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    smooth_l1_loss,
)

from lib.models.processes import part_of_mean, whole_count

BETA = 1 / 9
"""Where the box losses turn from squares to absolute values, as in torchvision."""


def proposal_losses(
    objectness: Tensor, deltas: Tensor, labels: Tensor, regression: Tensor, drawn: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the objectness and box losses of sampled anchors.

    Args:
        objectness: ``[S]`` logits.
        deltas: ``[S, 4]``, predicted.
        labels: ``[S]``: 1 is an object, 0 background.
        regression: ``[S, 4]``, wanted; of no meaning where there is no object.
        drawn: ``[S]`` bool: whether a row counts.
    """
    count = whole_count(drawn.sum())
    positive = (drawn & (labels == 1))[:, None]
    objectness_loss = torch.where(
        drawn, binary_cross_entropy_with_logits(objectness, labels, reduction="none"), 0.0
    ).sum()
    # rows that do not count are compared with themselves: what is wanted there may be infinite
    wanted = torch.where(positive, regression, deltas.detach())
    box_loss = smooth_l1_loss(deltas, wanted, beta=BETA, reduction="sum")
    return part_of_mean(objectness_loss, count), part_of_mean(box_loss, count)


def box_losses(
    class_logits: Tensor,
    deltas: Tensor,
    labels: Sequence[Tensor],
    regression: Sequence[Tensor],
    *,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Return the classification and box losses of sampled RoIs (Fast R-CNN, Eq. 1).

    Args:
        class_logits: ``[R, K + 1]``; column 0 is background.
        deltas: ``[R, 4 (K + 1)]``.
        labels: per image ``[N]`` int64 in 0..K.
        regression: per image ``[N, 4]``; of no meaning where the label is 0.
        count: sampled RoIs of the whole batch.
    """
    known = torch.cat(list(labels))
    positive = torch.where(known > 0)[0]
    per_class = deltas.reshape(len(known), class_logits.shape[1], 4)
    box_loss = smooth_l1_loss(
        per_class[positive, known[positive]],
        torch.cat(list(regression))[positive],
        beta=BETA,
        reduction="sum",
    )
    class_loss = cross_entropy(class_logits, known, reduction="sum")
    return part_of_mean(class_loss, count), part_of_mean(box_loss, count)

"""torchvision's region proposal network, with objects that it must neither find nor miss.

Training targets may hold objects with the label :data:`IGNORED`. torchvision's RoI heads leave out
what matches them, since their sampler knows labels of -1; its RPN never looks at labels.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from lib.models.losses import proposal_losses
from lib.models.sampling import sample_images, seeds_of

IGNORED = -1
"""Label of an object that is neither foreground nor background in training."""


class IgnoringRPN(RegionProposalNetwork):
    """A region proposal network that samples no anchor whose best match is an ignored object.

    Each image's anchors are sampled from its own seed, and the losses are those of the whole batch
    (see :mod:`lib.models.sampling` and :mod:`lib.models.processes`).

    It works in single precision whatever surrounds it: in bfloat16, whose steps are 4 above 512,
    anchors and true boxes would be off by pixels, small objects' most of all.
    """

    _seeds: Sequence[int] = ()

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return each image's proposals, float32 ``[P, 4]`` xyxy, and in training the losses."""
        if self.training and targets is not None:
            self._seeds = seeds_of(targets, "anchors")
        with torch.autocast(images.tensors.device.type, enabled=False):
            exact = {name: feature.float() for name, feature in features.items()}
            return super().forward(images, exact, targets)

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return each anchor's label and box, per image: 1 object, 0 background, -1 left out.

        Anchors are labelled as if ignored objects did not exist. Then, of those that are not
        positive, the ones are left out that would be positive for an ignored object, or too near
        to be negative, if it were an object like others (in torchvision's sense of a match, the
        one of each object's best anchors included).

        Args:
            anchors: per image ``[A, 4]`` xyxy, in pixels of the resized image.
            targets: per image ``boxes`` ``[N, 4]``, likewise, and ``labels`` ``[N]``.

        Returns:
            Per image ``[A]`` float labels, and ``[A, 4]`` boxes.
        """
        known = [{"boxes": t["boxes"][t["labels"] != IGNORED]} for t in targets]
        labels, boxes = super().assign_targets_to_anchors(anchors, known)
        for row, candidates, target in zip(labels, anchors, targets, strict=True):
            row[self._near_ignored(candidates, target) & (row != 1)] = -1.0
        return labels, boxes

    def _near_ignored(self, anchors: Tensor, target: dict[str, Tensor]) -> Tensor:
        """Return ``[A]`` bool: whether an anchor's best match, at least a fair one, is ignored."""
        ignored = target["labels"] == IGNORED
        if not bool(ignored.any()):
            return torch.zeros(len(anchors), dtype=torch.bool, device=anchors.device)
        quality = self.box_similarity(target["boxes"], anchors)
        matched = self.proposal_matcher(quality) != self.proposal_matcher.BELOW_LOW_THRESHOLD
        return matched & ignored[quality.max(0).indices]

    def compute_loss(
        self,
        objectness: Tensor,
        pred_bbox_deltas: Tensor,
        labels: list[Tensor],
        regression_targets: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Return the objectness and box losses of the anchors that are sampled.

        Args:
            objectness: ``[images * A, 1]`` logits.
            pred_bbox_deltas: ``[images * A, 4]``.
            labels: per image ``[A]``, from :meth:`assign_targets_to_anchors`.
            regression_targets: per image ``[A, 4]``.
        """
        samples = sample_images(labels, like=self.fg_bg_sampler, seeds=self._seeds)
        before = accumulate(map(len, labels), initial=0)
        sampled = torch.cat([rows + n for (rows, _), n in zip(samples, before, strict=False)])
        return proposal_losses(
            objectness.flatten()[sampled],
            pred_bbox_deltas[sampled],
            torch.cat(labels)[sampled],
            torch.cat(regression_targets)[sampled],
            torch.cat([drawn for _, drawn in samples]),
        )

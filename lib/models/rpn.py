"""torchvision's region proposal network, with objects that it must neither find nor miss.

Training targets may hold objects with the label :data:`IGNORED`. torchvision's RoI heads leave out
what matches them, since their sampler knows labels of -1; its RPN never looks at labels.

Most of an RPN's work is one convolution on the largest map of the pyramid, a fifth of what a Mask
R-CNN with a ResNet-50 computes before its heads; it can run in half precision like the pyramid.
Boxes cannot: in bfloat16, whose steps are 4 above 512, anchors and true boxes would be off by
pixels, small objects' most of all. So what the head says is made single, and anchors are, whatever
the features are. In single precision both classes are torchvision's.
"""

from itertools import accumulate

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from lib.models.losses import proposal_losses
from lib.models.sampling import Seeded, sample_balanced, seeds_of

IGNORED = -1
"""Label of an object that is neither foreground nor background in training."""


class Float32RPNHead(RPNHead):
    """torchvision's RPN head, whose outputs are float32 also under autocast."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Map each level's ``[N, C, H, W]`` to logits ``[N, A, H, W]`` and deltas, 4 A channels."""
        logits, deltas = super().forward(x)
        return [level.float() for level in logits], [level.float() for level in deltas]


class Float32Anchors(AnchorGenerator):
    """torchvision's anchors, float32 also for features of another type."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Return each image's anchors ``[A, 4]`` xyxy, in pixels of the padded batch."""
        sizes = [features[:1, :1].float() for features in feature_maps]  # no copy of the maps
        return super().forward(image_list, sizes)


class IgnoringRPN(Seeded, RegionProposalNetwork):
    """A region proposal network that samples no anchor whose best match is an ignored object.

    Each image's anchors are sampled from its own seed, and the losses are those of the whole batch
    (see :mod:`lib.models.sampling` and :mod:`lib.models.processes`).
    """

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return each image's proposals, float32 ``[P, 4]`` xyxy, and in training the losses."""
        if self.training and targets is not None:
            self.seeds = seeds_of(targets, "anchors")
        return super().forward(images, features, targets)

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
            targets: per image ``boxes`` ``[N, 4]``, likewise, ``labels`` ``[N]`` and, if known,
                ``ignores``, whether any label is -1.

        Returns:
            Per image ``[A]`` float labels, and ``[A, 4]`` boxes.
        """
        if not any(t.get("ignores", True) for t in targets):  # known without asking the device
            return super().assign_targets_to_anchors(anchors, targets)
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
        sampler = self.fg_bg_sampler
        count, fraction = sampler.batch_size_per_image, sampler.positive_fraction
        samples = [
            sample_balanced(of_image, count=count, positive_fraction=fraction, seed=seed)
            for of_image, seed in zip(labels, self.seeds, strict=True)
        ]
        before = accumulate(map(len, labels), initial=0)
        sampled = torch.cat([rows + n for (rows, _), n in zip(samples, before, strict=False)])
        return proposal_losses(
            objectness.flatten()[sampled],
            pred_bbox_deltas[sampled],
            torch.cat(labels)[sampled],
            torch.cat(regression_targets)[sampled],
            torch.cat([drawn for _, drawn in samples]),
        )

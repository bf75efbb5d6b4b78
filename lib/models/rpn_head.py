"""The parts of an RPN for GPUs: convolutions in half precision, boxes in single, no waiting.

Most of an RPN's work is one convolution on the largest map of the pyramid, a fifth of what a Mask
R-CNN with a ResNet-50 computes before its heads; it can run in half precision like the pyramid.
Boxes cannot: in bfloat16, whose steps are 4 above 512, anchors and true boxes would be off by
pixels, small objects' most of all. So what the head says is made single, and anchors are, whatever
the features are. In single precision both classes are torchvision's.

`SteadyMatcher` matches as torchvision's does, but asks the device for no list of places, whose
length the processor would have to wait for, image by image.
"""

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead


class SingleHead(RPNHead):
    """torchvision's RPN head, whose outputs are float32 also under autocast."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Map each level's ``[N, C, H, W]`` to logits ``[N, A, H, W]`` and deltas, 4 A channels."""
        logits, deltas = super().forward(x)
        return [level.float() for level in logits], [level.float() for level in deltas]


class SingleAnchors(AnchorGenerator):
    """torchvision's anchors, float32 also for features of another type."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Return each image's anchors ``[A, 4]`` xyxy, in pixels of the padded batch."""
        sizes = [features[:1, :1].float() for features in feature_maps]  # no copy of the maps
        return super().forward(image_list, sizes)


class SteadyMatcher(Matcher):
    """torchvision's matcher of anchors and objects, without waiting for the device."""

    def set_low_quality_matches_(
        self, matches: Tensor, all_matches: Tensor, match_quality_matrix: Tensor
    ) -> None:
        """Match each object's best anchors, ties included, with the object they overlap most.

        Args:
            matches: ``[A]`` int64, changed in place.
            all_matches: ``[A]``, the object that each anchor overlaps most.
            match_quality_matrix: ``[N, A]``, IoU of objects and anchors.
        """
        best = match_quality_matrix == match_quality_matrix.amax(1, keepdim=True)
        matches.copy_(torch.where(best.any(0), all_matches, matches))

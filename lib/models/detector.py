"""A detector from its parts: transform, feature pyramid, RPN and RoI heads.

The skeleton is torchvision's ``GeneralizedRCNN``. Methods differ in their mask branch alone and
have a file each: :mod:`lib.models.mask_rcnn`, :mod:`lib.models.opmask`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops import MultiScaleRoIAlign

from lib.models.backbones import FeaturePyramid, freeze_stages, resnet_fpn, small_fpn
from lib.models.config import ModelConfig
from lib.models.heads import POOLED, box_parts
from lib.models.mask_branch import MaskBranch
from lib.models.roi_heads import PartiallySupervisedRoIHeads
from lib.models.rpn import Float32Anchors, Float32RPNHead, IgnoringRPN
from lib.models.sampling import SeededTransform

LEVELS = ["0", "1", "2", "3"]
ASPECT_RATIOS = (0.5, 1.0, 2.0)


class Detector(GeneralizedRCNN):
    """torchvision's two-stage detector, called with images and targets as there.

    Images are ``[3, H, W]`` RGB, float in 0..1 or uint8; boxes are xyxy, in pixels of the images as
    given. In training a target may have a ``seed``, from which all derives that is random about its
    image (see :mod:`lib.models.sampling`), and the losses are parts of those of the whole batch
    where several processes share it (see :mod:`lib.models.processes`).

    Images are padded to the largest of those given together, up to a multiple of 32. Convolutions
    see the padding from as far as their field reaches, and batch norm counts it, so an image's
    features depend a little on the sizes of the others; a process that has a share of a batch pads
    less than one that has all of it. Where all images have one size there is no such difference.
    """

    roi_heads: PartiallySupervisedRoIHeads
    transform: SeededTransform

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Return losses (in training) or detections, as torchvision's detectors do.

        In training torchvision looks at every image's boxes before it begins, and a GPU has to be
        waited for. Here they are taken to have positive sides: sets are checked when opened.
        """
        if not self.training or targets is None:
            return super().forward(images, targets)
        batch, resized = self.transform(images, targets)
        features = self.backbone(batch.tensors)
        proposals, losses = self.rpn(batch, features, resized)
        _, own = self.roi_heads(features, proposals, batch.image_sizes, resized)
        return {**own, **losses}

    @torch.no_grad()
    def masks_on_boxes(
        self, images: Sequence[Tensor], instances: Sequence[dict[str, Tensor]]
    ) -> list[Tensor]:
        """Return mask probabilities ``[N, S, S]`` within given boxes, per image.

        Args:
            images: as for ``forward``.
            instances: per image ``boxes`` ``[N, 4]`` xyxy in its pixels and ``labels`` ``[N]``.

        Raises:
            ValueError: if the method predicts no masks, or the model is in training mode.
        """
        if self.roi_heads.mask_branch is None or self.training:
            raise ValueError("Masks need a model with a mask branch, in evaluation mode.")
        return self.roi_heads.masks_of(*self._prepared(images, instances))

    @torch.no_grad()
    def cams_on_boxes(
        self, images: Sequence[Tensor], instances: Sequence[dict[str, Tensor]]
    ) -> list[Tensor]:
        """Return raw class activation maps, float32 ``[N, h, w]``, of given boxes, per image.

        Each map is that of the instance's class (paper B, Eq. 1), neither scaled nor resized. A
        model without masks has them too, if its box head is convolutional.

        Args:
            images: as for ``forward``.
            instances: as for `masks_on_boxes`.

        Raises:
            ValueError: if the box head is not ``conv``, or the model is in training mode.
        """
        if self.training:
            raise ValueError("Class activation maps on boxes need a model in evaluation mode.")
        return self.roi_heads.cams_of(*self._prepared(images, instances))

    def _prepared(
        self, images: Sequence[Tensor], instances: Sequence[dict[str, Tensor]]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]], list[tuple[int, int]]]:
        """Return the pyramid, the instances with resized boxes, and the resized images' sizes."""
        sizes = [(int(i.shape[-2]), int(i.shape[-1])) for i in images]
        batch, _ = self.transform(list(images))
        resized = [
            {**i, "boxes": resize_boxes(i["boxes"], list(before), list(after))}
            for i, before, after in zip(instances, sizes, batch.image_sizes, strict=True)
        ]
        return self.backbone(batch.tensors), resized, batch.image_sizes


def build_backbone(config: ModelConfig) -> FeaturePyramid:
    """Return the feature pyramid that ``config`` names, with random weights."""
    if config.backbone == "small":
        return small_fpn(fpn_channels=config.fpn_channels, fpn=config.fpn)
    pyramid = resnet_fpn(
        depth=config.resnet_depth,
        style=config.weights_style,
        frozen_norm=config.weights != "none",
        fresh_stages=config.fresh_stages,
        fpn_channels=config.fpn_channels,
        fpn=config.fpn,
    )
    if config.weights != "none":  # fixed random stages would be useless
        freeze_stages(pyramid, config.trainable_stages)
    return pyramid


def roi_pool(size: int) -> MultiScaleRoIAlign:
    """Return RoIAlign over all pyramid levels, with a fixed 2x2 grid of samples per bin."""
    return MultiScaleRoIAlign(featmap_names=LEVELS, output_size=size, sampling_ratio=2)


def build_detector(
    config: ModelConfig, *, num_classes: int, mask_branch: MaskBranch | None = None
) -> Detector:
    """Return a detector with the box head that ``config`` names.

    Args:
        config: the settings.
        num_classes: classes without background.
        mask_branch: None gives Faster R-CNN.
    """
    backbone = build_backbone(config)
    anchors = Float32Anchors(
        tuple((size,) for size in config.anchor_sizes), (ASPECT_RATIOS,) * len(config.anchor_sizes)
    )
    rpn = IgnoringRPN(
        anchors,
        Float32RPNHead(config.fpn_channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2 * config.rpn_proposals, "testing": config.rpn_proposals},
        post_nms_top_n={"training": config.rpn_proposals, "testing": config.rpn_proposals},
        nms_thresh=0.7,
    )
    box_head, box_predictor = box_parts(config, num_classes=num_classes + 1)
    roi_heads = PartiallySupervisedRoIHeads(
        box_roi_pool=roi_pool(POOLED),
        box_head=box_head,
        box_predictor=box_predictor,
        mask_branch=mask_branch,
        rois_per_image=config.rois_per_image,
        score_threshold=config.score_threshold,
        detections_per_image=config.detections_per_image,
        mask_rois=config.mask_rois,
        prior_from=config.prior_from,
    )
    transform = SeededTransform(
        list(config.min_size), config.max_size, list(backbone.image_mean), list(backbone.image_std)
    )
    return Detector(backbone, rpn, roi_heads, transform)

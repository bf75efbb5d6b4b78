"""A detector from its parts: transform, feature pyramid, RPN and RoI heads.

The skeleton is torchvision's ``GeneralizedRCNN``. Methods differ in their mask branch alone and
have a file each: :mod:`lib.models.mask_rcnn`, :mod:`lib.models.opmask`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign

from lib.models.backbones import FeaturePyramid, freeze, lite0_fpn, resnet_fpn
from lib.models.config import ModelConfig
from lib.models.heads import POOLED, box_parts
from lib.models.mask_branch import MaskBranch
from lib.models.roi_heads import PartiallySupervisedRoIHeads
from lib.models.rpn import Float32Anchors, Float32RPNHead, IgnoringRPN
from lib.models.sampling import SeededTransform, resized_boxes
from lib.models.trunk import Seen, look, together

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

    A model with a trunk (see :mod:`lib.models.trunk`) sees each image alone as far as that reaches,
    and an image may be given as what the trunk saw of it.
    """

    backbone: FeaturePyramid
    roi_heads: PartiallySupervisedRoIHeads
    transform: SeededTransform

    def forward(
        self, images: Sequence[Tensor | Seen], targets: list[dict[str, Any]] | None = None
    ) -> Any:
        """Return losses (in training) or detections, as torchvision's detectors do.

        In training torchvision looks at every image's boxes before it begins, and a GPU has to be
        waited for. Here they are taken to have positive sides: sets are checked when opened.
        """
        batch, features, resized = self._features(images, targets)
        proposals, losses = self.rpn(batch, features, resized)
        found, own = self.roi_heads(features, proposals, batch.image_sizes, resized)
        if self.training:
            return {**own, **losses}
        before = [x.before if isinstance(x, Seen) else tuple(x.shape[-2:]) for x in images]
        return self.transform.postprocess(found, batch.image_sizes, before)

    @property
    def has_trunk(self) -> bool:
        """Whether a picture's first maps are always the same: those of frozen weights, one size."""
        return self.backbone.body_fixed and len(self.transform.min_size) == 1

    def look(self, image: Tensor) -> Seen:
        """Return an image ``[3, H, W]`` on any device as the trunk sees it; there must be one."""
        device = self.rpn.head.cls_logits.weight.device
        return look(image.to(device), self.transform, self.backbone)

    def seen(self, images: Sequence[Tensor | Seen]) -> list[Tensor | Seen]:
        """Return images as the trunk sees them; where there is none, as they are."""
        return [self.look(x) if isinstance(x, Tensor) and self.has_trunk else x for x in images]

    def _features(
        self, images: Sequence[Tensor | Seen], instances: list[dict[str, Any]] | None
    ) -> tuple[ImageList, dict[str, Tensor], list[dict[str, Any]] | None]:
        """Return the resized batch, its pyramid, and instances with resized boxes."""
        if not self.has_trunk:
            batch, resized = self.transform(list(images), instances)
            return batch, self.backbone(batch.tensors), resized
        seen = [x for x in self.seen(images) if isinstance(x, Seen)]
        maps, (height, width) = together(seen)
        # what follows asks for the pictures' size and device alone
        blank = next(iter(maps.values())).new_zeros(1).expand(len(seen), 3, height, width)
        resized = instances and [
            {**x, "boxes": resized_boxes(x["boxes"], image.before, image.after)}
            for x, image in zip(instances, seen, strict=True)
        ]
        return ImageList(blank, [x.after for x in seen]), self.backbone.fpn(maps), resized

    @torch.no_grad()
    def masks_on_boxes(
        self, images: Sequence[Tensor | Seen], instances: Sequence[dict[str, Tensor]]
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
        self, images: Sequence[Tensor | Seen], instances: Sequence[dict[str, Tensor]]
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
        self, images: Sequence[Tensor | Seen], instances: Sequence[dict[str, Tensor]]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]], list[tuple[int, int]]]:
        """Return the pyramid, the instances with resized boxes, and the resized images' sizes."""
        batch, features, resized = self._features(images, list(instances))
        assert resized is not None
        return features, resized, batch.image_sizes


def build_backbone(config: ModelConfig) -> FeaturePyramid:
    """Return the feature pyramid that ``config`` names, with random weights."""
    if config.backbone == "lite0":
        pyramid = lite0_fpn(fpn_channels=config.fpn_channels, fpn=config.fpn)
    else:
        pyramid = _resnet(config)
    if config.weights != "none":  # fixed random stages would be useless
        freeze(pyramid, trainable=config.trainable_stages, fpn="fpn" in config.frozen_parts)
    return pyramid


def _resnet(config: ModelConfig) -> FeaturePyramid:
    return resnet_fpn(
        depth=config.resnet_depth,
        style=config.weights_style,
        frozen_norm=config.weights != "none",
        fresh_stages=config.fresh_stages,
        fpn_channels=config.fpn_channels,
        fpn=config.fpn,
    )


def roi_pool(config: ModelConfig, size: int) -> MultiScaleRoIAlign:
    """Return RoIAlign over all pyramid levels, with a fixed 2x2 grid of samples per bin."""
    levels = [str(level) for level in range(len(config.anchor_sizes) - 1)]
    return MultiScaleRoIAlign(featmap_names=levels, output_size=size, sampling_ratio=2)


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
    if "rpn" in config.frozen_parts:
        rpn.requires_grad_(False)
    box_head, box_predictor = box_parts(config, num_classes=num_classes + 1)
    roi_heads = PartiallySupervisedRoIHeads(
        box_roi_pool=roi_pool(config, POOLED),
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

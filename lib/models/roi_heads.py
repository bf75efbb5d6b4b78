"""RoI heads for partial supervision: every instance has a box, some have a mask.

torchvision's RoI heads sample proposals and compute the box losses; what is added is a mask branch
that accepts instances without masks, sees the box head's feature maps (the prior of paper B needs
them), and at test knows which proposal each detection came from.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image

from lib.models.config import MaskRois, PriorFrom
from lib.models.losses import box_losses
from lib.models.mask_branch import MaskBranch, partial_mask_loss
from lib.models.prior import class_activation_maps
from lib.models.processes import whole_counts
from lib.models.sampling import SampledRois, sampled_rows, seeds_of
from lib.models.selection import select_detections


class PartiallySupervisedRoIHeads(RoIHeads):
    """torchvision's RoI heads with a mask branch for instances that may lack masks.

    In training, targets hold ``boxes``, ``labels``, and, for a mask branch, masks (see
    :func:`lib.models.mask_branch.partial_mask_loss`). Proposals whose best match, from an IoU of
    one half, is an object labelled -1 are not sampled: torchvision's sampler takes labels from 0 on
    (see :mod:`lib.models.rpn` for the anchors). At test, each result holds ``boxes`` ``[D, 4]``,
    ``labels``, ``scores`` and, with a mask branch, ``mask_probs`` ``[D, S, S]``, the mask within
    the box; with ``return_cams`` also ``cams`` ``[D, h, w]``, the raw class activation map of its
    class in single precision, from the box head's map that a prior has.

    Args:
        box_roi_pool: RoIAlign of the box head.
        box_head: RoI features to a map ``[R, C, h, w]``, or, where no prior asks for maps, to
            vectors ``[R, C]``.
        box_predictor: its output to class logits and box deltas; has ``cls_score``.
        mask_branch: None for a detector.
        rois_per_image: RoIs sampled per image in training; a quarter of them foreground.
        score_threshold: at test, only higher scores count.
        detections_per_image: at test, at most this many are kept.
        mask_rois: the RoIs that train the mask branch, the sampled ``proposals`` or ``gt_boxes``.
        prior_from: at test, the box head's map of a detection is that of its ``proposal``, or of
            the ``refined`` box, pooled again. May be changed at any time, as ``return_cams``.
    """

    def __init__(
        self,
        *,
        box_roi_pool: MultiScaleRoIAlign,
        box_head: nn.Module,
        box_predictor: nn.Module,
        mask_branch: MaskBranch | None,
        rois_per_image: int,
        score_threshold: float,
        detections_per_image: int,
        mask_rois: MaskRois = "proposals",
        prior_from: PriorFrom = "proposal",
    ) -> None:
        super().__init__(
            box_roi_pool,
            box_head,
            box_predictor,
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=rois_per_image,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=score_threshold,
            nms_thresh=0.5,
            detections_per_img=detections_per_image,
        )
        self.mask_branch = mask_branch
        self.mask_rois: MaskRois = mask_rois
        self.prior_from: PriorFrom = prior_from
        self.return_cams = False

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return detections (at test) and losses (in training), as torchvision's RoI heads do."""
        if self.training:
            if targets is None:
                raise ValueError("Training needs targets: one dict of boxes and labels per image.")
            return [], self._losses(features, proposals, image_shapes, targets)
        return self._detections(features, proposals, image_shapes), {}

    def sample_rois(
        self, proposals: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]
    ) -> SampledRois:
        """Draw the RoIs that train the box head, as torchvision's `select_training_samples` does.

        What is drawn of an image depends on its own seed.

        Args:
            proposals: per image ``[P, 4]`` xyxy, in pixels of the resized image.
            targets: per image ``boxes`` ``[N, 4]``, likewise, and ``labels`` ``[N]``.
        """
        objects = [target["boxes"].to(proposals[0].dtype) for target in targets]
        candidates = self.add_gt_proposals(list(proposals), objects)
        known = [target["labels"] for target in targets]
        instances, classes = self.assign_targets_to_proposals(candidates, objects, known)
        rows, foreground = sampled_rows(
            classes,
            count=self.fg_bg_sampler.batch_size_per_image,
            positive_fraction=self.fg_bg_sampler.positive_fraction,
            seeds=seeds_of(targets, "rois"),
        )
        boxes, matched, labels = (
            [values[row] for values, row in zip(of_candidates, rows, strict=True)]
            for of_candidates in (candidates, instances, classes)
        )
        wanted = [
            of_image[m] if len(of_image) else of_image.new_zeros(len(m), 4)
            for of_image, m in zip(objects, matched, strict=True)
        ]
        regression = self.box_coder.encode(wanted, boxes)
        return SampledRois(boxes, matched, labels, list(regression), foreground)

    def _losses(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Return the losses of a training batch.

        Several processes decide alike which heads run, by what all of them have to show: one
        without an RoI runs them too, on nothing. So every weight takes part in every step of every
        process, with a gradient of 0 if need be, and batch statistics over all can be taken.
        """
        rois = self.sample_rois(proposals, targets)
        objects = [] if self.mask_branch is None else self._objects(rois, targets)
        local = [sum(map(len, rois.boxes)), sum(len(o["boxes"]) for o in objects)]
        count, with_object = whole_counts(local, features["0"].device)
        if count == 0:  # every proposal matches an object that is to be ignored
            names = ["loss_classifier", "loss_box_reg"]
            return dict.fromkeys(
                names if self.mask_branch is None else [*names, "loss_mask"], _zero(self)
            )
        pooled = self.box_roi_pool(features, rois.boxes, image_shapes)
        sampled = len(pooled)
        if self._has_prior and self.mask_rois == "gt_boxes":
            # one pass of the box head, since batch statistics of true boxes alone would be others
            true_boxes = [o["boxes"] for o in objects]
            pooled = torch.cat([pooled, self.box_roi_pool(features, true_boxes, image_shapes)])
        maps = self.box_head(pooled)
        logits, deltas = self.box_predictor(maps[:sampled])
        class_loss, box_loss = box_losses(logits, deltas, rois.labels, rois.regression, count=count)
        losses = {"loss_classifier": class_loss, "loss_box_reg": box_loss}
        if self.mask_branch is None:
            return losses
        if with_object == 0:
            return losses | {"loss_mask": _zero(self.mask_branch)}
        if self._has_prior:
            maps = maps[sampled:] if self.mask_rois == "gt_boxes" else rois.of_foreground(maps)
        mask_logits = self._mask_logits(features, objects, maps, image_shapes)
        boxes, instances = [o["boxes"] for o in objects], [o["matched"] for o in objects]
        mask_loss = partial_mask_loss(mask_logits, boxes, instances, targets, image_shapes)
        return losses | {"loss_mask": mask_loss}

    def _objects(
        self,
        rois: SampledRois,
        targets: Sequence[dict[str, Tensor]],
    ) -> list[dict[str, Tensor]]:
        """Return the RoIs that train the mask branch: ``boxes``, ``labels``, ``matched``.

        They are the foreground of the sampled ones, or the objects' own boxes.
        """
        if self.mask_rois == "gt_boxes":
            known = [torch.where(target["labels"] > 0)[0] for target in targets]
            return [
                {"boxes": target["boxes"][rows], "labels": target["labels"][rows], "matched": rows}
                for target, rows in zip(targets, known, strict=True)
            ]
        return [
            {"boxes": box[:count], "labels": label[:count], "matched": instance[:count]}
            for box, instance, label, _, count in zip(*rois, strict=True)
        ]

    @property
    def _has_prior(self) -> bool:
        return self.mask_branch is not None and self.mask_branch.prior is not None

    def _mask_logits(
        self,
        features: dict[str, Tensor],
        rois: Sequence[dict[str, Tensor]],
        box_maps: Tensor,
        image_shapes: Sequence[tuple[int, int]],
    ) -> Tensor:
        assert self.mask_branch is not None
        return self.mask_branch(
            features,
            [r["boxes"] for r in rois],
            image_shapes,
            labels=torch.cat([r["labels"] for r in rois]),
            box_maps=box_maps,
            class_weights=self.box_predictor.cls_score.weight,
        )

    def _detections(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        maps = self._box_maps(features, proposals, image_shapes)
        class_logits, deltas = self.box_predictor(maps)
        counts = [len(p) for p in proposals]
        boxes = self.box_coder.decode(deltas.float(), proposals).split(counts)
        scores = class_logits.float().softmax(-1).split(counts)
        results, kept_maps = [], []
        for image_boxes, image_scores, image_maps, shape in zip(
            boxes, scores, maps.split(counts), image_shapes, strict=True
        ):
            clipped = clip_boxes_to_image(image_boxes, shape)
            rows, labels = select_detections(
                clipped,
                image_scores,
                score_threshold=self.score_thresh,
                nms_threshold=self.nms_thresh,
                limit=self.detections_per_img,
            )
            results.append(
                {
                    "boxes": clipped[rows, labels],
                    "labels": labels,
                    "scores": image_scores[rows, labels],
                }
            )
            kept_maps.append(image_maps[rows])
        if self.prior_from == "refined" and (self._has_prior or self.return_cams):
            box_maps = self._box_maps(features, [r["boxes"] for r in results], image_shapes)
        else:
            box_maps = torch.cat(kept_maps)
        if self.return_cams:
            for result, cams in zip(results, self._cams(results, box_maps), strict=True):
                result["cams"] = cams
        if self.mask_branch is not None:
            masks = self._masks(features, results, box_maps, image_shapes)
            for result, probabilities in zip(results, masks, strict=True):
                result["mask_probs"] = probabilities
        return results

    def _box_maps(
        self,
        features: dict[str, Tensor],
        boxes: Sequence[Tensor],
        image_shapes: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Return the box head's output ``[R, ...]`` for the boxes of all images, in order."""
        return self.box_head(self.box_roi_pool(features, list(boxes), list(image_shapes)))

    def _cams(self, instances: Sequence[dict[str, Tensor]], box_maps: Tensor) -> list[Tensor]:
        """Return raw class activation maps ``[N, h, w]`` per image, of each instance's class."""
        if box_maps.dim() != 4:
            raise ValueError(
                "Class activation maps need a convolutional box head; this model's gives vectors. "
                "Use a model with box_head 'conv'."
            )
        labels = torch.cat([i["labels"] for i in instances])
        cams = class_activation_maps(box_maps, self.box_predictor.cls_score.weight, labels)
        return list(cams[:, 0].split([len(i["labels"]) for i in instances]))

    def _masks(
        self,
        features: dict[str, Tensor],
        instances: Sequence[dict[str, Tensor]],
        box_maps: Tensor,
        image_shapes: Sequence[tuple[int, int]],
    ) -> list[Tensor]:
        """Return mask probabilities ``[N, S, S]`` per image, for given boxes and labels."""
        assert self.mask_branch is not None
        counts = [len(i["boxes"]) for i in instances]
        if sum(counts) == 0:
            side = 2 * self.mask_branch.roi_pool.output_size[0]
            return [box_maps.new_zeros((0, side, side)) for _ in counts]
        logits = self._mask_logits(features, instances, box_maps, image_shapes)
        return list(logits.float().sigmoid().split(counts))

    def masks_of(
        self,
        features: dict[str, Tensor],
        instances: Sequence[dict[str, Tensor]],
        image_shapes: Sequence[tuple[int, int]],
    ) -> list[Tensor]:
        """Return mask probabilities ``[N, S, S]`` per image for given ``boxes`` and ``labels``.

        With ground-truth boxes this measures masks apart from detection. The box head's maps are
        taken from the same boxes.
        """
        maps = self._box_maps(features, [i["boxes"] for i in instances], image_shapes)
        return self._masks(features, instances, maps, image_shapes)

    def cams_of(
        self,
        features: dict[str, Tensor],
        instances: Sequence[dict[str, Tensor]],
        image_shapes: Sequence[tuple[int, int]],
    ) -> list[Tensor]:
        """Return raw class activation maps ``[N, h, w]`` per image for ``boxes`` and ``labels``.

        Raises:
            ValueError: if the box head keeps no map.
        """
        maps = self._box_maps(features, [i["boxes"] for i in instances], image_shapes)
        return self._cams(instances, maps)


def _zero(module: nn.Module) -> Tensor:
    """Return 0, with a gradient of 0 for every weight of a module."""
    return torch.stack([p.sum() for p in module.parameters()]).sum() * 0

"""The settings of a model: which method, which backbone, and how large its parts are."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal["faster_rcnn", "mask_rcnn", "opmask"]
Norm = Literal["bn", "syncbn", "gn", "none"]
FpnKind = Literal["plain", "control", "direct", "backbone", "bottom_up", "dense", "lateral"]
PriorNorm = Literal["min_max", "relu_max", "sigmoid", "none"]
PriorFusion = Literal["add", "concat", "multiply"]
PriorWeights = Literal["detached", "attached"]
PriorFrom = Literal["proposal", "refined"]
MaskRois = Literal["proposals", "gt_boxes"]
Positive = Annotated[int, Field(gt=0)]

STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4")
"""Of a backbone, from the bottom; the stem counts as one."""

PRIOR_SWITCHES = (
    "prior_norm", "prior_scale", "prior_fusion", "prior_weights", "prior_gradient", "prior_from",
)  # fmt: skip
"""Fields that only ``opmask`` knows. Their defaults are what the official code does."""


class ModelConfig(BaseModel):
    """Everything that a model's shape and behaviour depend on, besides its classes.

    The defaults are those of paper B (Sec. 3 and 4.1) and, for what it leaves out, of its official
    code (github.com/dbtmpl/OPMask), except that no pre-trained weights are asked for; profiles for
    a CPU shrink them.

    Attributes:
        method: ``faster_rcnn`` (boxes only), ``mask_rcnn`` (paper B's "Our Mask R-CNN": class
            agnostic, same heads as OPMask, no prior) or ``opmask``.
        backbone: ``lite0`` (EfficientNet-Lite0, whose weights come with a package), ``resnet50`` or
            ``resnet101``, each with an FPN.
        weights: ``none``, ``imagenet`` (torchvision's, downloaded; those of ``lite0`` are here) or
            the path of a state dict.
        weights_style: what the weights file expects; see :mod:`lib.models.backbones`.
        fresh_stages: stages of the ResNet that the weights file lacks: they start random, and
            their norm layers learn.
        trainable_stages: how many of a pre-trained backbone's five stages learn, from the top.
            Where none does, its maps of a picture are always the same and can be kept (see
            :mod:`lib.models.trunk`).
        frozen_parts: what else does not learn: ``fpn``, ``rpn``. A model that starts from a trained
            detector may leave them as they are.
        fpn: ``plain``, or which Enhanced-FPN (paper A, Sec. 2.3); see
            :mod:`lib.models.enhanced_fpn`.
        fpn_channels: channels of every pyramid level.
        box_head: ``conv``, convolutions and global average pooling (paper B, Sec. 3.1), or ``fc``,
            two fully connected layers, as Mask R-CNN with an FPN has them (paper A).
        box_channels: output channels of the convolutions of ``conv`` (paper B, Sec. 3.1: four).
        fc_channels: output channels of both layers of ``fc``.
        predictor_std: standard deviation of the initial classification weights; those of the box
            deltas are a tenth of it. The paper's code has 0.01.
        mask_channels: channels of the mask head.
        mask_layers: convolutions of the mask head (paper B, Sec. 3.2: seven).
        mask_per_class: predict a mask for each class, as Mask R-CNN does, instead of one for all.
        norm: normalisation in the convolutions of both heads, ``bn`` (batch norm over the RoIs of
            one process), ``syncbn`` (over those of all processes, as the official code has; in one
            process the same as ``bn``), ``gn`` (group normalisation) or ``none``. In the backbone
            and the pyramid, batch norm that learns is always over all processes.
        mask_rois: the RoIs that train the mask branch: ``proposals`` (the sampled ones that match
            an object, as Mask R-CNN does) or ``gt_boxes`` (the objects' own boxes alone, as
            Birodkar et al., ICCV 2021, found to generalise better). At test it changes nothing.
            With ``opmask`` the true boxes pass the box head too, for their maps, and so take part
            in its batch statistics.
        prior_norm: how ``opmask`` scales each RoI's class activation map; see
            :func:`lib.models.prior.normalise`.
        prior_scale: what the scaled map is multiplied by before it enters. The paper adds it as it
            is, whatever the size of the mask features.
        prior_fusion: how it enters the mask features: ``add`` (paper B, Eq. 2), ``concat`` (one
            more channel) or ``multiply``.
        prior_weights: ``detached``: mask gradients do not reach the classification weights
            through the map (the official code); ``attached``: they do.
        prior_gradient: False: no mask gradient passes the map at all, so that the prior is a
            vanilla class activation map (paper B, Sec. 4.4).
        prior_from: the box whose map is the prior at test: the ``proposal`` that a detection came
            from (the official code; the mask features are those of the refined box, so the two
            are apart by the box regression) or the ``refined`` box. In training they are one box.
        anchor_sizes: anchor side per pyramid level, in pixels of the resized image: five, of
            ``lite0`` four.
        min_size: shorter side after resizing, in pixels; one is drawn per training image, the last
            one is used at test.
        max_size: limit of the longer side after resizing, in pixels.
        rpn_proposals: proposals kept per image after NMS, in training and at test.
        rois_per_image: RoIs sampled per training image; a quarter of them foreground.
        score_threshold: detections below this score are dropped.
        detections_per_image: at most this many detections are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method
    backbone: Literal["lite0", "resnet50", "resnet101"] = "resnet50"
    weights: str = "none"
    weights_style: Literal["torchvision", "caffe"] = "torchvision"
    fresh_stages: tuple[Literal["layer1", "layer2", "layer3", "layer4"], ...] = ()
    trainable_stages: Annotated[int, Field(ge=0, le=5)] = 3
    frozen_parts: tuple[Literal["fpn", "rpn"], ...] = ()
    fpn: FpnKind = "plain"
    fpn_channels: Positive = 256
    box_head: Literal["conv", "fc"] = "conv"
    box_channels: tuple[Positive, ...] = (512, 1024, 1024, 1024)
    fc_channels: Positive = 1024
    predictor_std: Annotated[float, Field(gt=0)] = 0.01
    mask_channels: Positive = 256
    mask_layers: Positive = 7
    mask_per_class: bool = False
    norm: Norm = "bn"
    mask_rois: MaskRois = "proposals"
    prior_norm: PriorNorm = "min_max"
    prior_scale: Annotated[float, Field(gt=0)] = 1.0
    prior_fusion: PriorFusion = "add"
    prior_weights: PriorWeights = "detached"
    prior_gradient: bool = True
    prior_from: PriorFrom = "proposal"
    anchor_sizes: tuple[Positive, ...] = (32, 64, 128, 256, 512)
    min_size: tuple[Positive, ...] = (640, 672, 704, 736, 768, 800)
    max_size: Positive = 1333
    rpn_proposals: Positive = 1000
    rois_per_image: Positive = 512
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05
    detections_per_image: Positive = 100

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        """Refuse what contradicts itself, or would have no effect."""
        fields, opmask = type(self).model_fields, self.method == "opmask"
        switches = [n for n in PRIOR_SWITCHES if getattr(self, n) != fields[n].default]
        if not self.box_channels or not self.min_size:
            raise ValueError("box_channels and min_size need at least one number each.")
        if self.backbone == "lite0" and (self.weights != "imagenet" or self.fresh_stages):
            raise ValueError(
                "lite0 has weights of its own, of all stages: set weights to 'imagenet' and leave "
                "fresh_stages empty."
            )
        levels = 4 if self.backbone == "lite0" else 5
        if len(self.anchor_sizes) != levels:
            raise ValueError(
                f"{self.backbone} has {levels} pyramid levels, so anchor_sizes needs {levels} "
                f"numbers; found {len(self.anchor_sizes)}."
            )
        learns = self.learning_stages
        if "fpn" in self.frozen_parts and (learns or self.fpn != "plain"):
            raise ValueError(
                "A frozen fpn needs a body of which nothing learns (trainable_stages 0, and "
                f"weights) and a plain FPN; found {learns} stages that learn and {self.fpn!r}."
            )
        if max(self.min_size) > self.max_size:
            raise ValueError(
                f"min_size is {max(self.min_size)} but max_size only {self.max_size}; "
                "the shorter side cannot exceed the limit of the longer one."
            )
        if opmask and (self.box_head != "conv" or self.mask_per_class):
            raise ValueError(
                "opmask needs box_head 'conv', whose map its prior is, and mask_per_class false: "
                "it is class agnostic, so that masks of some classes serve all."
            )
        if not self.prior_gradient and self.prior_weights == "attached":
            raise ValueError(
                "prior_weights 'attached' has no effect when prior_gradient is false, which keeps "
                "all mask gradients out of the map: change one of the two."
            )
        if switches and not opmask:
            raise ValueError(
                f"{', '.join(switches)}: {self.method} has no prior that this could switch. Leave "
                "it out, or set method to 'opmask'."
            )
        if not self.has_masks and self.mask_rois != "proposals":
            raise ValueError(
                f"mask_rois is {self.mask_rois!r}, but {self.method} has no mask branch to train: "
                "leave it out, or choose a method with masks."
            )
        return self

    @property
    def learning_stages(self) -> int:
        """How many of the backbone's stages learn, from the top; random ones all do."""
        return self.trainable_stages if self.weights != "none" else len(STAGES)

    @property
    def resnet_depth(self) -> Literal[50, 101]:
        """Layers of the ResNet; of no meaning for ``lite0``."""
        return 101 if self.backbone == "resnet101" else 50

    @property
    def has_masks(self) -> bool:
        """Whether the method predicts masks."""
        return self.method != "faster_rcnn"

"""Box and mask heads: those of paper B (Sec. 3.1 and 3.2, sizes and initialisation as its official
code), and those of Mask R-CNN (He et al., 2017), which paper A builds on (Sec. 2.1).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops.misc import Conv2dNormActivation

from lib.models.batch_norm import SharedBatchNorm
from lib.models.config import ModelConfig, Norm

POOLED = 7
"""Side of the box head's RoI features."""


def norm_layer(norm: Norm) -> Callable[[int], nn.Module] | None:
    """Return the constructor of a normalisation layer from its channel count.

    None for ``none``: convolutions then have a bias.
    """
    if norm == "none":
        return None
    if norm == "syncbn":
        return SharedBatchNorm
    if norm == "gn":
        return lambda channels: nn.GroupNorm(min(32, channels // 2), channels)
    return nn.BatchNorm2d


class ConvBoxHead(nn.Sequential):
    """A stack of 3x3 convolutions with normalisation that keeps its map ``[R, C, h, w]``.

    Args:
        in_channels: channels of the RoI features.
        channels: output channels of each convolution.
        norm: the normalisation.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], *, norm: Norm) -> None:
        widths = [in_channels, *channels]
        super().__init__(
            *(
                Conv2dNormActivation(before, after, 3, norm_layer=norm_layer(norm))
                for before, after in pairwise(widths)
            )
        )
        self.out_channels = widths[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class BoxPredictor(FastRCNNPredictor):
    """One linear layer for classes and one for class-specific boxes, on vectors ``[R, C]``.

    Args:
        in_channels: channels of the features.
        num_classes: classes with background.
        std: standard deviation of the initial classification weights; a tenth of it for boxes.
    """

    def __init__(self, in_channels: int, num_classes: int, *, std: float) -> None:
        super().__init__(in_channels, num_classes)
        nn.init.normal_(self.cls_score.weight, std=std)
        nn.init.normal_(self.bbox_pred.weight, std=std / 10)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)


class PooledBoxPredictor(BoxPredictor):
    """The same on maps ``[R, C, h, w]``, after global average pooling.

    Pooling makes ``cls_score.weight`` a 1x1 convolution on the map, which is what class activation
    maps need.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[R, C, h, w]`` to class logits ``[R, K + 1]`` and box deltas ``[R, 4 (K + 1)]``."""
        return super().forward(x.mean((2, 3)))


def box_parts(config: ModelConfig, *, num_classes: int) -> tuple[nn.Module, BoxPredictor]:
    """Return the box head that ``config`` names, and its predictor.

    The head maps RoI features ``[R, fpn_channels, 7, 7]`` to what the predictor takes: a map
    ``[R, C, 7, 7]`` (``conv``) or a vector ``[R, C]`` (``fc``).

    Args:
        config: the settings.
        num_classes: classes with background.
    """
    std = config.predictor_std
    if config.box_head == "fc":
        return (
            TwoMLPHead(config.fpn_channels * POOLED**2, config.fc_channels),
            BoxPredictor(config.fc_channels, num_classes, std=std),
        )
    head = ConvBoxHead(config.fpn_channels, config.box_channels, norm=config.norm)
    return head, PooledBoxPredictor(head.out_channels, num_classes, std=std)


def mask_parts(config: ModelConfig, *, outputs: int) -> tuple[nn.Module, MaskRCNNPredictor]:
    """Return a mask head: convolutions, and the predictor that doubles the size.

    Together they map ``[R, fpn_channels, H, W]`` to logits ``[R, outputs, 2 H, 2 W]``; with a
    prior that is concatenated, their input has one channel more. All biases start at zero, as in
    paper B's official code (``mask_head.py``, on detectron2: ``c2_msra_fill`` for convolutions and
    deconvolution, a constant 0 for the last layer); torchvision leaves its predictor's at random.
    The last layer of a class-agnostic head starts near zero (standard deviation 0.001), without
    which it can diverge.

    Args:
        config: the settings.
        outputs: masks per RoI: 1, or one for each class (background not counted).
    """
    head = MaskRCNNHeads(
        config.fpn_channels + (config.prior_fusion == "concat"),
        [config.mask_channels] * config.mask_layers,
        1,
        norm_layer=norm_layer(config.norm),
    )
    predictor = MaskRCNNPredictor(config.mask_channels, config.mask_channels, outputs)
    for name, parameter in predictor.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    if not config.mask_per_class:
        nn.init.normal_(predictor.mask_fcn_logits.weight, std=0.001)
    return head, predictor

"""Box and mask heads (paper B, Sec. 3.1 and 3.2; sizes and initialisation as its official code)."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops.misc import Conv2dNormActivation

from lib.models.config import Norm


def norm_layer(norm: Norm) -> Callable[[int], nn.Module]:
    """Return the constructor of a normalisation layer from its channel count."""
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


class PooledBoxPredictor(FastRCNNPredictor):
    """Global average pooling, then one linear layer for classes and one for class-specific boxes.

    Pooling makes ``cls_score.weight`` a 1x1 convolution on the map, which is what class activation
    maps need.

    Args:
        in_channels: channels of the map.
        num_classes: classes with background.
        std: standard deviation of the initial classification weights; a tenth of it for boxes.
    """

    def __init__(self, in_channels: int, num_classes: int, *, std: float) -> None:
        super().__init__(in_channels, num_classes)
        nn.init.normal_(self.cls_score.weight, std=std)
        nn.init.normal_(self.bbox_pred.weight, std=std / 10)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[R, C, h, w]`` to class logits ``[R, K + 1]`` and box deltas ``[R, 4 (K + 1)]``."""
        return super().forward(x.mean((2, 3)))


def agnostic_mask_head(
    in_channels: int, *, channels: int, layers: int, norm: Norm
) -> tuple[nn.Module, nn.Module]:
    """Return a class-agnostic mask head: convolutions, and the predictor that doubles the size.

    Together they map ``[R, in_channels, H, W]`` to logits ``[R, 1, 2 H, 2 W]``. The last layer
    starts near zero (standard deviation 0.001), without which a class-agnostic head can diverge.
    """
    head = MaskRCNNHeads(in_channels, [channels] * layers, 1, norm_layer=norm_layer(norm))
    predictor = MaskRCNNPredictor(channels, channels, 1)
    nn.init.normal_(predictor.mask_fcn_logits.weight, std=0.001)
    return head, predictor

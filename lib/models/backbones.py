"""Feature pyramids: of EfficientNet-Lite0, and of ResNet-50 and -101.

They take RGB images normalised with their own ``image_mean`` and ``image_std``. A ResNet's maps are
"0" to "3", strides 4 to 32, and "pool", stride 64; Lite0's "0" to "2", strides 8 to 32, and
"pool". Batch norm that learns takes the whole batch, also where several processes share it.

Weights of the Caffe / Detectron family expect BGR images in 0..255 and have the stride of a stage
on its first 1x1 convolution. Both are settled when the weights are loaded (the input channels of
``conv1`` are reversed, mean and scale are expressed for RGB in 0..1), so that nothing else in the
study needs to know.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d

from lib.models import lite0
from lib.models.batch_norm import FixedBatchNorm, SharedBatchNorm
from lib.models.config import STAGES, FpnKind
from lib.models.enhanced_fpn import extra_block
from lib.models.weights import read_tensors
from lib.paths import find_data

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (123.152 / 255, 115.902 / 255, 103.063 / 255)
CAFFE_STD = (1 / 255, 1 / 255, 1 / 255)
RETURN_LAYERS = {"layer1": "0", "layer2": "1", "layer3": "2", "layer4": "3"}


class FeaturePyramid(BackboneWithFPN):
    """torchvision's backbone with FPN, with the normalisation that its input needs.

    What is frozen keeps its weights and the statistics of its batch norm.
    """

    image_mean: tuple[float, float, float] = IMAGENET_MEAN
    image_std: tuple[float, float, float] = IMAGENET_STD
    body_fixed: bool = False
    fpn_fixed: bool = False

    def train(self, mode: bool = True) -> "FeaturePyramid":
        """Set the training mode of all that learns."""
        super().train(mode)
        self.body.train(mode and not self.body_fixed)
        self.fpn.train(mode and not self.fpn_fixed)
        return self


def lite0_fpn(*, fpn_channels: int = 96, fpn: FpnKind = "plain") -> FeaturePyramid:
    """Return EfficientNet-Lite0 with an FPN on its maps of stride 8 to 32, with random weights.

    Its stride of 4 is left out: it would cost as much as the rest of the pyramid. The network's
    maps have a standard deviation of 3 to 7, beside which a prior between 0 and 1 would be lost
    (paper B, Eq. 2); so the pyramid is normalised.
    """
    channels = lite0.Lite0.channels[1:]
    pyramid = FeaturePyramid(
        lite0.Lite0(),
        return_layers={f"layer{n}": str(n - 2) for n in (2, 3, 4)},
        in_channels_list=list(channels),
        out_channels=fpn_channels,
        extra_blocks=extra_block(
            fpn, fpn_channels, bottom_channels=channels[0], levels=len(channels)
        ),
        norm_layer=SharedBatchNorm,
    )
    pyramid.image_mean, pyramid.image_std = lite0.MEAN, lite0.STD
    return pyramid


def resnet_fpn(
    *,
    depth: Literal[50, 101],
    style: Literal["torchvision", "caffe"] = "torchvision",
    frozen_norm: bool = True,
    fresh_stages: Sequence[str] = (),
    fpn_channels: int = 256,
    fpn: FpnKind = "plain",
) -> FeaturePyramid:
    """Return ResNet-50 or -101 with an FPN (Lin et al., 2017), with random weights.

    Args:
        depth: 50 or 101.
        style: ``torchvision`` or ``caffe``, see the module's docstring.
        frozen_norm: fix the statistics of batch norm, as detectors on pre-trained weights do: those
            of a few large images are too noisy. Without pre-trained weights they must be learnt.
        fresh_stages: stages that no weights will fill, such as ``layer4``: their batch norm learns
            all the same, since fixed statistics fit random weights badly.
        fpn_channels: channels of every level, the fifth of which is max-pooled.
        fpn: plain, or which Enhanced-FPN.
    """
    norm: Callable[..., nn.Module] = FixedBatchNorm if frozen_norm else SharedBatchNorm
    body = get_model(f"resnet{depth}", weights=None, norm_layer=norm)
    for name in fresh_stages:
        learn_norm(getattr(body, name))
    if style == "caffe":
        for stage in (body.layer2, body.layer3, body.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    stages = [256, 512, 1024, 2048]
    pyramid = FeaturePyramid(
        body,
        return_layers=RETURN_LAYERS,
        in_channels_list=stages,
        out_channels=fpn_channels,
        extra_blocks=extra_block(fpn, fpn_channels, bottom_channels=stages[0]),
    )
    if style == "caffe":
        pyramid.image_mean, pyramid.image_std = CAFFE_MEAN, CAFFE_STD
    return pyramid


def learn_norm(module: nn.Module) -> None:
    """Replace every fixed batch norm within ``module`` by one that learns."""
    for name, child in module.named_children():
        if isinstance(child, FrozenBatchNorm2d):
            setattr(module, name, SharedBatchNorm(len(child.weight)))
        else:
            learn_norm(child)


def load_weights(
    pyramid: FeaturePyramid,
    *,
    weights: str,
    style: Literal["torchvision", "caffe"],
    depth: int,
    fresh_stages: Sequence[str] = (),
) -> None:
    """Fill a ResNet's stages with pre-trained weights.

    Args:
        pyramid: from :func:`resnet_fpn`.
        weights: ``imagenet`` (torchvision's first ImageNet weights, downloaded where no data
            folder has them) or the path of a state dict with torchvision's names.
        style: what the file's network expects.
        depth: 50 or 101, for the download.
        fresh_stages: stages that the file may lack; they stay random.

    Raises:
        FileNotFoundError: if the weights file does not exist.
        ValueError: if the file is not a state dict of this network.
        ConnectionError: if torchvision's weights are not here and cannot be downloaded.
    """
    where = weights
    if weights == "imagenet":
        state = _published(depth)
    else:
        path = find_data(weights)
        where = str(path)
        state = {name: tensor.float() for name, tensor in read_tensors(path).items()}
    own = pyramid.body.state_dict()
    wrong = [name for name, t in state.items() if name in own and own[name].shape != t.shape]
    if "conv1.weight" not in state or wrong:
        raise ValueError(
            f"{where} does not fit the backbone: expected its names and shapes "
            f"({', '.join(list(own)[:2])}, ...), found {(wrong or list(state))[:3]}."
        )
    lacking = {
        name.split(".")[0]
        for name, module in pyramid.body.named_modules()
        if isinstance(module, nn.Conv2d) and f"{name}.weight" not in state
    }
    if not lacking <= set(fresh_stages):
        raise ValueError(
            f"{where} lacks weights of {', '.join(sorted(lacking))}. If they are to start random, "
            f"name them in model.fresh_stages (now {', '.join(fresh_stages) or 'empty'})."
        )
    state = {name: t for name, t in state.items() if not name.startswith(tuple(fresh_stages))}
    if style == "caffe":
        state["conv1.weight"] = state["conv1.weight"].flip(1)
    pyramid.body.load_state_dict(state, strict=False)


def freeze(pyramid: FeaturePyramid, *, trainable: int, fpn: bool = False) -> None:
    """Fix all but the ``trainable`` last of the five stages (the stem counts as one).

    Args:
        pyramid: with pre-trained weights.
        trainable: number of stages.
        fpn: fix the FPN too, which needs a body of which nothing learns.
    """
    fixed = STAGES[: len(STAGES) - trainable]
    for name, parameter in pyramid.body.named_parameters():
        if name.startswith(fixed):
            parameter.requires_grad_(False)
    pyramid.body_fixed = not trainable
    if fpn:
        pyramid.fpn.requires_grad_(False)
        pyramid.fpn_fixed = True
    pyramid.train(pyramid.training)


def _published(depth: int) -> dict[str, Tensor]:
    """Return torchvision's weights: from a data folder, its own cache, or where it publishes them.

    Raises:
        ConnectionError: if they are in neither and cannot be downloaded.
        ValueError: if the file in the data folder is damaged.
    """
    published = get_model_weights(f"resnet{depth}").IMAGENET1K_V1
    kept = f"weights/{published.url.rsplit('/', 1)[-1]}"
    with suppress(FileNotFoundError):
        return read_tensors(find_data(kept))
    try:
        return published.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise ConnectionError(
            f"The ImageNet weights could not be fetched from {published.url} ({error}). Fetch them "
            "where there is a connection, with python -m lib.data.download weights, and put the "
            f"file in a data folder as {kept}; or name another file as model.weights."
        ) from error

"""The object mask prior (OMP) of paper B, Sec. 3.1 and 3.2: class activation maps as a mask prior.

The box head ends in global average pooling and one linear layer. Applying that layer's weights to
the map before pooling gives, for each class, where the evidence for it lies (Zhou et al., 2016).
The map of the RoI's class, scaled to [0, 1] and resized, is added to every channel of the mask
features.

The paper does not mention two things that its official code does, and that are the defaults here:
the classification weights are detached (mask gradients reach the box head's features, not the
classifier), and the map is min-max normalised for each RoI. Unlike there, a constant map gives 0.
The other ways are the switches of :class:`ObjectMaskPrior`.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lib.models.config import PriorFusion, PriorNorm, PriorWeights

FLAT = 1e-6
"""Maps (of logits) with a smaller range than this are treated as constant."""


def class_activation_maps(features: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    """Return each RoI's class activation map for one class (paper B, Eq. 1, without the bias).

    Args:
        features: ``[R, C, h, w]``, the box head's last map, before pooling.
        weights: ``[K + 1, C]``, the classification weights; row 0 is background.
        labels: ``[R]`` int64 in 0..K, the class whose map is wanted.

    Returns:
        ``[R, 1, h, w]`` in single precision, also under autocast; its mean over h and w plus the
        bias is the class's logit.
    """
    with torch.autocast(features.device.type, enabled=False):
        chosen = weights.float()[labels]
        return torch.einsum("rchw,rc->rhw", features.float(), chosen)[:, None]


def min_max(maps: Tensor) -> Tensor:
    """Scale each map ``[..., h, w]`` linearly to [0, 1]; a constant map becomes 0.

    A map counts as constant when its range is below :data:`FLAT`, so that neither its values nor
    its gradients are rounding errors blown up.
    """
    return _divided(maps - maps.amin((-2, -1), keepdim=True))


def relu_max(maps: Tensor) -> Tensor:
    """Set the negative part of each map ``[..., h, w]`` to 0 and divide by its maximum.

    ShapeProp (Zhou et al., CVPR 2020) scales its saliency so. A map without a value above
    :data:`FLAT` becomes 0.
    """
    return _divided(maps.relu())


def _divided(maps: Tensor) -> Tensor:
    """Divide each map of values from 0 by its maximum, unless that is next to nothing."""
    highest = maps.amax((-2, -1), keepdim=True)
    flat = highest < FLAT
    return torch.where(flat, 0.0, maps / torch.where(flat, 1.0, highest))


def normalise(maps: Tensor, how: PriorNorm) -> Tensor:
    """Scale class activation maps ``[..., h, w]``, each on its own.

    Args:
        maps: raw maps (logits without bias).
        how: `min_max` (the official code of paper B), `relu_max`, ``sigmoid`` of each value, or
            ``none``: as they are.
    """
    if how == "min_max":
        return min_max(maps)
    if how == "relu_max":
        return relu_max(maps)
    return maps.sigmoid() if how == "sigmoid" else maps


class ObjectMaskPrior(nn.Module):
    """Joins mask features and the object mask prior (paper B, Eq. 2). Has no weights of its own.

    Args:
        norm: how the maps are scaled; see `normalise`.
        scale: what the prior is multiplied by before it joins the features.
        fusion: the prior is added to every channel, multiplied with it, or concatenated as one
            more channel, the last one.
        weights: whether gradients reach the classification weights (``attached``) or not.
        gradient: False: gradients reach neither the weights nor the box head's maps.
    """

    def __init__(
        self,
        *,
        norm: PriorNorm = "min_max",
        scale: float = 1.0,
        fusion: PriorFusion = "add",
        weights: PriorWeights = "detached",
        gradient: bool = True,
    ) -> None:
        super().__init__()
        self.norm = norm
        self.scale = scale
        self.fusion = fusion
        self.weights = weights
        self.gradient = gradient

    def forward(
        self, mask_features: Tensor, box_maps: Tensor, labels: Tensor, class_weights: Tensor
    ) -> Tensor:
        """Return the mask features with the prior, ``[R, D, H, W]``, concatenated one channel more.

        Args:
            mask_features: ``[R, D, H, W]`` from the mask branch's RoIAlign.
            box_maps: ``[R, C, h, w]``, the box head's last maps of the same RoIs.
            labels: ``[R]``: true classes in training, predicted ones at test.
            class_weights: ``[K + 1, C]``, the box head's classification weights.
        """
        size = mask_features.shape[-2:]
        prior = self.scale * self.prior(box_maps, labels, class_weights, size)
        prior = prior.to(mask_features.dtype)
        if self.fusion == "concat":
            return torch.cat([mask_features, prior], 1)
        return mask_features * prior if self.fusion == "multiply" else mask_features + prior

    def prior(
        self, box_maps: Tensor, labels: Tensor, class_weights: Tensor, size: torch.Size
    ) -> Tensor:
        """Return the prior itself, ``[R, 1, *size]``, in single precision, before `scale`.

        The differences within a map are small beside its values, so half precision would
        quantise the normalised map.
        """
        if not self.gradient:
            box_maps = box_maps.detach()
        if not self.gradient or self.weights == "detached":
            class_weights = class_weights.detach()
        with torch.autocast(box_maps.device.type, enabled=False):
            maps = class_activation_maps(box_maps, class_weights, labels)
            return interpolate(normalise(maps, self.norm), size=tuple(size), mode="bilinear")

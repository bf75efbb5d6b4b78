"""The object mask prior (OMP) of paper B, Sec. 3.1 and 3.2: class activation maps as a mask prior.

The box head ends in global average pooling and one linear layer. Applying that layer's weights to
the map before pooling gives, for each class, where the evidence for it lies (Zhou et al., 2016).
The map of the RoI's class, scaled to [0, 1] and resized, is added to every channel of the mask
features.

The paper does not mention two things that its official code does, and that are followed here: the
classification weights are detached (mask gradients reach the box head's features, not the
classifier), and the map is min-max normalised for each RoI. Unlike there, a constant map gives 0.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

FLAT = 1e-6
"""Maps (of logits) with a smaller range than this are treated as constant."""


def class_activation_maps(features: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    """Return each RoI's class activation map for one class (paper B, Eq. 1, without the bias).

    Args:
        features: ``[R, C, h, w]``, the box head's last map, before pooling.
        weights: ``[K + 1, C]``, the classification weights; row 0 is background.
        labels: ``[R]`` int64 in 0..K, the class whose map is wanted.

    Returns:
        ``[R, 1, h, w]``; its mean over h and w plus the bias is the class's logit.
    """
    return torch.einsum("rchw,rc->rhw", features, weights[labels])[:, None]


def min_max(maps: Tensor) -> Tensor:
    """Scale each map ``[R, 1, h, w]`` linearly to [0, 1]; a constant map becomes 0.

    A map counts as constant when its range is below :data:`FLAT`, so that neither its values nor
    its gradients are rounding errors blown up.
    """
    lowest = maps.amin((-2, -1), keepdim=True)
    height = maps.amax((-2, -1), keepdim=True) - lowest
    flat = height < FLAT
    return torch.where(flat, 0.0, (maps - lowest) / torch.where(flat, 1.0, height))


class ObjectMaskPrior(nn.Module):
    """Adds the object mask prior to mask features (paper B, Eq. 2). Has no weights of its own."""

    def forward(
        self, mask_features: Tensor, box_maps: Tensor, labels: Tensor, class_weights: Tensor
    ) -> Tensor:
        """Return ``mask_features`` with the prior added to every channel.

        Args:
            mask_features: ``[R, D, H, W]`` from the mask branch's RoIAlign.
            box_maps: ``[R, C, h, w]``, the box head's last maps of the same RoIs.
            labels: ``[R]``: true classes in training, predicted ones at test.
            class_weights: ``[K + 1, C]``, the box head's classification weights.
        """
        return mask_features + self.prior(
            box_maps, labels, class_weights, mask_features.shape[-2:]
        ).to(mask_features.dtype)

    @staticmethod
    def prior(box_maps: Tensor, labels: Tensor, class_weights: Tensor, size: torch.Size) -> Tensor:
        """Return the prior itself, ``[R, 1, *size]`` in [0, 1], in single precision.

        The differences within a map are small beside its values, so half precision would
        quantise the normalised map.
        """
        with torch.autocast(box_maps.device.type, enabled=False):
            maps = class_activation_maps(box_maps.float(), class_weights.detach().float(), labels)
            return interpolate(min_max(maps), size=tuple(size), mode="bilinear")

"""The trunk: the frozen first part of a model, which gives a picture the same maps for ever.

It sees each picture alone, and its maps are rounded to half precision. So they can be made once and
kept (see :mod:`lib.training.kept_maps`), and it makes no difference to what follows whether they
were kept or are made anew, beside which other pictures, or how often.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

Frozen = Literal["nothing", "body", "pyramid"]
"""What the trunk is: no part, the backbone without its pyramid, or both."""

DIVISOR = 32
"""Pictures are padded to multiples of this, as torchvision pads a batch."""


class Seen(NamedTuple):
    """A picture as the trunk has seen it.

    Attributes:
        maps: by level, ``[C, h, w]`` in half precision, of the padded picture.
        before: (height, width) of the picture as given.
        after: (height, width) after resizing, without the padding.
    """

    maps: Mapping[str, Tensor]
    before: tuple[int, int]
    after: tuple[int, int]

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "Seen":
        """Return the same on a device."""
        sent = {n: x.to(device, non_blocking=non_blocking) for n, x in self.maps.items()}
        return self._replace(maps=sent)


def padded(size: tuple[int, int]) -> tuple[int, int]:
    """Return a (height, width) rounded up to what pictures are padded to."""
    height, width = (-(-side // DIVISOR) * DIVISOR for side in size)
    return height, width


def together(pictures: Sequence[Seen]) -> dict[str, Tensor]:
    """Return the maps of several pictures as batches ``[N, C, H, W]``, padded with zeros."""
    found = {}
    for name in pictures[0].maps:
        maps = [picture.maps[name].float() for picture in pictures]
        height, width = (max(x.shape[side] for x in maps) for side in (-2, -1))
        found[name] = torch.stack(
            [pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2])) for x in maps]
        )
    return found


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a module's weights, by name."""
    sha = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()

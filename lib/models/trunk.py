"""The trunk: a backbone of which nothing learns gives a picture the same maps for ever.

It sees each picture alone, and its maps are rounded to half precision. So they can be made once and
kept (see :mod:`lib.training.kept_maps`), and it makes no difference to what follows whether they
were kept or are made anew, beside which other pictures, or how often.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lib.models.backbones import FeaturePyramid
from lib.models.sampling import SeededTransform

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


@torch.no_grad()
def look(image: Tensor, transform: SeededTransform, pyramid: FeaturePyramid) -> Seen:
    """Return an image ``[3, H, W]`` as a pyramid's backbone sees it.

    In single precision, whatever the training has: maps that are kept serve all runs.
    """
    with torch.autocast(image.device.type, enabled=False):
        resized, _ = transform.resize(transform.normalize(image))
        after = _size(resized)
        bottom, right = (padded - side for padded, side in zip(_padded(after), after, strict=True))
        maps = pyramid.body(pad(resized, (0, right, 0, bottom))[None])
    return Seen({name: x[0].half() for name, x in maps.items()}, _size(image), after)


def together(pictures: Sequence[Seen]) -> tuple[dict[str, Tensor], tuple[int, int]]:
    """Return the maps of several pictures as batches, and the (height, width) they are maps of.

    The batches are float32 ``[N, C, H, W]``, padded with zeros. They lie channels last, however
    the maps do, since convolutions round otherwise elsewhere.
    """
    found = {}
    for name, first in pictures[0].maps.items():
        maps = [picture.maps[name] for picture in pictures]
        height, width = _largest([_size(x) for x in maps])
        batch = torch.empty(
            (len(maps), len(first), height, width),
            device=first.device,
            memory_format=torch.channels_last,
        ).zero_()
        for place, x in zip(batch, maps, strict=True):
            place[:, : x.shape[1], : x.shape[2]] = x
        found[name] = batch
    return found, _padded(_largest([picture.after for picture in pictures]))


def _size(image: Tensor) -> tuple[int, int]:
    """Return the (height, width) of ``[C, H, W]``."""
    return int(image.shape[-2]), int(image.shape[-1])


def _largest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the smallest (height, width) that has room for each of several."""
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def _padded(size: tuple[int, int]) -> tuple[int, int]:
    """Return a (height, width) rounded up to what pictures are padded to."""
    height, width = (-(-side // DIVISOR) * DIVISOR for side in size)
    return height, width

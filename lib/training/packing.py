"""A batch as a few flat tensors: one for each type, whatever number of pictures and targets.

A tensor costs a loader process, the training process and the device a fixed amount of work besides
its bytes: a piece of shared memory, a page-locked copy, a transfer. A batch of 16 pictures has a
hundred tensors, most of them tiny. Packed, it has three or four; on the device they are cut into
views, which costs nothing there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

Sample = tuple[Tensor, Mapping[str, Any]]


class Slot(NamedTuple):
    """Where a tensor lies in the flat one of its type."""

    kind: torch.dtype
    begin: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PackedBatch:
    """Pictures and their targets; make one with `pack`.

    Attributes:
        flat: all numbers of each type, ``[n]``.
        slots: of each sample, the picture's slot and those of its target's tensors by name; what
            is no tensor is there itself.
    """

    flat: Mapping[torch.dtype, Tensor]
    slots: Sequence[tuple[Slot, Mapping[str, Any]]]

    def pin_memory(self) -> "PackedBatch":
        """Return the batch in page-locked memory; ``DataLoader`` calls this."""
        return replace(self, flat={kind: x.pin_memory() for kind, x in self.flat.items()})

    def to(self, device: torch.device) -> "PackedBatch":
        """Return the batch on a device, without waiting for it."""
        sent = {kind: x.to(device, non_blocking=True) for kind, x in self.flat.items()}
        return replace(self, flat=sent)

    def unpack(self) -> tuple[list[Tensor], list[dict[str, Any]]]:
        """Return pictures and targets as they were; tensors are views."""
        images = [self._view(slot) for slot, _ in self.slots]
        targets = [
            {name: self._view(x) if isinstance(x, Slot) else x for name, x in target.items()}
            for _, target in self.slots
        ]
        return images, targets

    def _view(self, slot: Slot) -> Tensor:
        size = torch.Size(slot.shape)
        return self.flat[slot.kind][slot.begin : slot.begin + size.numel()].view(size)


def pack(samples: Sequence[Sample]) -> PackedBatch:
    """Return samples, a picture and a target each, as one batch: a loader's ``collate_fn``."""
    parts: dict[torch.dtype, list[Tensor]] = {}
    ends: dict[torch.dtype, int] = {}

    def put(tensor: Tensor) -> Slot:
        kind, begin = tensor.dtype, ends.get(tensor.dtype, 0)
        parts.setdefault(kind, []).append(tensor.reshape(-1))
        ends[kind] = begin + tensor.numel()
        return Slot(kind, begin, tuple(tensor.shape))

    slots = [
        (
            put(image),
            {name: put(x) if isinstance(x, Tensor) else x for name, x in target.items()},
        )
        for image, target in samples
    ]
    return PackedBatch({kind: torch.cat(tensors) for kind, tensors in parts.items()}, slots)

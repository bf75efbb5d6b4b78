"""Training samples: an image and its targets, with only those masks that may be used.

Whatever is random about a sample derives from the seed and the sample's position in the run, so a
resumed run, or one with other loader processes, sees the same samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms.v2.functional import horizontal_flip

from lib.data.coco import CocoSet, Instance
from lib.engine.config import Empty, Use
from lib.engine.inputs import picture
from lib.masks.rle import area, decode
from lib.models.rpn import IGNORED
from lib.seeds import derive

Target = dict[str, Any]


@dataclass(frozen=True)
class Uses:
    """What becomes of instances in training; see :class:`lib.engine.config.TrainConfig`.

    Attributes:
        supervised: labels whose masks may be used.
        valid: what becomes of an instance with a valid pseudo-mask, a true one or none.
        invalid: what becomes of an instance with an invalid pseudo-mask.
        empty: what an empty pseudo-mask is: no mask, or one that is all background.
    """

    supervised: frozenset[int]
    valid: Use = "learn"
    invalid: Use = "learn"
    empty: Empty = "no_mask"

    def of(self, instance: Instance) -> Use:
        """Return what becomes of an instance; crowd regions are dropped."""
        if instance.iscrowd:
            return "drop"
        pseudo = instance.pseudo or {}
        return self.valid if pseudo.get("valid", True) else self.invalid

    def reads_mask(self, instance: Instance) -> bool:
        """Return whether the instance has a mask that may be used."""
        if self.of(instance) != "learn" or instance.label not in self.supervised:
            return False
        if instance.pseudo is not None and self.empty == "background":
            return True
        code = instance.segmentation
        return bool(area(code, *code["size"]) if isinstance(code, dict) else code)


class TrainingSet(Dataset[tuple[Tensor, Target]]):
    """The samples of a COCO-format set, addressed by (index, position in the run).

    A sample is an image, float32 ``[3, H, W]`` RGB in 0..1, and a target:

    - ``boxes``: ``[N, 4]`` float32 xyxy pixels
    - ``labels``: ``[N]`` int64 in 1..K, or -1: to be ignored
    - ``masks``: ``[M, H, W]`` uint8, of the instances that have a mask that may be used
    - ``mask_index``: ``[N]`` int64, each instance's row in ``masks``, or -1
    - ``image_id``: int

    Crowd regions are left out, and so is what is to be dropped. Masks that must not be used are
    never decoded, so nothing that trains can depend on them (paper B, Sec. 4.1).

    Args:
        coco: the set.
        uses: what becomes of its instances.
        flip: mirror half of the samples.
        seed: what the mirroring derives from.
    """

    def __init__(self, coco: CocoSet, *, uses: Uses, flip: bool, seed: int) -> None:
        self.coco = coco
        self.uses = uses
        self.flip = flip
        self.seed = seed

    def __len__(self) -> int:
        return len(self.coco.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Target]:
        """Return the sample at ``(index, position)``."""
        index, position = key
        record = self.coco.images[index]
        image = picture(record)
        instances = [i for i in self.coco.instances(record.id) if self.uses.of(i) != "drop"]
        labels = [IGNORED if self.uses.of(i) == "ignore" else i.label for i in instances]
        boxes = torch.tensor([i.box for i in instances], dtype=torch.float32).reshape(-1, 4)
        masks: list[np.ndarray] = []
        mask_index = []
        for instance in instances:
            reads = self.uses.reads_mask(instance)
            mask_index.append(len(masks) if reads else -1)
            if reads:
                masks.append(decode(instance.segmentation, record.height, record.width))
        stacked = np.stack(masks) if masks else np.zeros((0, record.height, record.width), bool)
        mask_tensor = torch.from_numpy(stacked).to(torch.uint8)
        if self.flip and derive(self.seed, "flip", position) % 2:
            image, mask_tensor = horizontal_flip(image), horizontal_flip(mask_tensor)
            boxes = torch.stack(
                [record.width - boxes[:, 2], boxes[:, 1], record.width - boxes[:, 0], boxes[:, 3]],
                1,
            )
        return image, {
            "boxes": boxes,
            "labels": torch.tensor(labels, dtype=torch.int64),
            "masks": mask_tensor,
            "mask_index": torch.tensor(mask_index, dtype=torch.int64),
            "image_id": record.id,
        }


class Batches(Sampler[list[tuple[int, int]]]):
    """Which samples each iteration sees: every image once an epoch, in a new order each time.

    Batches run across the ends of epochs, so all have the same size.

    Args:
        images: size of the set.
        batch_size: samples per iteration.
        start: the first iteration, counted from 0.
        stop: the iteration to stop before.
        seed: what the orders derive from.
    """

    def __init__(self, images: int, batch_size: int, *, start: int, stop: int, seed: int) -> None:
        self.images, self.batch_size = images, batch_size
        self.start, self.stop, self.seed = start, stop, seed

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield each iteration's list of (index, position)."""
        epoch, order = -1, np.zeros(0, int)
        for iteration in range(self.start, self.stop):
            batch = []
            first = iteration * self.batch_size
            for position in range(first, first + self.batch_size):
                if position // self.images != epoch:
                    epoch = position // self.images
                    random = np.random.default_rng(derive(self.seed, "epoch", epoch))
                    order = random.permutation(self.images)
                batch.append((int(order[position % self.images]), position))
            yield batch


def collate(samples: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """Turn samples into a list of images and a list of targets; sizes may differ."""
    images, targets = zip(*samples, strict=True)
    return list(images), list(targets)

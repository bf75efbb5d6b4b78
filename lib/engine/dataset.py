"""Training samples: an image and its targets, with only those masks that may be used.

Whatever is random about a sample derives from the seed and the sample's position in the run, so a
resumed run, or one with other loader processes, sees the same samples, and so do several processes
that share the batches.
"""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms.v2.functional import horizontal_flip

from lib.data.coco import CocoSet
from lib.engine.config import TrainConfig
from lib.engine.distributed import World
from lib.engine.inputs import picture
from lib.engine.launch import obey
from lib.engine.uses import Uses
from lib.masks.rle import decode
from lib.models.rpn import IGNORED
from lib.seeds import derive

Target = dict[str, Any]


class TrainingSet(Dataset[tuple[Tensor, Target]]):
    """The samples of a COCO-format set, addressed by (index, position in the run).

    A sample is an image, float32 ``[3, H, W]`` RGB in 0..1, and a target:

    - ``boxes``: ``[N, 4]`` float32 xyxy pixels
    - ``labels``: ``[N]`` int64 in 1..K, or -1: to be ignored
    - ``masks``: ``[M, H, W]`` uint8, of the instances that have a mask that may be used
    - ``mask_index``: ``[N]`` int64, each instance's row in ``masks``, or -1
    - ``image_id``: int
    - ``seed``: int, what is random about the sample in the model (see :mod:`lib.models.sampling`)

    Crowd regions are left out, and so is what is to be dropped. Masks that must not be used are
    never decoded, so nothing that trains can depend on them (paper B, Sec. 4.1).

    Args:
        coco: the set.
        uses: what becomes of its instances.
        flip: mirror half of the samples.
        seed: what the mirroring and the samples' seeds derive from.
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
            "seed": derive(self.seed, "sample", position),
        }


def share_of(batch_size: int, rank: int, processes: int) -> range:
    """Return which samples of a batch a process has: consecutive ones, as many as others or one.

    Raises:
        ValueError: if there are fewer samples than processes.
    """
    if batch_size < processes:
        raise ValueError(
            f"train.batch_size is {batch_size}, fewer images than the {processes} processes that "
            f"are to share them. Start at most {batch_size} processes, or raise train.batch_size."
        )
    return range(batch_size * rank // processes, batch_size * (rank + 1) // processes)


class Batches(Sampler[list[tuple[int, int]]]):
    """Which samples each iteration sees: every image once an epoch, in a new order each time.

    Batches run across the ends of epochs, so all have the same size. The order is that of the run,
    whatever number of processes share its batches.

    Args:
        images: size of the set.
        batch_size: samples per iteration.
        start: the first iteration, counted from 0.
        stop: the iteration to stop before.
        seed: what the orders derive from.
        share: which samples of each batch to yield, see :func:`share_of`; None is all of them.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        *,
        start: int,
        stop: int,
        seed: int,
        share: range | None = None,
    ) -> None:
        self.images, self.batch_size = images, batch_size
        self.start, self.stop, self.seed = start, stop, seed
        self.share = share or range(batch_size)

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
            yield [batch[i] for i in self.share]


def collate(samples: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """Turn samples into a list of images and a list of targets; sizes may differ."""
    images, targets = zip(*samples, strict=True)
    return list(images), list(targets)


def _begin(parent: int, _: int) -> None:
    obey(parent)


def loader(
    config: TrainConfig, coco: CocoSet, uses: Uses, start: int, *, world: World
) -> Iterator[tuple[list[Tensor], list[Target]]]:
    """Yield this process's images and targets of each iteration.

    Args:
        config: the run.
        coco: its set.
        uses: what becomes of the instances.
        start: the first iteration, counted from 0.
        world: the processes that share the batches.
    """
    samples = TrainingSet(coco, uses=uses, flip=config.flip, seed=config.seed)
    batches = Batches(
        len(samples),
        config.batch_size,
        start=start,
        stop=config.iterations,
        seed=config.seed,
        share=share_of(config.batch_size, world.rank, world.size),
    )
    return iter(
        DataLoader(
            samples,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=config.workers,
            worker_init_fn=partial(_begin, os.getpid()),
            pin_memory=world.device.type == "cuda",
        )
    )

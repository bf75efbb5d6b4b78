"""Training samples: an image and its targets, with only those masks that may be used.

Whatever is random about a sample derives from the seed and the sample's position in the run, so a
resumed run, or one with other loader processes, sees the same samples, and so do several processes
that share the batches.
"""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lib.data.coco import CocoSet
from lib.masks.crops import edges_of
from lib.masks.crops import pack as pack_masks
from lib.models.rpn import IGNORED
from lib.seeds import derive
from lib.training.config import TrainConfig
from lib.training.distributed import World
from lib.training.inputs import pixels
from lib.training.launch import obey
from lib.training.order import batches
from lib.training.packing import pack
from lib.training.supervision import Uses

Target = dict[str, Any]


class TrainingSet(Dataset[tuple[Tensor, Target]]):
    """The samples of a COCO-format set, addressed by (index, position in the run).

    A sample is an image, uint8 ``[3, H, W]`` RGB, and a target:

    - ``boxes``: ``[N, 4]`` float32 xyxy pixels
    - ``labels``: ``[N]`` int64 in 1..K, or -1: to be ignored
    - ``has_mask``: ``[N]`` bool, whether an instance has a mask that may be used
    - ``mask_edges`` and ``mask_frames``: these masks, as :class:`lib.masks.crops.Runs` has them
    - ``ignores``: bool, whether any label is -1
    - ``image_id``: int
    - ``seed``: int, what is random about the sample in the model (see :mod:`lib.models.sampling`)

    Crowd regions are left out, and so is what is to be dropped. Masks that must not be used are
    never read, so nothing that trains can depend on them (paper B, Sec. 4.1).

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
        image = pixels(record)
        instances = [i for i in self.coco.instances(record.id) if self.uses.of(i) != "drop"]
        labels = [IGNORED if self.uses.of(i) == "ignore" else i.label for i in instances]
        boxes = torch.tensor([i.box for i in instances], dtype=torch.float32).reshape(-1, 4)
        has_mask = [self.uses.reads_mask(i) for i in instances]
        edges = [
            edges_of((i.segmentation or []) if reads else [], record.height, record.width)
            for i, reads in zip(instances, has_mask, strict=True)
        ]
        mirrored = self.flip and derive(self.seed, "flip", position) % 2 == 1
        masks = pack_masks(edges, height=record.height, width=record.width, mirrored=mirrored)
        if mirrored:
            image = image.flip(-1)
            boxes = torch.stack(
                [record.width - boxes[:, 2], boxes[:, 1], record.width - boxes[:, 0], boxes[:, 3]],
                1,
            )
        return image, {
            "boxes": boxes,
            "labels": torch.tensor(labels, dtype=torch.int64),
            "has_mask": torch.tensor(has_mask, dtype=torch.bool),
            "mask_edges": masks.edges,
            "mask_frames": masks.frames,
            "ignores": IGNORED in labels,
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

    Batches run across the ends of epochs, so all have the same size, and images of similar shape
    are in one batch (see :mod:`lib.training.order`). The order is that of the run, whatever number
    of processes share its batches.

    Args:
        ratios: width over height of each image.
        batch_size: samples per iteration.
        start: the first iteration, counted from 0.
        stop: the iteration to stop before.
        seed: what the orders derive from.
        share: which samples of each batch to yield, see :func:`share_of`; None is all of them.
    """

    def __init__(
        self,
        ratios: Sequence[float],
        batch_size: int,
        *,
        start: int,
        stop: int,
        seed: int,
        share: range | None = None,
    ) -> None:
        self.ratios, self.batch_size = ratios, batch_size
        self.start, self.stop, self.seed = start, stop, seed
        self.share = share or range(batch_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield each iteration's list of (index, position)."""
        limits = {"start": self.start, "stop": self.stop}
        for batch in batches(self.ratios, self.batch_size, **limits, seed=self.seed):
            yield [batch[i] for i in self.share]


def _begin(parent: int, _: int) -> None:
    obey(parent)


def loader(
    config: TrainConfig, coco: CocoSet, uses: Uses, start: int, *, world: World
) -> Iterator[tuple[list[Tensor], list[Target]]]:
    """Yield this process's images and targets of each iteration, on its device.

    Args:
        config: the run.
        coco: its set.
        uses: what becomes of the instances.
        start: the first iteration, counted from 0.
        world: the processes that share the batches.
    """
    samples = TrainingSet(coco, uses=uses, flip=config.flip, seed=config.seed)
    order = Batches(
        [image.width / image.height for image in coco.images],
        config.batch_size,
        start=start,
        stop=config.iterations,
        seed=config.seed,
        share=share_of(config.batch_size, world.rank, world.size),
    )
    packed = DataLoader(
        samples,
        batch_sampler=order,
        collate_fn=pack,
        num_workers=config.workers,
        worker_init_fn=partial(_begin, os.getpid()),
        pin_memory=world.device.type == "cuda",
    )
    for batch in packed:
        yield batch.to(world.device).unpack()

"""Training samples: an image and its targets, with only those masks that may be used.

Whatever is random about a sample derives from the seed and the sample's position in the run, so a
resumed run, or one with other loader processes, sees the same samples, and so do several processes
that share the batches.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lib.data.coco import CocoSet
from lib.data.pictures.images import ImageRecord
from lib.masks.crops import edges_of, pack
from lib.models.rpn import IGNORED
from lib.models.trunk import Seen
from lib.seeds import derive
from lib.training.config import TrainConfig
from lib.training.distributed import World
from lib.training.inputs import pixels
from lib.training.kept_maps import KeptMaps
from lib.training.order import Batches, share_of
from lib.training.supervision import Supervision

Target = dict[str, Any]


class TrainingSet(Dataset[tuple[Tensor | Seen, Target]]):
    """The samples of a COCO-format set, addressed by (index, position in the run).

    A sample is an image, uint8 ``[3, H, W]`` RGB, or what a trunk sees of it, where that is kept
    (see :mod:`lib.training.kept_maps`), and a target:

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
        supervision: what becomes of its instances.
        flip: mirror half of the samples.
        seed: what the mirroring and the samples' seeds derive from.
        maps: what is kept of the pictures.
    """

    def __init__(
        self,
        coco: CocoSet,
        *,
        supervision: Supervision,
        flip: bool,
        seed: int,
        maps: KeptMaps | None = None,
    ) -> None:
        self.coco = coco
        self.supervision = supervision
        self.flip = flip
        self.seed = seed
        self.maps = maps

    def __len__(self) -> int:
        return len(self.coco.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor | Seen, Target]:
        """Return the sample at ``(index, position)``."""
        index, position = key
        record = self.coco.images[index]
        mirrored = self.flip and derive(self.seed, "flip", position) % 2 == 1
        instances = [i for i in self.coco.instances(record.id) if self.supervision.of(i) != "drop"]
        labels = [IGNORED if self.supervision.of(i) == "ignore" else i.label for i in instances]
        boxes = torch.tensor([i.box for i in instances], dtype=torch.float32).reshape(-1, 4)
        has_mask = [self.supervision.reads_mask(i) for i in instances]
        edges = [
            edges_of((i.segmentation or []) if reads else [], record.height, record.width)
            for i, reads in zip(instances, has_mask, strict=True)
        ]
        masks = pack(edges, height=record.height, width=record.width, mirrored=mirrored)
        if mirrored:
            boxes = torch.stack(
                [record.width - boxes[:, 2], boxes[:, 1], record.width - boxes[:, 0], boxes[:, 3]],
                1,
            )
        return self._image(record, mirrored), {
            "boxes": boxes,
            "labels": torch.tensor(labels, dtype=torch.int64),
            "has_mask": torch.tensor(has_mask, dtype=torch.bool),
            "mask_edges": masks.edges,
            "mask_frames": masks.frames,
            "ignores": IGNORED in labels,
            "image_id": record.id,
            "seed": derive(self.seed, "sample", position),
        }

    def _image(self, record: ImageRecord, mirrored: bool) -> Tensor | Seen:
        seen = self.maps and self.maps.read(record, mirrored=mirrored)
        if seen:
            return seen
        image = pixels(record)
        return image.flip(-1) if mirrored else image


def _begin(_: int) -> None:
    """Let SIGTERM end this process only if it comes from the one that trains.

    Sent to all processes, as by a queue, it is for that one, which needs this one's help still.
    (On Linux; elsewhere it ends at any.)
    """
    if sys.platform == "linux":
        # blocked in this thread and those to come, the signal waits for the one that asks for it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_at_signal_of_parent, daemon=True).start()


def _end_at_signal_of_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def loader(
    config: TrainConfig,
    coco: CocoSet,
    supervision: Supervision,
    start: int,
    *,
    world: World,
    maps: KeptMaps | None = None,
) -> Iterator[tuple[list[Tensor | Seen], list[Target]]]:
    """Yield this process's images and targets of each iteration, on its device.

    Args:
        config: the run.
        coco: its set.
        supervision: what becomes of the instances.
        start: the first iteration, counted from 0.
        world: the processes that share the batches.
        maps: what is kept of the pictures.
    """
    samples = TrainingSet(
        coco, supervision=supervision, flip=config.flip, seed=config.seed, maps=maps
    )
    order = Batches(
        [image.width / image.height for image in coco.images],
        config.batch_size,
        start=start,
        stop=config.iterations,
        seed=config.seed,
        share=share_of(config.batch_size, world.rank, world.size),
    )
    device = world.device
    batches = DataLoader(
        samples,
        batch_sampler=order,
        collate_fn=list,
        num_workers=config.workers,
        worker_init_fn=_begin,
        pin_memory=device.type == "cuda",
    )
    for batch in batches:
        images = [image.to(device, non_blocking=True) for image, _ in batch]
        yield images, [_sent(target, device) for _, target in batch]


def _sent(target: Target, device: torch.device) -> Target:
    """Return a target with its tensors on the device, without waiting for them."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in target.items()
    }

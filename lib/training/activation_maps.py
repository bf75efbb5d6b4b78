"""Class activation maps in files, and how they change over a training run.

Maps are raw (paper B, Eq. 1: neither scaled nor resized), and in half precision in files. Min-max
normalised, that changes them by less than a thousandth unless a map lies far from 0 in proportion
to its range.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib.data.coco import CocoSet, Instance
from lib.files import atomic
from lib.models.heads import POOLED
from lib.seeds import derive
from lib.training.checkpoint import TrainedModel, load_model
from lib.training.inputs import boxes_and_labels, objects, picture, require_classes, require_maps

SHORTEST_SIDE = 24
"""Only boxes whose sides both have that many pixels are drawn: smaller objects show little."""


def stack_cams(parts: Sequence[Tensor]) -> np.ndarray:
    """Return the maps ``[N, h, w]`` of several images as one float16 array, in order."""
    arrays = [part.float().cpu().numpy().astype(np.float16) for part in parts]
    return np.concatenate(arrays) if arrays else np.zeros((0, POOLED, POOLED), np.float16)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed ``npz`` file atomically; equal arrays give equal bytes."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # it takes any names


@dataclass(frozen=True)
class CamHistory:
    """Maps of the same instances at several times of a run.

    Attributes:
        annotation_id: ``[N]`` int64, the instances.
        iteration: ``[S]`` int64, ascending.
        maps: ``[S, N, h, w]`` float16, raw class activation maps of the true boxes and classes.
    """

    annotation_id: np.ndarray
    iteration: np.ndarray
    maps: np.ndarray


def sample_instances(coco: CocoSet, count: int) -> list[Instance]:
    """Return ``count`` instances drawn by a hash of their ids, or all if there are fewer.

    Raises:
        ValueError: if no instance is large enough.
    """
    large = [
        x
        for image in coco.images
        for x in objects(coco, image.id)
        if min(x.box[2] - x.box[0], x.box[3] - x.box[1]) >= SHORTEST_SIDE
    ]
    if not large or count < 1:
        raise ValueError(
            f"Of the {len(coco.all_instances())} instances in {coco.annotations_path}, "
            f"{len(large)} have sides of {SHORTEST_SIDE} pixels or more, and {count} were asked "
            "for: there is nothing to show."
        )
    return sorted(large, key=lambda x: derive(0, "cams", x.id))[:count]


def cams_of(
    trained: TrainedModel, coco: CocoSet, instances: Sequence[Instance], device: torch.device
) -> np.ndarray:
    """Return the raw maps of instances, float16 ``[N, h, w]``, image by image.

    Raises:
        ValueError: if the model has no maps, or other classes than the set.
    """
    require_maps(trained)
    require_classes(trained, coco.categories)
    model = trained.model.to(device).eval()
    maps: dict[int, Tensor] = {}
    with torch.inference_mode():
        for image_id in dict.fromkeys(x.image_id for x in instances):
            group = [x for x in instances if x.image_id == image_id]
            image = picture(coco.image(image_id)).to(device)
            (found,) = model.cams_on_boxes([image], [boxes_and_labels(group, device)])
            maps |= {x.id: one for x, one in zip(group, found, strict=True)}
    return stack_cams([maps[x.id][None] for x in instances])


def cam_history(
    models: Mapping[int, Path], coco: CocoSet, *, count: int, device: torch.device
) -> CamHistory:
    """Return the maps of a few ground-truth instances for each model of a run.

    Args:
        models: snapshots and the finished model, by the iterations that they were trained for.
        coco: the set; the instances are drawn without looking at any model.
        count: how many instances; fewer if the set has fewer large ones.
        device: where to run.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a model has no maps or other classes.
    """
    instances = sample_instances(coco, count)
    moments = sorted(models)
    maps = [cams_of(load_model(models[n]), coco, instances, device) for n in moments]
    return CamHistory(
        np.array([x.id for x in instances], np.int64), np.array(moments, np.int64), np.stack(maps)
    )

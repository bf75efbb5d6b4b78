"""Class activation maps in files, and how they change over a training run.

``python -m lib.training.activation_maps SNAPSHOT.pt ... MODEL.pt --annotations A --images D
--iterations N --out FILE`` writes the maps of the same few ground-truth instances for each model
of a run.

Maps are raw (paper B, Eq. 1: neither scaled nor resized), and in half precision in files. Min-max
normalised, that changes them by less than a thousandth unless a map lies far from 0 in proportion
to its range.
"""

import argparse
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib.data.coco import CocoSet, Instance
from lib.data.label_options import add_on_bad, open_labels
from lib.files import atomic, explain
from lib.models.heads import POOLED
from lib.outputs import file_ending_in
from lib.paths import display, resolve
from lib.seeds import derive
from lib.training.checkpoint import TrainedModel, load_model
from lib.training.device import pick_device
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


def iteration_of(path: Path, iterations: int | None) -> int:
    """Return after how many iterations a model file of a run was written.

    Args:
        path: ``snapshot_<n>.pt``, or the file of the finished run under any other name.
        iterations: of the run.

    Raises:
        ValueError: if the file is no snapshot and ``iterations`` is not given.
    """
    snapshot = re.fullmatch(r"snapshot_(\d+)\.pt", path.name)
    if snapshot is None and iterations is None:
        raise ValueError(
            f"{path.name} is no snapshot_<n>.pt, so its name does not say how long it was trained: "
            "give the run's --iterations."
        )
    return int(snapshot[1]) if snapshot else int(iterations or 0)


def cam_history(
    paths: Sequence[Path],
    coco: CocoSet,
    *,
    count: int,
    iterations: int | None,
    device: torch.device,
) -> CamHistory:
    """Return the maps of a few ground-truth instances for each model of a run.

    Args:
        paths: snapshots and the finished model, in any order.
        coco: the set; the instances are drawn without looking at any model.
        count: how many instances; fewer if the set has fewer large ones.
        iterations: of the run: the place of a file that is no ``snapshot_<n>.pt``.
        device: where to run.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a model has no maps or other classes, or two are of the same iteration.
    """
    places = sorted((iteration_of(path, iterations), path) for path in paths)
    moments = [moment for moment, _ in places]
    if not places or len(set(moments)) < len(moments):
        raise ValueError(
            "Maps over a training run need one model file for each iteration, found files of "
            f"iterations {', '.join(map(str, moments)) or 'none'}."
        )
    instances = sample_instances(coco, count)
    maps = [cams_of(load_model(path), coco, instances, device) for _, path in places]
    return CamHistory(
        np.array([x.id for x in instances], np.int64), np.array(moments, np.int64), np.stack(maps)
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.training.activation_maps",
        description="Write class activation maps of a few objects over a training run.",
    )
    parser.add_argument("models", type=Path, nargs="+", help="snapshot_<n>.pt ..., model.pt")
    parser.add_argument("--annotations", required=True, help="COCO-format labels of the set")
    parser.add_argument("--images", required=True, help="the folder of its images")
    parser.add_argument("--count", type=int, default=24, help="instances")
    parser.add_argument("--iterations", type=int, help="of the run, for the file model.pt")
    parser.add_argument(
        "--out",
        type=file_ending_in(".npz", _is_ours, place=resolve),
        required=True,
        help="the file to write",
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add_on_bad(parser)
    options = parser.parse_args(arguments)
    try:
        found = cam_history(
            [resolve(path) for path in options.models],
            open_labels(options, resolve(options.annotations), resolve(options.images)),
            count=options.count,
            iterations=options.iterations,
            device=pick_device(options.device),
        )
        write_arrays(options.out, vars(found))
    except (ValueError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    print(
        f"wrote {display(options.out)}: {len(found.annotation_id)} instances, "
        f"{len(found.maps)} models"
    )
    return 0


def _is_ours(path: Path) -> bool:
    """Return whether a file holds maps over a training."""
    names = {f"{name}.npy" for name in CamHistory.__annotations__}
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return names == set(archive.namelist())


if __name__ == "__main__":
    raise SystemExit(main())

"""Run a trained model: ``python -m lib.training.predict MODEL --annotations A --images D --out D``.

Writes COCO results, ``detections_NAME.json``, and, for a model with a mask branch,
``masks_on_boxes_NAME.json``: its masks on the ground-truth boxes, which show mask quality apart
from detection. Masks are encoded one at a time within their boxes, beside a GPU by other threads.

With ``--cams`` the raw class activation maps are written too, as ``maps`` ``[D, h, w]`` float16:
``cams_NAME.npz``, in the order of the detections, and ``cams_on_boxes_NAME.npz`` with the
``annotation_id`` of each ground-truth box.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lib.data.coco import CocoSet, Instance
from lib.data.label_options import add_on_bad, open_labels
from lib.data.pictures.images import ImageRecord
from lib.files import explain, write_json
from lib.models.config import PriorFrom
from lib.paths import display, resolve
from lib.training.activation_maps import write_arrays
from lib.training.checkpoint import TrainedModel, load_model
from lib.training.device import pick_device
from lib.training.inputs import boxes_and_labels, objects, picture, require_classes, require_maps
from lib.training.predictions import Found, Predictions, in_order, merge, of_image

ENCODERS = 2
"""Threads that place and encode masks while a GPU works on the next images."""


class _Images(Dataset[tuple[int, Tensor]]):
    """The pictures of a set, by index: (index, float32 [3, H, W] in 0..1)."""

    def __init__(self, coco: CocoSet) -> None:
        self.coco = coco

    def __len__(self) -> int:
        return len(self.coco.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        return index, picture(self.coco.images[index])


def predict(
    trained: TrainedModel,
    coco: CocoSet,
    *,
    device: torch.device,
    batch_size: int = 1,
    workers: int = 0,
    on_boxes: bool = True,
    cams: bool = False,
    prior_from: PriorFrom | None = None,
    encoders: int | None = None,
    log_every: float = 10.0,
) -> Predictions:
    """Detect and segment the objects of a set.

    Args:
        trained: the model.
        coco: the set; its ground-truth boxes are used for what is ``on_boxes`` alone.
        device: where to run.
        batch_size: images at once.
        workers: processes that load images.
        on_boxes: predict on the ground-truth boxes too.
        cams: also return class activation maps.
        prior_from: the box whose map is a detection's prior and class activation map, the
            ``proposal`` or the ``refined`` box; None: as the model's settings say.
        encoders: threads that place and encode masks meanwhile; None: as the device needs them,
            which is none without a GPU. Results do not depend on it.
        log_every: seconds between progress lines.

    Raises:
        ValueError: if the model and the set have different classes, or the model does not have
            the maps that are asked for.
    """
    require_classes(trained, coco.categories)
    if cams:
        require_maps(trained)
    if prior_from is not None and not cams and trained.config.method != "opmask":
        raise ValueError(
            f"{trained.config.method} has no prior, so where the prior's map is from changes "
            "nothing; leave prior_from out, or ask for class activation maps (--cams)."
        )
    model = trained.model.to(device).eval()
    model.roi_heads.return_cams = cams
    model.roi_heads.prior_from = prior_from or trained.config.prior_from
    if encoders is None:
        encoders = ENCODERS if device.type == "cuda" else 0
    found = _found(trained, coco, _batches(coco, batch_size, workers, device), on_boxes, cams)
    parts = list[Predictions]()
    start = last = time.monotonic()
    for part in in_order(partial(of_image, categories=coco.categories), found, threads=encoders):
        parts.append(part)
        if time.monotonic() - last > log_every or len(parts) == len(coco.images):
            last = time.monotonic()
            rate = len(parts) / (last - start)
            print(f"{len(parts)}/{len(coco.images)} images, {rate:.1f} images/s", flush=True)
    return merge(parts)


def share(coco: CocoSet, *, rank: int, size: int, batch_size: int = 1) -> CocoSet:
    """Return one of ``size`` parts of a set, whose predictions `merge` puts together again.

    Parts are cut between batches, so that every image is predicted with the same others in its
    batch as when the set is not divided.
    """
    batches = -(-len(coco.images) // batch_size)
    begin, end = (batches * place // size * batch_size for place in (rank, rank + 1))
    return coco.subset(image.id for image in coco.images[begin:end])


def _found(
    trained: TrainedModel,
    coco: CocoSet,
    batches: Iterator[tuple[list[int], list[Tensor]]],
    on_boxes: bool,
    cams: bool,
) -> Iterator[Found]:
    """Yield what the model finds on each image."""
    for indices, images in batches:
        records = [coco.images[index] for index in indices]
        truth = [objects(coco, record.id) for record in records] if on_boxes else None
        yield from _on_batch(trained, images, records, truth, cams)


@torch.inference_mode()
def _on_batch(
    trained: TrainedModel,
    images: list[Tensor],
    records: list[ImageRecord],
    truth: list[list[Instance]] | None,
    cams: bool,
) -> list[Found]:
    """Return what the model finds on images, and on their ground truth, moved to the host."""
    model = trained.model
    results = [{key: value.cpu() for key, value in one.items()} for one in model(images)]
    if truth is None:
        return list(map(Found, records, results))
    given = [boxes_and_labels(group, images[0].device) for group in truth]
    nothing: Sequence[Tensor | None] = [None] * len(images)
    masks = model.masks_on_boxes(images, given) if trained.config.has_masks else nothing
    maps = model.cams_on_boxes(images, given) if cams else nothing
    return [
        Found(record, result, instances, _on_host(mask), _on_host(cam))
        for record, result, instances, mask, cam in zip(
            records, results, truth, masks, maps, strict=True
        )
    ]


def _on_host(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.cpu()


def _batches(
    coco: CocoSet, batch_size: int, workers: int, device: torch.device
) -> Iterator[tuple[list[int], list[Tensor]]]:
    loader = DataLoader(
        _Images(coco),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_as_lists,
        pin_memory=device.type == "cuda",
    )
    for indices, images in loader:
        yield indices, [image.to(device, non_blocking=True) for image in images]


def _as_lists(samples: list[tuple[int, Tensor]]) -> tuple[list[int], list[Tensor]]:
    return [index for index, _ in samples], [image for _, image in samples]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.training.predict",
        description="Detect and segment with a trained model.",
    )
    parser.add_argument("model", type=Path, help="model.pt of a training run")
    parser.add_argument("--annotations", required=True, help="COCO-format labels of the set")
    parser.add_argument("--images", required=True, help="the folder of its images")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the results")
    parser.add_argument("--name", default="val", help="what to call the set in file names")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that load images")
    parser.add_argument("--no-boxes", action="store_true", help="nothing on true boxes")
    parser.add_argument("--cams", action="store_true", help="class activation maps too")
    parser.add_argument("--prior-from", choices=get_args(PriorFrom), help="the maps' boxes")
    add_on_bad(parser)
    options = parser.parse_args(arguments)
    try:
        trained = load_model(resolve(options.model))
        coco = open_labels(options, resolve(options.annotations), resolve(options.images))
        predictions = predict(
            trained,
            coco,
            device=pick_device(options.device),
            batch_size=options.batch_size,
            workers=options.workers,
            on_boxes=not options.no_boxes,
            cams=options.cams,
            prior_from=options.prior_from,
        )
        _write(predictions, options, has_masks=trained.config.has_masks)
    except (ValueError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    return 0


def _write(predictions: Predictions, options: argparse.Namespace, *, has_masks: bool) -> None:
    """Write what was predicted, as the command line says."""
    out, name, on_boxes = resolve(options.out), options.name, not options.no_boxes
    path = out / f"detections_{name}.json"
    write_json(path, predictions.detections)
    print(f"wrote {display(path)}: {len(predictions.detections)} detections")
    if has_masks and on_boxes:
        path = out / f"masks_on_boxes_{name}.json"
        write_json(path, predictions.masks_on_boxes)
        print(f"wrote {display(path)}")
    if options.cams:
        path = out / f"cams_{name}.npz"
        write_arrays(path, {"maps": predictions.cams})
        print(f"wrote {display(path)}")
    if options.cams and on_boxes:
        path = out / f"cams_on_boxes_{name}.npz"
        ids, maps = predictions.annotation_ids, predictions.cams_on_boxes
        write_arrays(path, {"annotation_id": ids, "maps": maps})
        print(f"wrote {display(path)}")


if __name__ == "__main__":
    raise SystemExit(main())

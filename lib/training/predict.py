"""Run a trained model: ``python -m lib.training.predict MODEL --annotations A --images D --out D``.

Writes COCO results, ``detections_NAME.json``, and, for a model with a mask branch,
``masks_on_boxes_NAME.json``: its masks on the ground-truth boxes, which show mask quality apart
from detection. Masks are pasted and encoded one at a time.

With ``--cams`` the raw class activation maps are written too, as ``maps`` ``[D, h, w]`` float16:
``cams_NAME.npz``, in the order of the detections, and ``cams_on_boxes_NAME.npz`` with the
``annotation_id`` of each ground-truth box.
"""

import argparse
import re
import sys
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lib.data.coco import CocoSet, Result
from lib.data.label_options import add_on_bad, open_labels
from lib.files import explain, write_json
from lib.models.config import PriorFrom
from lib.models.trunk import Seen
from lib.outputs import check_output
from lib.paths import display, resolve
from lib.training.activation_maps import stack_cams, write_arrays
from lib.training.checkpoint import TrainedModel, load_model
from lib.training.device import pick_device
from lib.training.inputs import boxes_and_labels, objects, pixels, require_classes, require_maps
from lib.training.kept_maps import KeptMaps, kept_maps
from lib.training.predictions import Predictions, detection_rows, rows_on_boxes

LOG_EVERY = 10.0
"""Seconds between lines of progress."""


class _Pictures(Dataset[Tensor | Seen]):
    """The pictures of a set, uint8 ``[3, H, W]``, or what is kept of them."""

    def __init__(self, coco: CocoSet, maps: KeptMaps | None) -> None:
        self.coco = coco
        self.maps = maps

    def __len__(self) -> int:
        return len(self.coco.images)

    def __getitem__(self, index: int) -> Tensor | Seen:
        record = self.coco.images[index]
        return (self.maps and self.maps.read(record)) or pixels(record)


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
    maps_folder: str = "",
    maps_gib: float = 8.0,
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
        maps_folder: where the maps of a frozen backbone are kept (see
            :mod:`lib.training.kept_maps`); "": none are. It changes no result.
        maps_gib: most that this folder may hold, in GiB; 0 keeps none.

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
    kept = kept_maps(model, maps_folder, gib=maps_gib)
    if kept:
        kept.fill(coco.images, model.look, mirrored=False)
    loader = DataLoader(
        _Pictures(coco, kept),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        pin_memory=device.type == "cuda",
    )
    has_masks = trained.config.has_masks and on_boxes
    rows, masks_on_boxes = list[Result](), list[Result]()
    maps, maps_on_boxes, ids = list[Tensor](), list[Tensor](), list[int]()
    following, done = iter(coco.images), 0
    start = last = time.monotonic()
    for pictures in loader:
        records = list(islice(following, len(pictures)))
        images = model.seen([one.to(device, non_blocking=True) for one in pictures])
        truth = [objects(coco, record.id) for record in records]
        given = [boxes_and_labels(group, device) for group in truth]
        with torch.inference_mode():
            results = [{name: x.cpu() for name, x in one.items()} for one in model(images)]
            masks = model.masks_on_boxes(images, given) if has_masks else []
            true_maps = model.cams_on_boxes(images, given) if cams and on_boxes else []
        for record, result in zip(records, results, strict=True):
            rows += detection_rows(record, result, coco.categories)
            maps += [result["cams"]] if cams else []
        for record, group, of_image in zip(records, truth, masks, strict=has_masks):
            masks_on_boxes += rows_on_boxes(record, group, of_image)
        maps_on_boxes += true_maps
        ids += [x.id for group in truth for x in group] if true_maps else []
        done += len(records)
        if time.monotonic() - last > LOG_EVERY or done == len(coco.images):
            last = time.monotonic()
            rate = done / (last - start)
            print(f"{done}/{len(coco.images)} images, {rate:.1f} images/s", flush=True)
    return Predictions(
        rows,
        masks_on_boxes,
        stack_cams(maps),
        stack_cams(maps_on_boxes),
        np.array(ids, np.int64),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.training.predict",
        description="Detect and segment with a trained model.",
    )
    add = parser.add_argument
    add("model", type=Path, help="model.pt of a training run")
    add("--annotations", required=True, help="COCO-format labels of the set")
    add("--images", required=True, help="the folder of its images")
    add("--out", type=Path, required=True, help="the folder for the results")
    add("--name", type=_plain_name, default="val", help="what to call the set in file names")
    add(
        "--force",
        action="store_true",
        help="replace files of these names, write below --images too",
    )
    add("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add("--batch-size", type=int, default=1)
    add("--workers", type=int, default=0, help="processes that load images")
    add("--no-boxes", action="store_true", help="nothing on true boxes")
    add("--cams", action="store_true", help="class activation maps too")
    add("--prior-from", choices=get_args(PriorFrom), help="the maps' boxes")
    add("--maps", default="", help="a folder that keeps maps of a frozen backbone for further runs")
    add("--maps-gib", type=float, default=8.0, help="most that it may hold")
    add_on_bad(parser)
    options = parser.parse_args(arguments)
    try:
        model, annotations = resolve(options.model), resolve(options.annotations)
        images = resolve(options.images)
        trained = load_model(model)
        boxes, cams = not options.no_boxes, options.cams
        asked = {
            "detections.json": True,
            "masks_on_boxes.json": trained.config.has_masks and boxes,
            "cams.npz": cams,
            "cams_on_boxes.npz": cams and boxes,
        }
        outputs = {
            stem: resolve(options.out) / f"{stem}_{options.name}.{end}"
            for stem, end in (name.split(".") for name, wanted in asked.items() if wanted)
        }
        for path in outputs.values():
            if path.exists() and not options.force:
                raise ValueError(
                    f"{display(path)} is there already, and may be somebody's own: choose another "
                    "--out or --name, or let it be replaced with --force."
                )
            elsewhere = None if options.force else images
            check_output(path, inputs=[model, annotations], images=elsewhere, suffix=path.suffix)
        predictions = predict(
            trained,
            open_labels(options, annotations, images),
            device=pick_device(options.device),
            batch_size=options.batch_size,
            workers=options.workers,
            on_boxes=boxes,
            cams=cams,
            prior_from=options.prior_from,
            maps_folder=options.maps,
            maps_gib=options.maps_gib,
        )
        _write(predictions, outputs)
    except (ValueError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    return 0


def _write(predictions: Predictions, outputs: Mapping[str, Path]) -> None:
    """Write what was predicted, each to its file."""
    for what, path in outputs.items():
        found = getattr(predictions, what)
        if path.suffix == ".json":
            write_json(path, found)
        else:
            ids = {"annotation_id": predictions.annotation_ids} if what == "cams_on_boxes" else {}
            write_arrays(path, {**ids, "maps": found})
        count = f": {len(found)} detections" if what == "detections" else ""
        print(f"wrote {display(path)}{count}")


def _plain_name(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is to be a part of file names: use letters, digits, '_', '-' and '.' alone"
        )
    return text


if __name__ == "__main__":
    raise SystemExit(main())

"""Run a trained model: ``python -m lib.engine.predict MODEL --annotations A --images D --out D``.

Writes COCO results, ``detections_NAME.json``, and, for a model with a mask branch,
``masks_on_boxes_NAME.json``: its masks on the ground-truth boxes, which show mask quality apart
from detection. Masks are pasted and encoded one at a time, so memory does not grow with the set.

With ``--cams`` the raw class activation maps are written too, as ``maps`` ``[D, h, w]`` float16:
``cams_NAME.npz``, in the order of the detections, and ``cams_on_boxes_NAME.npz`` with the
``annotation_id`` of each ground-truth box.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lib.data.coco import CocoSet, Instance
from lib.data.coco import load as load_coco
from lib.engine.cams import stack, write_arrays
from lib.engine.checkpoint import TrainedModel, load_model
from lib.engine.device import pick_device
from lib.engine.inputs import boxes_and_labels, objects, picture, require_classes, require_maps
from lib.files import write_json
from lib.masks.paste import paste
from lib.masks.rle import encode
from lib.models.config import PriorFrom
from lib.paths import display, resolve

Result = dict[str, Any]


class _Images(Dataset[tuple[int, Tensor]]):
    """The pictures of a set, by index: (index, float32 [3, H, W] in 0..1)."""

    def __init__(self, coco: CocoSet) -> None:
        self.coco = coco

    def __len__(self) -> int:
        return len(self.coco.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        return index, picture(self.coco.images[index])


@dataclass(frozen=True)
class Predictions:
    """COCO results of a set. What was not asked for, or the model does not have, is empty.

    Attributes:
        detections: image_id, category_id, bbox (xywh), score and, with masks, segmentation (RLE).
        masks_on_boxes: annotation_id, image_id, category_id, segmentation (RLE).
        cams: ``[D, h, w]`` float16, raw class activation maps in the order of ``detections``.
        cams_on_boxes: ``[N, h, w]`` float16, those of the ground-truth boxes and classes.
        annotation_ids: ``[N]`` int64, whose ``cams_on_boxes`` are.
    """

    detections: list[Result]
    masks_on_boxes: list[Result]
    cams: np.ndarray
    cams_on_boxes: np.ndarray
    annotation_ids: np.ndarray


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
    found, masks = list[Result](), list[Result]()
    maps, true_maps, ids = list[Tensor](), list[Tensor](), list[int]()
    start = last = time.monotonic()
    done = 0
    for indices, images in _batches(coco, batch_size, workers):
        batch = [image.to(device, non_blocking=True) for image in images]
        with torch.inference_mode():
            for index, result in zip(indices, model(batch), strict=True):
                found += _detections(coco, index, result)
                if cams:
                    maps.append(result["cams"])
            if on_boxes:
                truth = [objects(coco, coco.images[index].id) for index in indices]
                given = [boxes_and_labels(group, device) for group in truth]
                if trained.config.has_masks:
                    for group, rows in zip(truth, model.masks_on_boxes(batch, given), strict=True):
                        masks += _masks_on_boxes(coco, group, rows)
                if cams:
                    true_maps += model.cams_on_boxes(batch, given)
                    ids += [x.id for group in truth for x in group]
        done += len(indices)
        if time.monotonic() - last > log_every or done == len(coco.images):
            last = time.monotonic()
            rate = done / (last - start)
            print(f"{done}/{len(coco.images)} images, {rate:.1f} images/s", flush=True)
    return Predictions(found, masks, stack(maps), stack(true_maps), np.array(ids, np.int64))


def _batches(
    coco: CocoSet, batch_size: int, workers: int
) -> Iterator[tuple[list[int], list[Tensor]]]:
    loader = DataLoader(
        _Images(coco), batch_size=batch_size, num_workers=workers, collate_fn=_as_lists
    )
    yield from loader


def _as_lists(samples: list[tuple[int, Tensor]]) -> tuple[list[int], list[Tensor]]:
    return [index for index, _ in samples], [image for _, image in samples]


def encode_masks(probabilities: Tensor, boxes: Tensor, height: int, width: int) -> list[Result]:
    """Paste masks into their image, one at a time, and return them as RLE.

    Args:
        probabilities: ``[N, S, S]``, each mask within its box.
        boxes: ``[N, 4]`` xyxy pixels of the image.
        height: of the image.
        width: of the image.
    """
    pairs = zip(probabilities.cpu(), boxes.cpu(), strict=True)
    return [encode(paste(probability, box, height, width)) for probability, box in pairs]


def _detections(coco: CocoSet, index: int, result: dict[str, Tensor]) -> list[Result]:
    record = coco.images[index]
    rows = [
        {
            "image_id": record.id,
            "category_id": coco.categories.id_of(label),
            "bbox": _xywh(box),
            "score": round(score, 5),
        }
        for box, label, score in zip(
            result["boxes"].tolist(),
            result["labels"].tolist(),
            result["scores"].tolist(),
            strict=True,
        )
    ]
    if "mask_probs" in result:
        codes = encode_masks(result["mask_probs"], result["boxes"], record.height, record.width)
        for row, code in zip(rows, codes, strict=True):
            row["segmentation"] = code
    return rows


def _masks_on_boxes(
    coco: CocoSet, instances: list[Instance], probabilities: Tensor
) -> list[Result]:
    """Return one image's rows; masks ``[N, S, S]`` are within the instances' boxes."""
    if not instances:
        return []
    record = coco.image(instances[0].image_id)
    boxes = torch.tensor([x.box for x in instances])
    codes = encode_masks(probabilities, boxes, record.height, record.width)
    return [
        {
            "annotation_id": instance.id,
            "image_id": record.id,
            "category_id": instance.category_id,
            "segmentation": code,
        }
        for instance, code in zip(instances, codes, strict=True)
    ]


def _xywh(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.engine.predict", description="Detect and segment with a trained model."
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
    options = parser.parse_args(arguments)
    try:
        trained = load_model(resolve(options.model))
        coco = load_coco(resolve(options.annotations), resolve(options.images), check_images="none")
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
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    out, name, on_boxes = resolve(options.out), options.name, not options.no_boxes
    path = out / f"detections_{name}.json"
    write_json(path, predictions.detections)
    print(f"wrote {display(path)}: {len(predictions.detections)} detections")
    if trained.config.has_masks and on_boxes:
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
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

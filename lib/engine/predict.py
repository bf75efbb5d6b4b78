"""Run a trained model: ``python -m lib.engine.predict MODEL --annotations A --images D --out D``.

Writes COCO results, ``detections_NAME.json``, and, for a model with a mask branch,
``masks_on_boxes_NAME.json``: its masks on the ground-truth boxes, which show mask quality apart
from detection. Masks are pasted and encoded one at a time, so memory does not grow with the set.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lib.data.coco import CocoSet
from lib.data.coco import load as load_coco
from lib.data.images import read_image
from lib.engine.checkpoint import TrainedModel, load_model
from lib.engine.device import pick_device
from lib.files import write_json
from lib.masks.paste import paste
from lib.masks.rle import encode
from lib.models.detector import Detector
from lib.paths import display, resolve

Result = dict[str, Any]


class _Images(Dataset[tuple[int, Tensor]]):
    """The pictures of a set, by index: (index, float32 [3, H, W] in 0..1)."""

    def __init__(self, coco: CocoSet) -> None:
        self.coco = coco

    def __len__(self) -> int:
        return len(self.coco.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        image = torch.from_numpy(read_image(self.coco.images[index]))
        return index, image.permute(2, 0, 1).float() / 255


@dataclass(frozen=True)
class Predictions:
    """COCO results of a set.

    Attributes:
        detections: image_id, category_id, bbox (xywh), score and, with masks, segmentation (RLE).
        masks_on_boxes: annotation_id, image_id, category_id, segmentation (RLE); empty for models
            without masks.
    """

    detections: list[Result]
    masks_on_boxes: list[Result]


def predict(
    trained: TrainedModel,
    coco: CocoSet,
    *,
    device: torch.device,
    batch_size: int = 1,
    workers: int = 0,
    log_every: float = 10.0,
) -> Predictions:
    """Detect and segment the objects of a set.

    Args:
        trained: the model.
        coco: the set; its ground-truth boxes are used for ``masks_on_boxes`` alone.
        device: where to run.
        batch_size: images at once.
        workers: processes that load images.
        log_every: seconds between progress lines.

    Raises:
        ValueError: if the model and the set have different classes.
    """
    if trained.categories.names != coco.categories.names:
        raise ValueError(
            f"The model knows {', '.join(list(trained.categories.names)[:5])}, ..., but the set "
            f"has {', '.join(list(coco.categories.names)[:5])}, ...; evaluate a model on a set "
            "with the classes that it was trained for."
        )
    model = trained.model.to(device).eval()
    found, on_boxes = list[Result](), list[Result]()
    start = last = time.monotonic()
    done = 0
    for indices, images in _batches(coco, batch_size, workers):
        batch = [image.to(device, non_blocking=True) for image in images]
        with torch.inference_mode():
            for index, result in zip(indices, model(batch), strict=True):
                found += _detections(coco, index, result)
            if trained.config.has_masks:
                on_boxes += _masks_on_boxes(model, coco, indices, batch)
        done += len(indices)
        if time.monotonic() - last > log_every or done == len(coco.images):
            last = time.monotonic()
            rate = done / (last - start)
            print(f"{done}/{len(coco.images)} images, {rate:.1f} images/s", flush=True)
    return Predictions(found, on_boxes)


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
    model: Detector, coco: CocoSet, indices: list[int], images: list[Tensor]
) -> list[Result]:
    truth = [
        [i for i in coco.instances(coco.images[index].id) if not i.iscrowd] for index in indices
    ]
    given = [
        {
            "boxes": torch.tensor([i.box for i in group], device=image.device).reshape(-1, 4),
            "labels": torch.tensor([i.label for i in group], device=image.device, dtype=torch.long),
        }
        for group, image in zip(truth, images, strict=True)
    ]
    rows = []
    for index, group, masks, boxes in zip(
        indices, truth, model.masks_on_boxes(images, given), given, strict=True
    ):
        record = coco.images[index]
        codes = encode_masks(masks, boxes["boxes"], record.height, record.width)
        rows += [
            {
                "annotation_id": instance.id,
                "image_id": record.id,
                "category_id": instance.category_id,
                "segmentation": code,
            }
            for instance, code in zip(group, codes, strict=True)
        ]
    return rows


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
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    detections = resolve(options.out) / f"detections_{options.name}.json"
    write_json(detections, predictions.detections)
    print(f"wrote {display(detections)}: {len(predictions.detections)} detections")
    if trained.config.has_masks:
        on_boxes = resolve(options.out) / f"masks_on_boxes_{options.name}.json"
        write_json(on_boxes, predictions.masks_on_boxes)
        print(f"wrote {display(on_boxes)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

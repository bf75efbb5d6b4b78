"""Masks for detections: the second half of paper A's small-object branch (Sec. 2.2).

A detector has no masks; GrabCut makes one inside each of its boxes, on the whole image, and where
the result is poor an ellipse takes its place. What is poor is judged as in training: by the IoU of
the mask's tight box and the detected box. The slow part, GrabCut, is done once by `segment`; which
shape a detection finally gets is decided afterwards by `with_masks`, so that every rule and every
training-free row of the tables comes from the same file.

Every image is decoded once for all its detections, and detections that touch the same whole pixels
share one run of GrabCut. A mask depends on its picture, its box, the settings and a seed derived
from the image and the rectangle: the file is the same, byte for byte, from any number of workers
and after any interruption. What it cost is therefore in a file of its own, see `seconds_log`.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lib.data.coco import CocoSet, Result
from lib.data.pictures.images import read_image
from lib.files import read_json, write_json
from lib.masks import rle
from lib.masks.gather import BoxMask, Cost, ImageBoxes, UnitResult, gathered, into_units
from lib.masks.grabcut.exact import METHOD, GrabCutSettings, one_thread, rectangle
from lib.masks.grabcut.segmenter import describe, made_by, prepare
from lib.masks.quality import VALID_FROM, box_iou, is_valid
from lib.masks.shapes import ellipse_mask, rectangle_mask
from lib.metrics.coco_input import check
from lib.progress import Progress, duration
from lib.seeds import derive

Box = tuple[float, float, float, float]
Shape = Literal["rectangle", "ellipse", "grabcut", "grabcut_or_ellipse", "grabcut_or_rectangle"]

IMAGES_IN_SHARD = 4
"""At most: an image may have a hundred detections, and an interruption costs a shard per worker."""

_FIELDS = ("image_id", "category_id", "bbox", "score")


def segment(
    coco_set: CocoSet,
    detections: Sequence[Result],
    *,
    settings: GrabCutSettings,
    seed: int,
    workers: int,
    out: Path,
    dask: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Write what GrabCut finds in every detection of a set.

    The file holds ``detections``, in the order given: each result with all its fields as they
    are, ``grabcut`` (run lengths; ``[]`` if nothing was found, for example outside the image) and
    ``box_iou`` (of the mask's tight box and the detected box); and ``info``: the settings.

    Args:
        coco_set: where the images are; its labels are not looked at.
        detections: COCO results of these images: image_id, category_id, bbox (xywh, pixels; it
            may reach beyond the image) and score. May be empty.
        settings: of GrabCut.
        seed: base seed; that of a mask is derived from it, the image id and the rectangle.
        workers: processes, or 0 for all cores; not looked at with ``dask``.
        out: the file to write. Shards lie beside it while the work goes on.
        dask: address of a dask scheduler, see `lib.masks.pseudo.generate`.
        on_progress: called after every shard; there, "invalid" counts box IoUs below 0.5.

    Returns:
        ``out``. The times are in ``seconds_log(out)``.

    Raises:
        ValueError: if detections do not fit the set, another process is writing ``out``, or the
            cluster is not there or not fit.
        FileNotFoundError: if a picture is gone, or not there for a worker.
        WorkerLostError: if a worker process was killed, or the cluster is gone; running again
            continues.
    """
    units = _units(coco_set, detections)
    with gathered(
        units,
        partial(masks_of, settings=settings, seed=seed),
        out=out,
        module=__name__,
        made_by=partial(made_by, settings, seed=seed, module=__name__),
        workers=workers,
        dask=dask,
        on_progress=on_progress,
    ) as found:
        spent = {
            "workers": found.workers,
            "seconds": found.seconds,
            "earlier_boxes": found.earlier,
            "images": sorted(found.costs, key=lambda cost: cost["image_id"]),
        }
        write_json(seconds_log(out), spent)
        rows = [found.rows[i] for i in range(len(detections))]
        info = {
            **describe(settings, seed=seed),
            "boxes": len(detections),
            "images": sum(map(len, units)),
        }
        segmented = [
            {**result, "grabcut": row.code, "box_iou": row.box_iou}
            for result, row in zip(detections, rows, strict=True)
        ]
        write_json(out, {"detections": segmented, "info": info})
    return out


def masks_of(unit: Sequence[ImageBoxes], *, settings: GrabCutSettings, seed: int) -> UnitResult:
    """Return the masks of a unit's detections, which are numbered by their positions."""
    made: UnitResult = {"rows": [], "costs": []}
    with one_thread():
        for item in unit:
            rows, cost = _masks_of_image(item, settings, seed)
            made["rows"] += rows
            made["costs"].append(cost)
    return made


def _masks_of_image(
    item: ImageBoxes, settings: GrabCutSettings, seed: int
) -> tuple[list[BoxMask], Cost]:
    picture, image_id = read_image(item.image), item.image.id
    height, width = picture.shape[:2]
    start = time.perf_counter()
    segmenter = prepare(picture, settings)
    seconds, rows = time.perf_counter() - start, list[BoxMask]()
    masks: dict[tuple[Any, ...], tuple[Any, int, Box | None]] = {}
    for position, box in item.boxes:
        pixels = rectangle(box, height=height, width=width)
        # GrabCut sees whole pixels, except that it has no mask for a box of up to one pixel
        key = (*pixels, (box[2] - box[0]) * (box[3] - box[1]) <= 1)
        if key not in masks:
            own_seed = seed_of(seed, image_id, pixels)
            start = time.perf_counter()
            mask = segmenter.mask(box, seed=own_seed)
            seconds += time.perf_counter() - start
            area = int(mask.sum())
            masks[key] = rle.encode(mask) if area else [], area, rle.tight_box(mask)
        code, area, tight = masks[key]
        rows.append(BoxMask(position, code, area, box_iou(tight, box) if tight else 0.0))
    cost = Cost(image_id=image_id, boxes=len(rows), runs=len(masks), seconds=seconds)
    return rows, cost


def seed_of(seed: int, image_id: int, pixels: tuple[int, int, int, int]) -> int:
    """Return the seed of a mask from a base seed, its image and its rectangle (x, y, w, h)."""
    return derive(seed, METHOD, "detection", image_id, *pixels)


def box_of(result: Result) -> Box:
    """Return a result's box as xyxy pixels."""
    x, y, w, h = result["bbox"]
    return float(x), float(y), float(x + w), float(y + h)


def read_segmented(path: Path) -> list[Result]:
    """Return the detections of a file that `segment` wrote."""
    rows: list[Result] = read_json(path)["detections"]
    return rows


def with_masks(
    segmented: Sequence[Result], coco_set: CocoSet, *, shape: Shape, poor_below: float = VALID_FROM
) -> list[Result]:
    """Return detections with the masks that a rule gives them.

    ``grabcut_or_ellipse`` is paper A's rule (Sec. 2.2): GrabCut's mask where it is good, else the
    ellipse inscribed in the detected box. ``rectangle`` and ``ellipse`` ignore GrabCut;
    ``grabcut`` keeps poor masks as they are, empty ones too.

    Args:
        segmented: from `read_segmented`.
        coco_set: has the images' sizes.
        shape: the rule.
        poor_below: box IoU below which a mask is poor, above 0 (empty masks have 0), at most 1.

    Returns:
        COCO results in the same order: image_id, category_id, bbox, score, segmentation (run
        lengths, those of an empty mask included) and ``shape``: ``grabcut``, ``ellipse`` or
        ``rectangle``, whichever it got.
    """
    results = []
    for row in segmented:
        record = coco_set.image(row["image_id"])
        good = shape == "grabcut" or is_valid(row["box_iou"], poor_below)
        drawn = "grabcut" if shape.startswith("grabcut") and good else shape.split("_")[-1]
        size = record.height, record.width
        if drawn == "grabcut":
            code = row["grabcut"] or rle.encode(np.zeros(size, dtype=bool))
        else:
            draw = ellipse_mask if drawn == "ellipse" else rectangle_mask
            code = rle.encode(draw(box_of(row), *size))
        kept = {field: row[field] for field in _FIELDS}
        results.append({**kept, "segmentation": code, "shape": drawn})
    return results


def seconds_log(out: Path) -> Path:
    """Return where `segment` writes what ``out`` cost.

    The log holds ``workers``, ``seconds`` (of the run, by the clock), ``earlier_boxes`` (taken
    over from an interrupted run, whose times are not counted) and ``images``, those of this run:
    image_id, boxes, runs (of GrabCut) and seconds (of GrabCut on one core).
    """
    return out.with_suffix(".seconds.json")


def cost_line(log: Path) -> str:
    """Return one sentence on what GrabCut cost, from a file that `seconds_log` names."""
    content = read_json(log)
    images, workers = content["images"], content["workers"]
    seconds, boxes, runs = (sum(i[field] for i in images) for field in ("seconds", "boxes", "runs"))
    earlier = ""
    if content["earlier_boxes"]:
        earlier = f" {content['earlier_boxes']:,} boxes were taken over from an earlier run."
    if not boxes:
        return f"GrabCut had no box to segment in this run.{earlier}"
    return (
        f"GrabCut took {seconds / len(images):.2f} s per image and {seconds / boxes:.3f} s per "
        f"box on one core ({len(images):,} images, {boxes:,} boxes, {runs:,} different "
        f"rectangles); {workers} worker{'s' * (workers > 1)} needed "
        f"{duration(content['seconds'])} in all.{earlier}"
    )


def _units(coco_set: CocoSet, detections: Sequence[Result]) -> list[tuple[ImageBoxes, ...]]:
    """Return groups of images that have detections, in the order of the set."""
    check(detections, coco_set.to_coco(), iou_type="bbox")
    by_image: dict[int, list[tuple[int, Box]]] = {}
    for position, result in enumerate(detections):
        by_image.setdefault(result["image_id"], []).append((position, box_of(result)))
    items = [
        ImageBoxes(x.absolute(), tuple(by_image[x.id])) for x in coco_set.images if x.id in by_image
    ]
    return into_units(items, IMAGES_IN_SHARD)

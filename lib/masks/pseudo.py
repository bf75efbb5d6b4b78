"""Pseudo-masks for a whole set of boxes: a COCO file in, a COCO file with masks out.

Every image is decoded once for all of its boxes; groups of images go to worker processes and each
finished group is kept on disk, so that an interrupted run continues where it stopped. A mask
depends on its picture, its box, the settings and a seed derived from its annotation id; the file
is therefore the same, byte for byte, from any number of workers and after any interruption.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lib.data.coco import CocoSet, Instance
from lib.data.pictures.images import read_image
from lib.files import write_json
from lib.masks import rle
from lib.masks.gather import BoxMask, ImageBoxes, UnitResult, gathered, into_units
from lib.masks.grabcut.exact import METHOD, GrabCutSettings, one_thread
from lib.masks.grabcut.segmenter import describe, made_by, prepare
from lib.masks.quality import VALID_FROM, is_valid, mask_box_iou
from lib.progress import Progress
from lib.seeds import derive

SHARD_SIZE = 16
"""Images in a shard, at most: what an interruption costs per worker."""


def generate(
    coco_set: CocoSet,
    *,
    settings: GrabCutSettings,
    seed: int,
    workers: int,
    out: Path,
    valid_from: float = VALID_FROM,
    shard_size: int | None = None,
    dask: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Write a COCO file whose masks are those that GrabCut finds in the boxes of ``coco_set``.

    Images, categories, boxes, ids and further fields are kept. Each annotation gets
    ``segmentation`` (run lengths; ``[]`` if nothing was found), ``area`` (of the mask, pixels) and
    ``pseudo: {method, seed, box_iou, valid}``; ``info.pseudo_masks`` holds the settings. Masks
    that the input has are not copied: the file holds what boxes alone give. Crowd regions are not
    single objects; they are kept without a mask and without ``pseudo``.

    Args:
        coco_set: the boxes and where their images are.
        settings: of GrabCut.
        seed: base seed; each annotation's own is derived from it and the annotation id.
        workers: processes, or 0 for all cores; not looked at with ``dask``.
        out: the file to write. Shards lie beside it while the work goes on.
        valid_from: box IoU from which a mask counts as valid, above 0.
        shard_size: images in a shard; without it up to SHARD_SIZE, fewer in a small set.
        dask: address of the scheduler of a running dask cluster that does the work, such as
            ``tcp://host:8786``. Its processes need this code and its packages, and its workers the
            pictures under the same path.
        on_progress: called after every shard.

    Returns:
        ``out``.

    Raises:
        ValueError: if a setting is out of range, another process is writing ``out``, or the cluster
            is not there or not fit.
        FileNotFoundError: if a picture is gone, or not there for a worker.
        WorkerLostError: if a worker process was killed, or the cluster is gone; running again
            continues.
    """
    if (shard_size is not None and shard_size < 1) or not 0 < valid_from <= 1:
        raise ValueError(
            f"shard_size is {shard_size} and valid_from {valid_from}: expected at least 1 image, "
            "and a box IoU above 0, which empty masks have, and up to 1."
        )
    with gathered(
        _units(coco_set, shard_size),
        partial(masks_of, settings=settings, seed=seed),
        out=out,
        module=__name__,
        made_by=partial(made_by, settings, seed=seed, module=__name__),
        workers=workers,
        dask=dask,
        valid_from=valid_from,
        on_progress=on_progress,
    ) as found:
        write_json(out, _assemble(coco_set, found.rows, settings, seed, valid_from))
    return out


def masks_of(unit: Sequence[ImageBoxes], *, settings: GrabCutSettings, seed: int) -> UnitResult:
    """Return the masks of a unit's boxes, which are numbered by their annotations."""
    rows: list[BoxMask] = []
    with one_thread():
        for item in unit:
            picture = prepare(read_image(item.image), settings)
            for annotation_id, box in item.boxes:
                mask = picture.mask(box, seed=seed_of(seed, annotation_id))
                area = int(mask.sum())
                code: dict[str, Any] | list[Any] = rle.encode(mask) if area else []
                rows.append(BoxMask(annotation_id, code, area, mask_box_iou(mask, box)))
    return {"rows": rows, "costs": []}


def seed_of(seed: int, annotation_id: int) -> int:
    """Return the seed of an annotation's mask; it does not depend on any other annotation."""
    return derive(seed, METHOD, annotation_id)


def boxes_of(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Return the instances that get a pseudo-mask: all but crowd regions."""
    return tuple(instance for instance in instances if not instance.iscrowd)


def _units(coco_set: CocoSet, shard_size: int | None) -> list[tuple[ImageBoxes, ...]]:
    """Return groups of images that have boxes, in the order of the file."""
    items = []
    for image in coco_set.images:
        boxes = tuple((i.id, i.box) for i in boxes_of(coco_set.instances(image.id)))
        if boxes:
            items.append(ImageBoxes(image.absolute(), boxes))
    return into_units(items, SHARD_SIZE, size=shard_size)


def _assemble(
    coco_set: CocoSet,
    found: dict[int, BoxMask],
    settings: GrabCutSettings,
    seed: int,
    valid_from: float,
) -> dict[str, Any]:
    """Return the content of the output file."""
    content = coco_set.to_coco()
    for annotation in content["annotations"]:
        annotation["segmentation"] = []
        annotation.pop("pseudo", None)
        if annotation["id"] in found:
            _, code, area, box_iou = found[annotation["id"]]
            annotation.update(segmentation=code, area=area)
            annotation["pseudo"] = {
                "method": METHOD,
                "seed": seed_of(seed, annotation["id"]),
                "box_iou": box_iou,
                "valid": is_valid(box_iou, valid_from),
            }
    content["info"] = {
        **content["info"],
        "pseudo_masks": {**describe(settings, seed=seed), "valid_from": valid_from},
    }
    return content

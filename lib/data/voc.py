"""PASCAL VOC 2012 with SBD as one COCO-format set with exact instance masks.

Boxes are those of VOC's XML files, ``difficult`` objects included. Of the images that VOC itself
segments (1464 to train, 1449 to validate) masks are VOC's: pixel value l of ``SegmentationObject``
is the l-th object of the XML file (VOC development kit, Sec. 3.4), 255 is void. Of the others they
are SBD's (Hariharan et al., ICCV 2011), whose instances have numbers of their own: they are matched
to the XML file's boxes. An object that nobody segmented has a box only.

The 10 582 training images are the names in the lists: VOC's train and all of SBD, without VOC's
val.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.io import loadmat
from scipy.optimize import linear_sum_assignment

from lib.data.segmentation import encode
from lib.files import write_json
from lib.workers import worker_count, worker_options

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""In the order of their ids, 1 to 20."""

VOID = 255
"""In VOC's masks: belongs to no object for sure."""

SIZES: Mapping[str, int] = {"train": 10_582, "val": 1_449}
MATCH_FROM = 0.5
"""IoU of an SBD instance's tight box and an object's box from which they may be the same."""

_LISTS = "ImageSets/Segmentation"
_CHUNK = 64  # images handed to a process at a time


def convert(folder: Path, *, workers: int = 0, sizes: Mapping[str, int] = SIZES) -> str:
    """Write ``annotations/train.json`` and ``annotations/val.json``, as far as files are there.

    Args:
        folder: with VOC's ``JPEGImages``, ``Annotations``, ``SegmentationClass``,
            ``SegmentationObject``, ``ImageSets/Segmentation``, and ``sbd`` with SBD's ``inst``,
            ``train.txt`` and ``val.txt``; without ``sbd`` only the validation set is written.
        workers: processes, 0 for all cores. The files do not depend on it.
        sizes: images that each set must have.

    Returns:
        A sentence on what is there now, and on what is missing.

    Raises:
        FileNotFoundError: if VOC itself, or a file of an image, is missing.
        ValueError: if the lists have other sizes, or a file is not what it should be.
    """
    if not (folder / _LISTS / "val.txt").exists():
        raise FileNotFoundError(
            f"{folder} has no {_LISTS}/val.txt: SBD labels VOC's pictures, so VOC is needed too: "
            "python -m lib.data.download voc sbd"
        )
    names = {"val": _names(folder / _LISTS / "val.txt")}
    if (folder / "sbd/inst").exists():
        names["train"] = training_names(folder)
    said = []
    for name, listed in names.items():
        path = folder / "annotations" / f"{name}.json"
        if not path.exists():
            if len(listed) != sizes[name]:
                raise ValueError(
                    f"{folder} lists {len(listed):,} images for {name}, expected "
                    f"{sizes[name]:,}. Its lists are not those of VOC 2012 and SBD; remove "
                    f"{_LISTS} and sbd there and fetch both again."
                )
            write_json(path, coco_set(folder, listed, workers=workers, name=name))
        said.append(f"{path.relative_to(folder.parent)} ({len(listed):,} images)")
    missing = "" if "train" in names else "; train.json needs SBD: python -m lib.data.download sbd"
    return f"in COCO format: {' and '.join(sorted(said))}{missing}"


def training_names(folder: Path) -> list[str]:
    """Return the names of the images to train on: VOC's train and SBD's, without VOC's val."""
    voc = set(_names(folder / _LISTS / "train.txt"))
    sbd = {name for part in ("train", "val") for name in _names(folder / "sbd" / f"{part}.txt")}
    return sorted((voc | sbd) - set(_names(folder / _LISTS / "val.txt")))


def coco_set(folder: Path, names: Sequence[str], *, workers: int, name: str) -> dict[str, Any]:
    """Return images of VOC, by name, as a COCO dictionary.

    Its images have ``source``, whose masks they have (``voc2012`` or ``sbd``), ``void``, run
    lengths, where VOC says what is void, and ``numbered``, false where VOC's numbers contradict
    its class mask, so that masks were matched to boxes there too. Annotations have ``difficult``
    and ``truncated``; areas are those of masks, of boxes where there is none.

    Args:
        folder: see :func:`convert`.
        names: of images, such as ``2007_000033``.
        workers: processes, 0 for all cores.
        name: of the set.
    """
    parts = [names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK)]
    with parallel_config(**worker_options()):
        done = Parallel(n_jobs=worker_count(workers))(delayed(_images)(folder, p) for p in parts)
    content: dict[str, Any] = {
        "info": {"description": f"PASCAL VOC 2012 with SBD, {name}"},
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": n} for i, n in enumerate(CLASSES, start=1)],
    }
    for image, annotations in (pair for part in done for pair in part):
        content["images"].append(image)
        for annotation in annotations:
            number = len(content["annotations"]) + 1
            content["annotations"].append({"id": number, "image_id": image["id"], **annotation})
    return content


def _images(folder: Path, names: Sequence[str]) -> list[tuple[dict[str, Any], list[dict]]]:
    return [_image(folder, name) for name in names]


def _image(folder: Path, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return one image and its annotations, without their ids."""
    with Image.open(_there(folder / "JPEGImages" / f"{name}.jpg")) as picture:
        width, height = picture.size
    image: dict[str, Any] = {
        "id": int(name.replace("_", "")),
        "file_name": f"{name}.jpg",
        "width": width,
        "height": height,
    }
    objects = read_objects(_there(folder / "Annotations" / f"{name}.xml"))
    if (folder / "SegmentationObject" / f"{name}.png").exists():
        numbers, classes = (
            _read_indices(folder / kind / f"{name}.png", (height, width))
            for kind in ("SegmentationObject", "SegmentationClass")
        )
        image |= {"source": "voc2012", "void": encode(numbers == VOID)}
        numbers = np.where(numbers == VOID, 0, numbers)
        labels = _majority(numbers, classes)
        masks = by_number(numbers, labels, objects)
        if masks is None:
            masks = by_overlap(numbers, labels, objects)
            image["numbered"] = False
    else:
        numbers, labels = _read_sbd(_there(folder / "sbd/inst" / f"{name}.mat"), (height, width))
        masks = by_overlap(numbers, labels, objects)
        image["source"] = "sbd"
    annotations = []
    for x, mask in zip(objects, masks, strict=True):
        box = _xywh(x["box"])
        annotations.append(
            {
                "category_id": x["category_id"],
                "bbox": box,
                "area": box[2] * box[3] if mask is None else int(mask.sum()),
                "iscrowd": 0,
                "segmentation": [] if mask is None else encode(mask),
                "difficult": x["difficult"],
                "truncated": x["truncated"],
            }
        )
    return image, annotations


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a VOC XML file, in its order.

    Returns:
        For each ``category_id``, ``box`` (xyxy in pixels: VOC counts pixels from 1 and includes
        the last one), ``difficult`` and ``truncated`` (0 or 1).

    Raises:
        ValueError: if it is not such a file.
    """
    try:
        objects = []
        for x in ET.parse(path).getroot().iter("object"):
            x1, y1, x2, y2 = (
                float(x.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
            )
            objects.append(
                {
                    "category_id": CLASSES.index(x.findtext("name", "")) + 1,
                    "box": (x1 - 1, y1 - 1, x2, y2),
                    "difficult": int(x.findtext("difficult", "0")),
                    "truncated": int(x.findtext("truncated", "0")),
                }
            )
        return objects
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f"{path} is not an annotation of VOC: {error}. Fetch VOC again.") from None


def by_number(
    numbers: np.ndarray, labels: Sequence[int], objects: Sequence[Mapping[str, Any]]
) -> list[np.ndarray | None] | None:
    """Return each object's mask from VOC's: that of its own number.

    Args:
        numbers: [H, W], the object of each pixel from 1 on, 0 for none.
        labels: the class that most pixels of each number have in the class mask; 0 without any.
        objects: of the XML file.

    Returns:
        A mask or None for each object; None if a number's class is not that of its object, so
        that the numbers cannot be the objects'.
    """
    classes = [x["category_id"] for x in objects] + [0] * (len(labels) - len(objects))
    if any(label not in (0, own) for label, own in zip(labels, classes, strict=False)):
        return None
    masks = [numbers == i for i in range(1, len(objects) + 1)]
    return [mask if mask.any() else None for mask in masks]


def by_overlap(
    numbers: np.ndarray, labels: Sequence[int], objects: Sequence[Mapping[str, Any]]
) -> list[np.ndarray | None]:
    """Return each object's mask: of its class, with the tight box that fits, all in all best.

    Args:
        numbers: [H, W], the instance of each pixel from 1 on, 0 for none.
        labels: the class of each instance.
        objects: of the XML file.
    """
    masks: list[np.ndarray | None] = [None] * len(objects)
    found = [(numbers == i, label) for i, label in enumerate(labels, start=1)]
    found = [(mask, label) for mask, label in found if mask.any()]
    if not found or not objects:
        return masks
    tight = coco_mask.toBbox([encode(mask) for mask, _ in found])
    fits = coco_mask.iou(np.array([_xywh(x["box"]) for x in objects]), tight, [0] * len(found))
    own = np.array([x["category_id"] for x in objects])[:, None]
    fits = np.where(own == [label for _, label in found], fits, 0.0)
    for i, j in zip(*linear_sum_assignment(fits, maximize=True), strict=True):
        if fits[i, j] >= MATCH_FROM:
            masks[i] = found[j][0]
    return masks


def _read_sbd(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, list[int]]:
    """Return SBD's instance of each pixel, [H, W], and the class of each instance."""
    try:
        content = loadmat(path, simplify_cells=True, variable_names=["GTinst"])["GTinst"]
        numbers = np.asarray(content["Segmentation"])
        labels = [int(label) for label in np.atleast_1d(content["Categories"])]
    except Exception as error:  # loadmat raises whatever a damaged file leads it to
        raise ValueError(
            f"{path} is not an instance file of SBD ({error}). Fetch SBD again."
        ) from error
    if numbers.shape != size or numbers.max(initial=0) > len(labels):
        raise ValueError(
            f"{path} has {numbers.shape} pixels and {len(labels)} classes, expected {size} and "
            f"{numbers.max(initial=0)}. Fetch SBD again."
        )
    return numbers, labels


def _majority(numbers: np.ndarray, classes: np.ndarray) -> list[int]:
    """Return the class, below VOID, that most pixels of each number from 1 on have; 0 if none."""
    labels = []
    for number in range(1, int(numbers.max(initial=0)) + 1):
        inside = classes[(numbers == number) & (classes != VOID)]
        labels.append(int(np.bincount(inside).argmax()) if inside.size else 0)
    return labels


def _read_indices(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return the indices of a PNG with a palette, [H, W]."""
    with Image.open(_there(path)) as picture:
        indices = np.asarray(picture)
    if indices.shape != size:
        raise ValueError(f"{path} is {indices.shape}, its picture {size} pixels. Fetch VOC again.")
    return indices


def _there(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing. Remove its folder and fetch the set again.")
    return path


def _names(path: Path) -> list[str]:
    return _there(path).read_text(encoding="utf-8").split()


def _xywh(box: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]

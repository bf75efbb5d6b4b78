"""VOC's and SBD's files in their true formats, written from objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from lib.data.voc import CLASSES, VOID


@dataclass(frozen=True)
class Thing:
    """An object: class name, box (xyxy pixels), mask [H, W] or None, and VOC's flag."""

    name: str
    box: tuple[float, float, float, float]
    mask: np.ndarray | None = None
    difficult: int = 0


def write_picture(folder: Path, name: str, size: tuple[int, int]) -> None:
    """Write a grey picture of (height, width) pixels."""
    path = folder / "JPEGImages" / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], "grey").save(path)


def write_xml(folder: Path, name: str, things: Sequence[Thing]) -> None:
    """Write VOC's annotation: pixels are counted from 1, the last one is included."""
    path = folder / "Annotations" / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = ""
    for thing in things:
        x1, y1, x2, y2 = thing.box
        objects += (
            f"<object><name>{thing.name}</name><truncated>0</truncated>"
            f"<difficult>{thing.difficult}</difficult><part><name>head</name><bndbox>"
            "<xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
            f"<bndbox><xmax>{x2:g}</xmax><xmin>{x1 + 1:g}</xmin><ymax>{y2:g}</ymax>"
            f"<ymin>{y1 + 1:g}</ymin></bndbox></object>"
        )
    path.write_text(f"<annotation><filename>{name}.jpg</filename>{objects}</annotation>")


def write_masks(
    folder: Path, name: str, things: Sequence[Thing], void: np.ndarray, order: Sequence[int] = ()
) -> None:
    """Write VOC's two masks; ``order`` gives the objects other numbers than their places."""
    numbers = np.zeros(void.shape, dtype=np.uint8)
    classes = np.zeros(void.shape, dtype=np.uint8)
    for number, thing in zip(order or range(1, len(things) + 1), things, strict=True):
        if thing.mask is not None:
            numbers[thing.mask] = number
            classes[thing.mask] = CLASSES.index(thing.name) + 1
    for kind, indices in (("SegmentationObject", numbers), ("SegmentationClass", classes)):
        indices[void] = VOID
        path = folder / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(indices, mode="P")
        image.putpalette([value % 256 for value in range(3 * 256)])
        image.save(path)


def write_sbd(folder: Path, name: str, things: Sequence[Thing], shape: tuple[int, int]) -> None:
    """Write SBD's instances, in their own order: the last object is number 1."""
    numbers, labels = np.zeros(shape, dtype=np.uint8), []
    for thing in reversed([t for t in things if t.mask is not None]):
        labels.append(CLASSES.index(thing.name) + 1)
        numbers[thing.mask] = len(labels)
    path = folder / "sbd/inst" / f"{name}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    categories = np.array(labels, dtype=np.float64).reshape(-1, 1)
    boundaries = np.empty((len(labels), 1), dtype=object)
    for row in boundaries:
        row[0] = csc_matrix(shape, dtype=float)
    savemat(path, {"GTinst": {"Segmentation": numbers, "Boundaries": boundaries,
                              "Categories": categories}}, do_compression=True)  # fmt: skip


def write_lists(folder: Path, **lists: Sequence[str]) -> None:
    """Write the lists of images: ``train``, ``val`` of VOC; ``sbd_train``, ``sbd_val``."""
    for name, images in lists.items():
        part = name.removeprefix("sbd_")
        path = folder / ("sbd" if part != name else "ImageSets/Segmentation") / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{image}\n" for image in images))

"""A COCO-format set in memory: images, instances with or without masks, and categories.

Built straight from the JSON; pictures are read only when asked for. Everything in the study that
is labels passes through here: real sets, embedded scenes, pseudo-masks. Boxes are ``xyxy`` float
pixels in memory and ``xywh`` in files; masks stay as the file has them (RLE or polygons) until
``lib.masks.rle`` decodes one.
"""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from lib.data import validation
from lib.data.categories import Categories
from lib.data.pictures.check import ImageCheck, Orientation, Outside
from lib.data.pictures.check import check_images as look_at_images
from lib.data.pictures.images import ImageRecord
from lib.data.repair.boxes import refuse_other_forms, repair_boxes
from lib.data.repair.counts import Repairs
from lib.data.repair.labels import possible_roots, repair, tidy, without_roots
from lib.data.repair.masks import check_masks
from lib.data.segmentation import mask_area
from lib.data.validation import BadLabels, OnBad
from lib.files import read_json

Box = tuple[float, float, float, float]
Result = dict[str, Any]
"""A row of a COCO results file: image_id, category_id, bbox (xywh) and score, perhaps a mask."""

_NOTHING: dict[str, Any] = {}  # shared by all instances without further fields, to stay light
_ANNOTATION_FIELDS = frozenset(
    ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "pseudo")
)
_SET_FIELDS = frozenset(("info", "images", "annotations", "categories"))


@dataclass(frozen=True, slots=True)
class Instance:
    """One labelled object.

    Attributes:
        id: annotation id, unique in the set.
        image_id: the image it is on.
        label: contiguous class label, 1..K.
        category_id: the class as the file names it.
        box: (x1, y1, x2, y2) in pixels, inside the image, x2 > x1 and y2 > y1.
        area: pixels, as the file says; where it does not say, of the mask, or else of the box.
        iscrowd: a region of many objects, not one: no training target, ignored by evaluation.
        segmentation: compressed or plain RLE (dict), polygons (list), or ``None``: box only.
        pseudo: how the mask was made ({method, seed, box_iou, valid}) if it is a pseudo-mask.
        extra: further fields of the annotation (VOC: difficult, truncated, ...); read only.
    """

    id: int
    image_id: int
    label: int
    category_id: int
    box: Box
    area: float
    iscrowd: bool = False
    segmentation: dict[str, Any] | list[Any] | None = None
    pseudo: dict[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_mask(self) -> bool:
        """Whether the file has a mask of it (real or pseudo)."""
        return self.segmentation is not None


@dataclass(frozen=True, eq=False)
class CocoSet:
    """A set of labelled images; make one with ``load``.

    Attributes:
        categories: its classes.
        images: its images, in the order of the file.
        image_root: folder of the pictures, or ``None`` if only labels are needed.
        annotations_path: the file it came from.
        info: the file's ``info``.
        dropped: number of images and annotations left out, by kind (see ``validation.KINDS``).
        repaired: number of things that were changed or are strange, by kind (see
            ``repairs.REPAIRS``).
        extra: further top-level fields of the file (licences).
    """

    categories: Categories
    images: tuple[ImageRecord, ...]
    image_root: Path | None
    annotations_path: Path
    info: Mapping[str, Any]
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    extra: Mapping[str, Any]
    _instances: Mapping[int, tuple[Instance, ...]] = field(repr=False)
    _records: Mapping[int, ImageRecord] = field(repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def image(self, image_id: int) -> ImageRecord:
        """Return the record of an image.

        Raises:
            ValueError: if the set has no such image.
        """
        try:
            return self._records[image_id]
        except KeyError:
            raise ValueError(f"{self.annotations_path} has no image with id {image_id}.") from None

    def instances(self, image_id: int) -> tuple[Instance, ...]:
        """Return the instances on an image, crowd regions included, in the order of the file.

        Raises:
            ValueError: if the set has no such image.
        """
        return self._instances.get(self.image(image_id).id, ())

    def all_instances(self) -> tuple[Instance, ...]:
        """Return all instances, image after image."""
        return tuple(x for image in self.images for x in self._instances.get(image.id, ()))

    def subset(self, image_ids: Iterable[int]) -> "CocoSet":
        """Return the set of these images and their instances, in the order of this set.

        Raises:
            ValueError: if an id is not in the set.
        """
        chosen = {self.image(i).id for i in image_ids}
        return replace(
            self,
            images=tuple(image for image in self.images if image.id in chosen),
            _instances={i: self._instances[i] for i in chosen if i in self._instances},
            _records={i: self._records[i] for i in chosen},
        )

    def with_categories(self, categories: Categories) -> "CocoSet":
        """Return the set with other categories, its own among them, and labels by them."""
        relabelled = {
            i: tuple(replace(x, label=categories.label_of(x.category_id)) for x in some)
            for i, some in self._instances.items()
        }
        return replace(self, categories=categories, _instances=relabelled)

    def to_coco(self) -> dict[str, Any]:
        """Return the set as the content of a COCO-format file.

        Boxes are ``xywh``, rounded to 1e-6 px. ``load`` of the result gives an equal set.
        """
        categories, used = self.categories.to_coco(), {x.category_id for x in self.all_instances()}
        for category in possible_roots(categories):
            if category["id"] not in used:  # a class all the same: else opening would leave it out
                category["supercategory"] = category["name"]
        return {
            **self.extra,
            "info": dict(self.info),
            "images": [image.to_coco() for image in self.images],
            "annotations": [instance_to_coco(x) for x in self.all_instances()],
            "categories": categories,
        }


def load(
    annotations: str | Path,
    images: str | Path | None,
    *,
    on_bad: OnBad = "error",
    check_images: ImageCheck = "header",
    orientation: Orientation = "auto",
    outside: Outside = "refuse",
) -> CocoSet:
    """Open a COCO-format set and check it.

    Args:
        annotations: the JSON file. Instances need a box; masks are optional for each.
        images: folder of the pictures, or ``None`` to work with the labels alone.
        on_bad: ``"error"`` raises one error that lists all bad labels; ``"repair"`` mends what is
            clear in its meaning (see ``lib.data.repair.counts.REPAIRS``) and leaves out the rest;
            ``"drop"`` leaves all out. What is mended and left out is logged with its number by
            kind. A bad mask costs the mask alone; a dropped image takes its annotations with it.
        check_images: which bad files are found: ``"header"`` missing, truncated and of another
            size (about 0.1 ms each), ``"decode"`` damage inside a file too (about 1 ms each on two
            cores), ``"none"`` nothing. See ``lib.data.pictures.headers.look_at``.
        orientation: whether pictures are read as their EXIF tag turns them; see
            ``lib.data.pictures.check.check_images``.
        outside: ``"read"`` pictures outside the folder too (``..``, absolute names, links), or
            ``"refuse"`` them.

    Returns:
        The set. Boxes that stick out of their image by rounding (up to 1 px) are clipped.

    Raises:
        FileNotFoundError: if the file or the folder does not exist.
        BadLabels: if there are bad labels and ``on_bad`` is ``"error"``.
        ValueError: if the file is not COCO format, its boxes are written in another way than
            COCO's or in no clear one, or nothing is left.
    """
    path = Path(annotations)
    root = Path(images) if images is not None else None
    if not path.is_file():
        raise FileNotFoundError(f"There is no annotation file {path}.")
    if root is not None and not root.is_dir():
        raise FileNotFoundError(f"There is no image folder {root}.")
    with _collector_paused():
        return from_coco(
            read_json(path),
            path,
            root,
            on_bad=on_bad,
            check_images=check_images,
            orientation=orientation,
            outside=outside,
        )


def from_coco(
    content: Any,
    path: Path,
    root: Path | None,
    *,
    on_bad: OnBad = "error",
    check_images: ImageCheck = "header",
    orientation: Orientation = "auto",
    outside: Outside = "refuse",
) -> CocoSet:
    """Build a set from the content of a COCO-format file; see ``load``.

    Args:
        content: the parsed JSON. It is not changed, but the set refers to parts of it.
        path: where it came from, for messages.
        root: folder of the pictures, or ``None``.
        on_bad, check_images, orientation, outside: see ``load``.
    """
    for argument, value, choices in (
        ("on_bad", on_bad, OnBad),
        ("check_images", check_images, ImageCheck),
        ("orientation", orientation, Orientation),
        ("outside", outside, Outside),
    ):
        if value not in get_args(choices):
            known = ", ".join(map(repr, get_args(choices)))
            raise ValueError(f"{argument} is one of {known}, not {value!r}.")
    validation.check_structure(content, str(path))
    listed = len(content["annotations"])
    repairs = Repairs()
    content = tidy(content, repairs, strict=on_bad == "error")
    if on_bad == "repair":
        content = repair(content, repairs)
    bad_images, images, unturned = look_at_images(
        content["images"], root, check_images, orientation, outside, name=path.name
    )
    records = {record.id: record for record in images.values()}
    sizes = {i: (record.width, record.height) for i, record in records.items()}
    if on_bad == "repair":
        content["annotations"] = repair_boxes(
            content["annotations"], sizes, str(path), repairs, unturned=unturned
        )
        content["categories"] = without_roots(content, repairs)
    else:
        refuse_other_forms(content["annotations"], sizes, str(path))
    validation.check_categories(content, str(path))
    try:
        categories = Categories.from_coco(content["categories"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    bad, boxes, limits = validation.check_annotations(
        content["annotations"],
        sizes=sizes,
        dropped_images={p.id for p in bad_images.values() if type(p.id) is int},
        category_ids=set(categories.ids),
        unturned=unturned,
    )
    bad_masks, masks = check_masks(
        content["annotations"], boxes, limits, bad, repairs, mend=on_bad != "error"
    )
    problems = [*bad_images.values(), *bad.values(), *bad_masks.values()]
    dropped = validation.count(problems)
    if problems and on_bad == "error":
        raise BadLabels(str(path), problems)
    repairs.warn(path.name)
    validation.warn_of_dropped(problems, path.name)
    if not records:
        raise ValueError(f"No usable image is left in {path}: {validation.said(dropped)}.")
    by_image: dict[int, list[Instance]] = {}
    for i, (annotation, box) in enumerate(zip(content["annotations"], boxes.tolist(), strict=True)):
        if i not in bad:
            image = records[annotation["image_id"]]
            mask = masks[i] if i in masks else annotation.get("segmentation") or None
            instance = _instance(annotation, tuple(box), mask, categories, image)
            by_image.setdefault(instance.image_id, []).append(instance)
    if listed and not by_image:
        why = "; ".join(filter(None, (validation.said(dropped), repairs.said("placeholder"))))
        raise ValueError(f"All {listed} annotations of {path} were dropped: {why}.")
    return CocoSet(
        categories=categories,
        images=tuple(records.values()),
        image_root=root,
        annotations_path=path,
        info=content["info"],
        dropped=dropped,
        repaired=repairs.counts,
        extra={k: v for k, v in content.items() if k not in _SET_FIELDS},
        _instances={i: tuple(instances) for i, instances in by_image.items()},
        _records=records,
    )


def instance_to_coco(x: Instance) -> dict[str, Any]:
    """Return an instance as a COCO annotation (box ``xywh``; ``segmentation`` [] if no mask)."""
    x1, y1, x2, y2 = x.box
    annotation: dict[str, Any] = {
        "id": x.id,
        "image_id": x.image_id,
        "category_id": x.category_id,
        "bbox": [round(v, 6) for v in (x1, y1, x2 - x1, y2 - y1)],
        "area": x.area,
        "iscrowd": int(x.iscrowd),
        "segmentation": x.segmentation if x.segmentation is not None else [],
    }
    if x.pseudo is not None:
        annotation["pseudo"] = x.pseudo
    return {**annotation, **x.extra}


def _instance(
    a: dict[str, Any], box: Box, segmentation: Any, categories: Categories, image: ImageRecord
) -> Instance:
    area = a.get("area")
    if area is None:  # as many files of boxes have it
        area = (box[2] - box[0]) * (box[3] - box[1])
        if segmentation:
            area = mask_area(segmentation, image.height, image.width)
    return Instance(
        id=a["id"],
        image_id=a["image_id"],
        label=categories.label_of(a["category_id"]),
        category_id=a["category_id"],
        box=box,
        area=float(area),
        iscrowd=bool(a.get("iscrowd", 0)),
        segmentation=segmentation,
        pseudo=a.get("pseudo"),
        extra={k: v for k, v in a.items() if k not in _ANNOTATION_FIELDS} or _NOTHING,
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the search for reference cycles, which costs half the time of reading a large JSON."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

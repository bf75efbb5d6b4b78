"""Class activation maps as masks, judged like masks (paper B, Table 3).

The paper does not say how a map becomes a mask. Here the map of the predicted class is scaled to
[0, 1], interpolated to the 28 x 28 cells of a mask head's output, placed in its box, and cut at a
threshold: 0.5, or swept, since a fixed one may suit one model's maps better than another's. A
constant map has nothing that stands out and becomes an empty mask.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lib.masks.paste import Window, sample
from lib.masks.rle import decode_mask, encode
from lib.metrics.coco_ap import APResult, accumulate, prepare
from lib.metrics.coco_input import BadDetections, check, examples
from lib.metrics.coco_match import Matcher, by_image
from lib.models.prior import min_max

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

SIDE = 28
"""Cells along a side of a map within its box, as those of a mask head's output."""

AT_ONCE = 256
"""Maps that are interpolated together."""

MAX_DETECTIONS = 100
"""Best-scored detections that count per image and class, as COCO has it."""

THRESHOLD = 0.5
"""A pixel belongs to the mask from this share of the map's range on."""

COLUMNS = ("annotation_id", "image_id", "label", "name", "area", "threshold", "iou")


@dataclass(frozen=True)
class Cams:
    """Class activation maps of a set's detections or ground-truth boxes, as the model gave them.

    Attributes:
        maps: float32 [D, h, w], before any scaling.
        annotation_id: whose box each map is of, int64 [D]; None for maps of detections.
    """

    maps: np.ndarray
    annotation_id: np.ndarray | None


def read_cams(path: str | Path) -> Cams:
    """Return the maps of a file that ``python -m lib.training.predict --cams`` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold maps, or holds values that are no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file of class activation maps {path}. Predict with --cams to write it."
        )
    try:
        with np.load(path) as content:
            found = dict(content)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a NumPy archive (.npz): {error}.") from error
    maps = found.get("maps", np.zeros(0))
    ids = found.get("annotation_id")
    if maps.ndim != 3 or (ids is not None and ids.shape != maps.shape[:1]):
        raise ValueError(
            f"{path} does not hold class activation maps: expected 'maps' [D, h, w] and, for those "
            f"on boxes, 'annotation_id' [D]; found "
            f"{ {name: value.shape for name, value in found.items()} }. Predict with --cams again."
        )
    maps = maps.astype(np.float32)
    if not np.isfinite(maps).all():
        raise ValueError(
            f"{path} holds maps with infinite values or NaN: the model or its training diverged."
        )
    return Cams(maps, ids)


def cam_ap_sweep(
    coco_set: "CocoSet",
    detections: Sequence[Mapping[str, Any]],
    maps: np.ndarray,
    thresholds: Sequence[float],
) -> dict[float, APResult]:
    """Return the mask AP of class activation maps as masks, by threshold.

    The masks of one image are held at a time, so memory hardly grows with the set.

    Args:
        coco_set: the ground truth.
        detections: COCO results with ``bbox`` (xywh, pixels).
        maps: the map of each detection's class in its box, float [D, h, w], in the same order.
        thresholds: shares of a map's range from which a pixel is set, above 0 and up to 1.

    Returns:
        Results with AP, AP50 and AP75, and no area ranges.

    Raises:
        BadDetections: if there is not one map per detection, or an image is unknown.
        ValueError: if a threshold is out of its range.
    """
    _check_thresholds(thresholds)
    _check_maps(detections, maps)
    sizes = _sizes(detections, coco_set)
    prepared = prepare(coco_set, iou_type="segm", area_ranges={})
    check(detections, prepared.content, iou_type="bbox")
    matchers = {
        threshold: Matcher(prepared.truth, max_detections=MAX_DETECTIONS)
        for threshold in thresholds
    }
    for group in by_image(detections, prepared.truth):
        ours = [detections[row] for row in group.rows]
        placed = list(_windows(ours, maps[group.rows], sizes))
        for threshold, matcher in matchers.items():
            matcher.add(
                group, [encode(window.at_least(threshold, *size)) for window, size in placed]
            )
    return {threshold: accumulate(prepared, matcher) for threshold, matcher in matchers.items()}


def cam_iou_on_boxes(
    coco_set: "CocoSet", cams: Cams, thresholds: Sequence[float] = (THRESHOLD,)
) -> pd.DataFrame:
    """Return how well the maps on true boxes, as masks, cover the objects, by threshold.

    Args:
        coco_set: the ground truth. Crowd regions and instances without a mask are left out.
        cams: one map for each of these instances. Those of further instances are ignored.
        thresholds: shares of a map's range from which a pixel is set.

    Returns:
        One row per threshold and instance: annotation_id, image_id, label, name, area (of the true
        mask, square pixels), threshold, iou (0 to 1). The rows of one threshold are what
        :func:`lib.metrics.mask_iou.mean_iou` takes.

    Raises:
        ValueError: if the maps are not of this set's boxes, or a threshold is out of its range.
    """
    _check_thresholds(thresholds)
    rows = _rows_of_boxes(coco_set, cams)
    judged = [x for x in coco_set.all_instances() if x.has_mask and not x.iscrowd]
    missing = [x.id for x in judged if x.id not in rows]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(judged)} instances of {coco_set.annotations_path.name} have "
            f"no class activation map ({examples(missing)}). Predict with --cams on this very set."
        )
    cells = _cells(cams.maps[[rows[x.id] for x in judged]])
    table = []
    for instance, values in zip(judged, cells, strict=True):
        record = coco_set.image(instance.image_id)
        truth = decode_mask(instance, record.height, record.width)
        window = sample(values, torch.tensor(instance.box), record.height, record.width)
        common = window.values[truth[window.rows, window.columns]]
        name = coco_set.categories.name_of(instance.label)
        area = int(truth.sum())
        for threshold in thresholds:
            both = np.count_nonzero(common >= threshold)
            either = area + np.count_nonzero(window.values >= threshold) - both
            iou = both / either if either else 0.0
            known = (instance.id, instance.image_id, instance.label, name, area)
            table.append((*known, threshold, iou))
    frame = pd.DataFrame(table, columns=list(COLUMNS))
    return frame.sort_values("threshold", kind="stable", ignore_index=True)


def _check_maps(detections: Sequence[Mapping[str, Any]], maps: np.ndarray) -> None:
    if len(detections) != len(maps):
        raise BadDetections(
            f"There are {len(detections)} detections and {len(maps)} class activation maps: they "
            "are not of one run of lib.training.predict --cams."
        )


def _sizes(
    detections: Sequence[Mapping[str, Any]], coco_set: "CocoSet"
) -> dict[int, tuple[int, int]]:
    """Return height and width of every image; those of all detections must be among them."""
    sizes = {image.id: (image.height, image.width) for image in coco_set.images}
    unknown = [d["image_id"] for d in detections if d["image_id"] not in sizes]
    if unknown:
        raise BadDetections(
            f"{len(unknown)} detections are of images that {coco_set.annotations_path.name} does "
            f"not have ({examples(unknown)}). Judge them against the set they were predicted on."
        )
    return sizes


def _windows(
    detections: Sequence[Mapping[str, Any]],
    maps: np.ndarray,
    sizes: Mapping[int, tuple[int, int]],
) -> Iterator[tuple[Window, tuple[int, int]]]:
    """Yield each map in its place, and the size of its image."""
    for detection, values in zip(detections, _cells(maps), strict=True):
        x, y, width, height = detection["bbox"]
        size = sizes[detection["image_id"]]
        yield sample(values, torch.tensor([x, y, x + width, y + height]), *size), size


def _cells(maps: np.ndarray) -> Iterator[Tensor]:
    """Yield maps scaled to [0, 1] and interpolated, float32 [SIDE, SIDE]; some are held at once."""
    for start in range(0, len(maps), AT_ONCE):
        part = np.asarray(maps[start : start + AT_ONCE], dtype=np.float32)
        scaled = min_max(torch.from_numpy(part))[:, None]
        yield from interpolate(scaled, size=(SIDE, SIDE), mode="bilinear")[:, 0]


def _rows_of_boxes(coco_set: "CocoSet", cams: Cams) -> dict[int, int]:
    """Return the row of each annotation's map."""
    if cams.annotation_id is None:
        raise ValueError(
            "These class activation maps are of detections; for those on true boxes read "
            "cams_on_boxes_NAME.npz."
        )
    names = cams.annotation_id.tolist()
    strangers = sorted(set(names) - {x.id for x in coco_set.all_instances()})
    if strangers or len(set(names)) < len(names):
        raise ValueError(
            f"Class activation maps do not fit {coco_set.annotations_path.name}: {len(strangers)} "
            f"are of unknown annotations ({examples(strangers)}), {len(names) - len(set(names))} "
            "of annotations that have one already. Predict with --cams on this very set."
        )
    return {name: row for row, name in enumerate(names)}


def _check_thresholds(thresholds: Sequence[float]) -> None:
    outside = [threshold for threshold in thresholds if not 0 < threshold <= 1]
    if outside:
        raise ValueError(
            f"Maps between 0 and 1 are cut at thresholds above 0 and up to 1, not at "
            f"{examples(outside)}: at 0 every mask would be its whole box."
        )

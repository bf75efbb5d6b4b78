"""Mask quality apart from detection: IoU of the masks predicted on ground-truth boxes.

AP mixes how well objects are found with how well they are outlined. Given the true boxes, a mask
head has nothing to find, so the mean IoU of its masks shows outlining alone (the question of both
papers), without thresholds.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from pycocotools import mask as mask_api

from lib.data.segmentation import compressed
from lib.metrics.bootstrap import ImageSums, Score
from lib.metrics.coco_input import examples

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

COLUMNS = ("annotation_id", "image_id", "label", "name", "area", "iou")


def iou_on_boxes(coco_set: "CocoSet", masks: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the mask IoU of every instance that has a true mask.

    Args:
        coco_set: the ground truth. Crowd regions and instances without a mask, or with one that
            has no pixel, are left out.
        masks: predictions with ``annotation_id`` and ``segmentation`` (RLE of the image's size),
            one for each of these instances; an empty mask has IoU 0. Those of further instances
            of the set are ignored.

    Returns:
        One row per instance: annotation_id, image_id, label, name, area (of the true mask, square
        pixels), iou (0 to 1).

    Raises:
        ValueError: if a mask is missing or of another set.
    """
    predicted = {mask["annotation_id"]: dict(mask["segmentation"]) for mask in masks}
    instances = coco_set.all_instances()
    judged = [x for x in instances if x.has_mask and not x.iscrowd]
    strangers = predicted.keys() - {x.id for x in instances}
    missing = [x.id for x in judged if x.id not in predicted]
    if strangers or missing:
        raise ValueError(
            f"Masks on ground-truth boxes do not fit {coco_set.annotations_path.name}: "
            f"{len(missing)} of {len(judged)} instances have none ({examples(missing)}), "
            f"{len(strangers)} are of unknown annotations ({examples(sorted(strangers))}). "
            "Predict one mask per ground-truth box of this very set, an empty one included."
        )
    rows = []
    for instance in judged:
        record = coco_set.image(instance.image_id)
        size = (record.height, record.width)
        given = predicted[instance.id]
        truth = compressed(instance.segmentation or [], *size)
        area = int(mask_api.area(truth))
        if not area:
            continue
        iou = mask_api.iou([given], [truth], [0])
        name = coco_set.categories.name_of(instance.label)
        rows.append((instance.id, instance.image_id, instance.label, name, area, float(iou[0, 0])))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def mean_iou(frame: pd.DataFrame, *, resamples: int = 300, seed: int = 0) -> Score:
    """Return the mean IoU over instances with its resamples over images.

    Args:
        frame: from :func:`iou_on_boxes`, or some of its rows.
        resamples: number of resamples.
        seed: of the resamples.
    """
    per_image = frame.groupby("image_id")["iou"].agg(["sum", "count"])
    instances = frozenset(frame["annotation_id"])
    drawn = ImageSums(per_image, resamples=resamples, seed=seed, instances=instances)
    return drawn.ratio("sum", "count")

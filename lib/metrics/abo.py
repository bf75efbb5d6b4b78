"""Average best overlap (ABO, paper A's Table 1): how well the best detection covers each object.

Per class the mean over its instances of the best IoU that a kept detection of the class has with
the instance's mask, 0 for a missed one; then the mean over classes (Pont-Tuset and Van Gool; "MABO"
of selective search). Other definitions are in use. BoxLevelSet's published code, for one, skips
classes of an image without any detection, so that a model which stays silent loses nothing.

More detections never lower an ABO. So how many are kept belongs to the definition: here those with
a score of 0.05 or more, at most 100 per image. Pixels that VOC's masks call void count as
background.

Values are fractions of 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pycocotools import mask as mask_api

from lib.data.categories import Categories
from lib.data.segmentation import areas
from lib.metrics.bootstrap import Score, image_weights, mean_over_classes
from lib.metrics.coco_input import as_dict, ground_truth, masks_found

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

COLUMNS = ("annotation_id", "image_id", "label", "name", "area", "overlap")


def best_overlaps(
    source: "CocoSet | Mapping[str, Any]",
    detections: Sequence[Mapping[str, Any]],
    *,
    score_threshold: float = 0.05,
    max_detections: int = 100,
) -> pd.DataFrame:
    """Return for every instance the best IoU of its mask with a detection's.

    Args:
        source: opened labels or a COCO dictionary. Crowd regions and instances without a mask are
            left out.
        detections: COCO results with ``segmentation`` (RLE); may be empty.
        score_threshold: lowest score that is kept.
        max_detections: best-scored detections that are kept per image, over all classes; of equal
            scores the one given first.

    Returns:
        One row per instance: annotation_id, image_id, label, name, area (of the true mask, square
        pixels), overlap (best IoU with a detection of its class, 0 where there is none).

    Raises:
        BadDetections: if detections do not fit the set (no mask, unknown image, wrong size, NaN).
        ValueError: if the ground truth is not a COCO dictionary.
    """
    content = as_dict(source)
    categories = Categories.from_coco(list(content["categories"]))
    truth = ground_truth(content, iou_type="segm")
    found = masks_found(detections, truth)
    kept = _kept(found, score_threshold=score_threshold, max_detections=max_detections)
    instances: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for given, instance in zip(content["annotations"], truth["annotations"], strict=True):
        if not instance["iscrowd"]:
            instances.setdefault(instance["image_id"], []).append((given["id"], instance))
    rows = []
    for image_id, judged in instances.items():
        ours = kept.get(image_id, [])
        masks = [instance["segmentation"] for _, instance in judged]
        overlaps = np.zeros((len(ours), len(masks)))
        if ours:
            found_masks = [d["segmentation"] for d in ours]
            overlaps = np.asarray(mask_api.iou(found_masks, masks, [0] * len(masks)))
        classes = np.array([d["category_id"] for d in ours], dtype=np.int64)
        sizes = areas(masks).tolist()
        for (name, instance), area, overlap in zip(judged, sizes, overlaps.T, strict=True):
            label = categories.label_of(instance["category_id"])
            best = float(overlap[classes == instance["category_id"]].max(initial=0.0))
            rows.append((name, image_id, label, categories.name_of(label), area, best))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def score(frame: pd.DataFrame, *, resamples: int = 300, seed: int = 0) -> Score:
    """Return the average best overlap with its resamples over images; NaN where there is nothing.

    Class means are taken within each resample; a class that is not in it is left out of the mean.

    Args:
        frame: from :func:`best_overlaps`.
        resamples: number of resamples.
        seed: of the resamples.
    """
    values = np.full(1 + resamples, np.nan)
    if len(frame):
        parts = frame.pivot_table("overlap", "image_id", "label", ["sum", "count"]).fillna(0)
        drawn = image_weights(len(parts), resamples=resamples, seed=seed)
        weights = np.concatenate([np.ones((1, len(parts))), drawn])
        counts = weights @ parts["count"].to_numpy()  # [1 + B, classes]
        means = weights @ parts["sum"].to_numpy() / np.maximum(counts, 1)
        values = mean_over_classes(np.where(counts > 0, means, np.nan))
    return Score(
        estimate=float(values[0]),
        resampled=values[1:],
        images=frame["image_id"].nunique(),
        drawn_from=(frozenset(frame["annotation_id"]), seed),
    )


def _kept(
    found: Iterable[dict[str, Any]], *, score_threshold: float, max_detections: int
) -> dict[int, list[dict[str, Any]]]:
    """Return the detections that are kept, by image."""
    kept: dict[int, list[dict[str, Any]]] = {}
    for detection in sorted(found, key=lambda d: -d["score"]):  # stable
        of_image = kept.setdefault(detection["image_id"], [])
        if detection["score"] >= score_threshold and len(of_image) < max_detections:
            of_image.append(detection)
    return kept

"""Average best overlap (ABO, paper A's Table 1): how well the best detection covers each object.

ABO has no single definition. Each starts from the best IoU that a kept detection of its class has
with an instance's mask, and they differ in what is averaged over what:

* ``class_mean``: per class the mean over its instances, 0 for a missed one; the mean over classes
  (Pont-Tuset and Van Gool; "MABO" of selective search). The one this study reports.
* ``instance_mean``: the mean over all instances, 0 for a missed one.
* ``pair_mean_found``: BoxLevelSet's published code. Per pair of an image and a class, the mean
  over its instances; the mean over pairs. Pairs without any detection of the class are skipped,
  so that a model which stays silent loses nothing: it flatters.
* ``class_agnostic``: as ``instance_mean``, with the best detection of any class.

More detections never lower an ABO, except by ``pair_mean_found``. So how many are kept belongs to
the definition: here those with a score of 0.05 or more, at most 100 per image. Pixels that VOC's
masks call void count as background.

Values are fractions of 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from pycocotools import mask as mask_api

from lib.data.categories import Categories
from lib.metrics.bootstrap import Score, image_weights, mean_over_classes
from lib.metrics.coco_input import as_dict, ground_truth, masks_found

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

Definition = Literal["class_mean", "instance_mean", "pair_mean_found", "class_agnostic"]

COLUMNS = (
    "annotation_id",
    "image_id",
    "label",
    "name",
    "area",
    "overlap",
    "overlap_any",
    "detections",
)


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
        pixels), overlap (best IoU with a detection of its class, 0 where there is none),
        overlap_any (with one of any class), detections (kept ones of its class in its image).

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
        areas = mask_api.area(masks).tolist()
        for (name, instance), area, overlap in zip(judged, areas, overlaps.T, strict=True):
            same = classes == instance["category_id"]
            label = categories.label_of(instance["category_id"])
            best = [float(some.max(initial=0.0)) for some in (overlap[same], overlap)]
            known = (name, image_id, label, categories.name_of(label), area)
            rows.append((*known, *best, int(same.sum())))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def score(
    frame: pd.DataFrame,
    *,
    definition: Definition = "class_mean",
    resamples: int = 300,
    seed: int = 0,
) -> Score:
    """Return the average best overlap with its resamples over images; NaN where there is nothing.

    Class means are taken within each resample; a class that is not in it is left out of the mean.

    Args:
        frame: from :func:`best_overlaps`.
        definition: see the module.
        resamples: number of resamples.
        seed: of the resamples.
    """
    images = sorted(set(frame["image_id"]))
    weights = np.ones((1, len(images)))
    if images:
        drawn = image_weights(len(images), resamples=resamples, seed=seed)
        weights = np.concatenate([weights, drawn])
    estimate, *resampled = _averages(frame, images, weights, definition)
    return Score(
        estimate=float(estimate),
        resampled=np.array(resampled or np.full(resamples, np.nan)),
        images=_parts(frame, definition)["image_id"].nunique(),
        drawn_from=(frozenset(frame["annotation_id"]), seed),
    )


def _averages(
    frame: pd.DataFrame, images: Sequence[int], weights: np.ndarray, definition: Definition
) -> np.ndarray:
    """Return the ABO under each weighting of the images, [B, I] -> [B]."""
    parts = _parts(frame, definition)
    of = parts.pivot_table(
        index="image_id", columns="group", values="value", aggfunc=["sum", "count"]
    )
    if of.empty:
        return np.full(len(weights), np.nan)
    of = of.reindex(images).fillna(0)
    drawn = weights @ of["count"].to_numpy()  # [B, groups]
    means = weights @ of["sum"].to_numpy() / np.maximum(drawn, 1)
    return mean_over_classes(np.where(drawn > 0, means, np.nan))


def _parts(frame: pd.DataFrame, definition: Definition) -> pd.DataFrame:
    """Return what a definition averages: image_id, value, and the group of equal weight it is in.

    Raises:
        ValueError: if there is no such definition.
    """
    if definition == "class_mean":
        return frame.assign(value=frame["overlap"], group=frame["label"])
    if definition == "instance_mean":
        return frame.assign(value=frame["overlap"], group=0)
    if definition == "class_agnostic":
        return frame.assign(value=frame["overlap_any"], group=0)
    if definition == "pair_mean_found":
        found = frame[frame["detections"] > 0]
        pairs = found.groupby(["image_id", "label"], as_index=False)["overlap"].mean()
        return pairs.assign(value=pairs["overlap"], group=0)
    raise ValueError(
        f"No definition {definition!r} of average best overlap. "
        f"Known are {', '.join(get_args(Definition))}."
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

"""Which detections are right under the protocols of PASCAL VOC instance segmentation.

Two readings of "mAP^r" are in use (SDS and what followed it, chainercv and what followed it). They
differ in which instance a detection is held against and in whether an IoU on the threshold is
enough. Both go through the detections of a class and an image, best score first:

* ``"sds"``: the best instance that none before it has taken; IoU > threshold.
* ``"argmax"``: the best instance of all, and who comes second to it is wrong; IoU >= threshold.

A detection that is not right is wrong, unless it lies in a region where nobody can say: a crowd
region, or the box of an instance without a mask (see :mod:`lib.metrics.coco_input`). If as much
of the detection is inside it as the threshold asks of an IoU, it is neither right nor wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from pycocotools import mask as mask_api

from lib.masks.rle import decode, encode
from lib.metrics.coco_match import Matches

Matching = Literal["sds", "argmax"]
Difficult = Literal["count", "ignore"]

IOU_THRESHOLDS = (0.25, 0.5, 0.7, 0.75)
"""Paper A reports .5 and .75, image-level and some box-level papers .25 and .7 as well."""


def match_class(
    instances: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    *,
    image_ids: Sequence[int],
    matching: Matching,
) -> Matches:
    """Return what became of the detections of one class, best score first.

    Args:
        instances: of this class, on all images, as ``coco_input.ground_truth`` gives them; those
            with a true ``uncounted`` are not missed, and a detection held against one is neither
            right nor wrong, however many there are.
        detections: of this class, on all images, as ``coco_input.results`` gives them. Of equal
            scores the one given first comes first.
        image_ids: all images; a detection's place among them is kept.
        matching: see the module.

    Returns:
        Matches with a row per threshold of :data:`IOU_THRESHOLDS`.
    """
    position = {image_id: i for i, image_id in enumerate(image_ids)}
    scores = np.array([d["score"] for d in detections], dtype=float)
    order = np.argsort(-scores, kind="stable")
    rows: dict[int, list[int]] = {}
    for row, i in enumerate(order):
        rows.setdefault(detections[i]["image_id"], []).append(row)
    truth: dict[int, list[Mapping[str, Any]]] = {}
    counted = np.zeros(len(image_ids), dtype=np.int64)
    for instance in instances:
        truth.setdefault(instance["image_id"], []).append(instance)
        if not (instance["iscrowd"] or instance["uncounted"]):
            counted[position[instance["image_id"]]] += 1
    true = np.zeros((len(IOU_THRESHOLDS), len(order)), dtype=bool)
    false = np.zeros_like(true)
    for image_id, places in rows.items():
        masks = [detections[order[row]]["segmentation"] for row in places]
        verdicts = _verdicts(masks, truth.get(image_id, []), matching=matching)
        true[:, places], false[:, places] = verdicts
    return Matches(
        image=np.array([position[detections[i]["image_id"]] for i in order], dtype=np.int64),
        score=scores[order],
        true=true,
        false=false,
        instances=counted,
    )


def _verdicts(
    masks: Sequence[Any], truth: Sequence[Mapping[str, Any]], *, matching: Matching
) -> tuple[np.ndarray, np.ndarray]:
    """Return who is right and who is wrong on one image, bool [T, D] each."""
    objects = [x for x in truth if not x["iscrowd"]]
    regions = [x for x in truth if x["iscrowd"]]
    uncounted = [x["uncounted"] for x in objects]
    overlap = _shares(masks, objects, of_detection=False)
    excused = _shares(masks, regions, of_detection=True).max(axis=1, initial=0.0)
    right = np.zeros((len(IOU_THRESHOLDS), len(masks)), dtype=bool)
    wrong = np.zeros_like(right)
    for t, threshold in enumerate(IOU_THRESHOLDS):
        above = np.greater if matching == "sds" else np.greater_equal
        enough, wrong[t] = above(overlap, threshold), ~above(excused, threshold)
        taken = np.zeros(len(objects), dtype=bool)
        for d in np.flatnonzero(enough.any(axis=1)):
            candidates = np.where(taken, -1.0, overlap[d]) if matching == "sds" else overlap[d]
            best = candidates.argmax()
            if not above(candidates[best], threshold):
                continue
            if uncounted[best]:
                wrong[t, d] = False
            elif not taken[best]:
                right[t, d], wrong[t, d], taken[best] = True, False, True
    return right, wrong


def _shares(
    masks: Sequence[Any], truth: Sequence[Mapping[str, Any]], *, of_detection: bool
) -> np.ndarray:
    """Return each mask's IoU with each instance, [D, G], or the share of the mask inside it."""
    if not masks or not truth:
        return np.zeros((len(masks), len(truth)))
    others = [x["segmentation"] for x in truth]
    return np.asarray(mask_api.iou(list(masks), others, [int(of_detection)] * len(others)))


def remove_void(images: Sequence[Mapping[str, Any]], annotations: Sequence[dict[str, Any]]) -> None:
    """Take the void pixels of their image out of masks; the annotations are changed.

    Args:
        images: COCO images; ``void`` is the run-length code (or polygons) of the pixels that
            belong to no one's account, as the label 255 of VOC's masks. None or empty: no such.
        annotations: with ``image_id`` and ``segmentation`` (compressed RLE).

    Raises:
        ValueError: if a void region cannot be read or is of another size than its image.
    """
    judged: dict[int, Any] = {}
    for image in images:
        try:
            void = decode(image.get("void"), image["height"], image["width"])
        except ValueError as error:
            raise ValueError(
                f"The void region of image {image['id']} cannot be used. {error}"
            ) from error
        if void.any():
            judged[image["id"]] = encode(~void)
    for annotation in annotations:
        region = judged.get(annotation["image_id"])
        if region is not None:
            both = [annotation["segmentation"], region]
            annotation["segmentation"] = mask_api.merge(both, intersect=True)


def check_choice(name: str, value: str, kind: Any) -> None:
    """Raise a sentence unless ``value`` is one of a Literal's values."""
    allowed = get_args(kind)
    if value not in allowed:
        known = " or ".join(f'"{x}"' for x in allowed)
        raise ValueError(f"{name} is {known}, not {value!r}.")

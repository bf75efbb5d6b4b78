"""Small trials of GrabCut on a sample of boxes: what a mask costs, and how far chance moves it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import pandas as pd

from lib.data.coco import CocoSet, Instance
from lib.data.images import read_image
from lib.masks import rle
from lib.masks.grabcut import GrabCutSettings, grabcut, one_thread
from lib.masks.pseudo import boxes_of, seed_of
from lib.masks.quality import VALID_FROM, is_valid, mask_box_iou, mask_iou
from lib.seeds import derive


def sample(coco_set: CocoSet, count: int, *, seed: int) -> list[Instance]:
    """Return up to ``count`` boxes, drawn by a hash of their ids, in the order of the images.

    Raises:
        ValueError: if ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"trial_boxes is {count}: expected at least 1 box to try GrabCut on.")
    boxes = boxes_of(coco_set.all_instances())
    drawn = sorted(boxes, key=lambda instance: derive(seed, "trial", instance.id))[:count]
    chosen = {instance.id for instance in drawn}
    return [instance for instance in boxes if instance.id in chosen]


def trial(
    coco_set: CocoSet, instances: Sequence[Instance], *, settings: GrabCutSettings, seed: int
) -> pd.DataFrame:
    """Make the masks of some boxes on one core and take the time.

    Args:
        coco_set: has the images.
        instances: ordered by image, as `sample` returns them.
        settings: of GrabCut.
        seed: base seed, as in `lib.masks.pseudo.generate`.

    Returns:
        Columns ``annotation_id``, ``box_area`` and ``image_area`` (pixels), ``seconds`` (GrabCut
        alone, without decoding the image), ``box_iou``, ``segmentation`` (run lengths).
    """
    rows = []
    with one_thread():
        for image_id, group in groupby(instances, key=lambda instance: instance.image_id):
            image = read_image(coco_set.image(image_id))
            for instance in group:
                x1, y1, x2, y2 = instance.box
                start = time.perf_counter()
                own_seed = seed_of(seed, instance.id)
                mask = grabcut(image, instance.box, settings=settings, seed=own_seed)
                rows.append(
                    {
                        "annotation_id": instance.id,
                        "box_area": (x2 - x1) * (y2 - y1),
                        "image_area": image.shape[0] * image.shape[1],
                        "seconds": time.perf_counter() - start,
                        "box_iou": mask_box_iou(mask, instance.box),
                        "segmentation": rle.encode(mask),
                    }
                )
    return pd.DataFrame(rows)


def agreement(
    first: pd.DataFrame, second: pd.DataFrame, *, valid_from: float = VALID_FROM
) -> dict[str, float]:
    """Return how far two trials on the same boxes agree.

    Returns:
        ``valid_agreement`` (share of boxes on which both say valid or both say invalid),
        ``mask_iou`` (mean; two empty masks count as equal), ``invalid_share_before``,
        ``invalid_share`` (of the first and of the second) and ``seconds`` (mean per box of the
        second).
    """
    pairs = first.merge(second, on="annotation_id", validate="one_to_one")
    ious = [
        mask_iou(rle.decode(a, *a["size"]), rle.decode(b, *b["size"]))
        for a, b in zip(pairs["segmentation_x"], pairs["segmentation_y"], strict=True)
    ]
    valid_first = pairs["box_iou_x"].map(lambda iou: is_valid(iou, valid_from))
    valid_second = pairs["box_iou_y"].map(lambda iou: is_valid(iou, valid_from))
    return {
        "valid_agreement": float((valid_first == valid_second).mean()),
        "mask_iou": float(sum(ious) / len(ious)) if ious else float("nan"),
        "invalid_share_before": float((~valid_first.astype(bool)).mean()),
        "invalid_share": float((~valid_second.astype(bool)).mean()),
        "seconds": float(pairs["seconds_y"].mean()),
    }


def stability(
    coco_set: CocoSet,
    instances: Sequence[Instance],
    *,
    settings: GrabCutSettings,
    seed: int,
    other_iterations: Sequence[int],
    valid_from: float = VALID_FROM,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the masks of some boxes with those of another seed and other iteration counts.

    Returns:
        The first trial, and one row per comparison: ``changed`` (what is different) and the values
        of `agreement`.

    Raises:
        ValueError: if there are no boxes.
    """
    if not instances:
        raise ValueError("There is no box to try GrabCut on: the set has crowd regions at most.")
    first = trial(coco_set, instances, settings=settings, seed=seed)
    others = {"another seed": (settings, seed + 1)} | {
        f"{n} iteration{'s' * (n > 1)}": (replace(settings, iterations=n), seed)
        for n in other_iterations
        if n != settings.iterations
    }
    rows = []
    for changed, (own_settings, own_seed) in others.items():
        second = trial(coco_set, instances, settings=own_settings, seed=own_seed)
        rows.append({"changed": changed, **agreement(first, second, valid_from=valid_from)})
    return first, pd.DataFrame(rows)

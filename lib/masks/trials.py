"""Trials of GrabCut on a sample of boxes: what masks cost, side by side, and how far they agree.

The runs of a trial take turns box by box on the same decoded picture, on one core, and who comes
first changes from box to box.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

import numpy as np
import pandas as pd

from lib.data.coco import CocoSet, Instance
from lib.data.pictures.images import read_image
from lib.masks import rle
from lib.masks.grabcut.exact import GrabCutSettings, one_thread
from lib.masks.grabcut.segmenter import Segmenter, prepare, warm_up
from lib.masks.pseudo import boxes_of, seed_of
from lib.masks.quality import VALID_FROM, is_valid, mask_box_iou, mask_iou
from lib.progress import Progress
from lib.seeds import derive

EXACT: Final = "exact"
OTHER_SEED: Final = "other_seed"
FAST: Final = "fast"
"""Runs: GrabCut on the whole image, the same with another seed, and the fast method."""

Run = tuple[GrabCutSettings, int]
"""One way to make a mask: GrabCut's settings, and the base seed (as of `pseudo.generate`)."""


def sample(coco_set: CocoSet, count: int, *, seed: int) -> list[Instance]:
    """Return up to ``count`` boxes, of images drawn by a hash of their ids.

    The images come with all their boxes (the last one with as many as are left), since what is
    done once for an image is part of what its boxes cost.

    Args:
        coco_set: the boxes; crowd regions are left out.
        count: of boxes; 0 for all.
        seed: of the draw.

    Returns:
        The boxes, image after image in the order of the set.

    Raises:
        ValueError: if ``count`` is negative, or there is no box.
    """
    if count < 0:
        raise ValueError(
            f"{count} boxes to try GrabCut on: expected at least 1, or 0 for all of them."
        )
    drawn = sorted(coco_set.images, key=lambda image: derive(seed, "trial", image.id))
    boxes = [box for image in drawn for box in boxes_of(coco_set.instances(image.id))]
    if not boxes:
        raise ValueError(
            f"{coco_set.annotations_path} has no box to make a mask for: crowd regions at most."
        )
    chosen = {instance.id for instance in boxes[: count or None]}
    return [x for x in boxes_of(coco_set.all_instances()) if x.id in chosen]


def trial(
    coco_set: CocoSet,
    instances: Sequence[Instance],
    runs: Mapping[str, Run],
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> pd.DataFrame:
    """Make the masks of some boxes in several ways, in turns on one core, and take the time.

    Args:
        coco_set: has the images.
        instances: ordered by image, as `sample` returns them.
        runs: by name.
        on_progress: called after every image; there, "invalid" counts those of the first run.

    Returns:
        A row per box and run: ``run``, ``annotation_id``, ``image_id``, ``box_area`` and
        ``image_area`` (pixels), ``image_boxes`` (how many of the boxes are on the image),
        ``seconds`` (of the mask and a like share of ``prepare_seconds``), ``prepare_seconds`` (of
        the image, once for its boxes), ``decode_seconds`` (of the picture; part of no other
        time), ``box_iou``, ``true_iou`` (IoU with the true mask; NaN if there is none) and
        ``segmentation`` (run lengths).
    """
    rows: list[dict[str, Any]] = []
    turns = [[*list(runs)[first:], *list(runs)[:first]] for first in range(len(runs))]
    start, done, invalid = time.monotonic(), 0, 0
    with one_thread():
        for settings in dict.fromkeys(settings for settings, _ in runs.values()):
            warm_up(settings)
        for image_id, group in groupby(instances, key=lambda instance: instance.image_id):
            boxes = list(group)
            begin = time.perf_counter()
            image = read_image(coco_set.image(image_id))
            decoding = time.perf_counter() - begin
            prepared: dict[GrabCutSettings, tuple[Segmenter, float]] = {}
            for settings in dict.fromkeys(runs[name][0] for name in turns[done % len(runs)]):
                begin = time.perf_counter()
                prepared[settings] = prepare(image, settings), time.perf_counter() - begin
            for instance in boxes:
                for name in turns[done % len(runs)]:
                    settings, seed = runs[name]
                    segmenter, preparing = prepared[settings]
                    row = _one_mask(instance, image, seed, segmenter)
                    row["seconds"] += preparing / len(boxes)
                    once = {"prepare_seconds": preparing, "decode_seconds": decoding}
                    rows.append({"run": name, "image_boxes": len(boxes), **once, **row})
                    invalid += name == turns[0][0] and not is_valid(row["box_iou"])
                done += 1
            counts = {"done": done, "total": len(instances), "earlier": 0, "invalid": invalid}
            on_progress(Progress(**counts, seconds=time.monotonic() - start))
    return pd.DataFrame(rows)


def _one_mask(
    instance: Instance, image: np.ndarray, seed: int, segmenter: Segmenter
) -> dict[str, Any]:
    """Return what one run gives for one box, with the seconds of the mask alone."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = instance.box
    own_seed = seed_of(seed, instance.id)
    start = time.perf_counter()
    mask = segmenter.mask(instance.box, seed=own_seed)
    seconds = time.perf_counter() - start
    true = rle.decode_mask(instance, height, width) if instance.has_mask else None
    return {
        "annotation_id": instance.id,
        "image_id": instance.image_id,
        "box_area": (x2 - x1) * (y2 - y1),
        "image_area": height * width,
        "seconds": seconds,
        "box_iou": mask_box_iou(mask, instance.box),
        "true_iou": mask_iou(mask, true) if true is not None else math.nan,
        "segmentation": rle.encode(mask),
    }


def by_box(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a trial with one row per box, in its order: columns (what, run), index the box's id.

    Raises:
        ValueError: if a box has two rows of one run.
    """
    wide = frame.pivot(index="annotation_id", columns="run")
    return wide.loc[frame["annotation_id"].unique()]


def mask_ious(boxes: pd.DataFrame, first: str, second: str) -> pd.Series:
    """Return the IoU of each box's masks of two runs; two empty masks count as equal.

    Args:
        boxes: of `by_box`.
        first: a run.
        second: the other run.
    """
    codes = boxes["segmentation"]
    ious = [
        mask_iou(rle.decode(a, *a["size"]), rle.decode(b, *b["size"]))
        for a, b in zip(codes[first], codes[second], strict=True)
    ]
    return pd.Series(ious, index=boxes.index, dtype=float)


def agreement(
    boxes: pd.DataFrame, first: str, second: str, *, valid_from: float = VALID_FROM
) -> dict[str, float]:
    """Return how far two runs of a trial agree.

    Returns:
        ``valid_agreement`` (share of boxes on which both say valid or both say invalid),
        ``mask_iou`` (mean; two empty masks count as equal), ``invalid_share_before``,
        ``invalid_share`` (of the first and of the second) and ``seconds`` (mean per box of the
        second).
    """
    before, after = (boxes["box_iou", run].ge(valid_from) for run in (first, second))
    return {
        "valid_agreement": float((before == after).mean()),
        "mask_iou": float(mask_ious(boxes, first, second).mean()),
        "invalid_share_before": float((~before).mean()),
        "invalid_share": float((~after).mean()),
        "seconds": float(boxes["seconds"][second].mean()),
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
    """Compare masks of some boxes: both methods, another seed, other numbers of iterations.

    Args:
        coco_set: has the images.
        instances: ordered by image, as `sample` returns them.
        settings: of GrabCut; the numbers of iterations are varied with its method.
        seed: base seed.
        other_iterations: numbers of iterations to compare with.
        valid_from: box IoU from which a mask is valid.

    Returns:
        One row per box (``annotation_id``, ``box_area``, ``exact_seconds``, ``fast_seconds``), and
        one per comparison: ``changed`` (what is different from which masks) and the values of
        `agreement`.
    """
    exact, fast = (replace(settings, method=method) for method in (EXACT, FAST))
    runs: dict[str, Run] = {EXACT: (exact, seed), FAST: (fast, seed)}
    compared = {"fast instead of exact": (EXACT, FAST)}
    for method, own in ((EXACT, exact), (FAST, fast)):
        name = f"another seed ({method})"
        runs[name], compared[name] = (own, seed + 1), (method, name)
    for n in other_iterations:
        if n != settings.iterations:
            name = f"{n} iteration{'s' * (n > 1)} ({settings.method})"
            runs[name] = replace(settings, iterations=n), seed
            compared[name] = (settings.method, name)
    boxes = by_box(trial(coco_set, instances, runs))
    rows = [
        {"changed": changed, **agreement(boxes, *names, valid_from=valid_from)}
        for changed, names in compared.items()
    ]
    seconds = boxes["seconds"][[EXACT, FAST]].add_suffix("_seconds")
    beside = seconds.assign(box_area=boxes["box_area"][EXACT]).reset_index()
    return beside, pd.DataFrame(rows)

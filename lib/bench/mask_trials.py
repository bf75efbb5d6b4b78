"""Trials of GrabCut on a sample of boxes: what masks cost, side by side, and how far they agree.

The runs of a trial take turns box by box on the same decoded picture, on one core, and who comes
first changes from box to box.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from lib.bench.program import in_turn
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

COLUMNS = [
    "run", "annotation_id", "image_id", "box_area", "image_area", "image_boxes", "seconds",
    "prepare_seconds", "decode_seconds", "box_iou", "true_iou", "segmentation",
]  # fmt: skip


class Run(NamedTuple):
    """One way to make a mask: GrabCut's settings, and the base seed (as of `pseudo.generate`)."""

    settings: GrabCutSettings
    seed: int


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
        ValueError: if ``count`` is negative.
    """
    if count < 0:
        raise ValueError(
            f"{count} boxes to try GrabCut on: expected at least 1, or 0 for all of them."
        )
    drawn = sorted(coco_set.images, key=lambda image: derive(seed, "trial", image.id))
    boxes = [box for image in drawn for box in boxes_of(coco_set.instances(image.id))]
    chosen = {instance.id for instance in boxes[: count or None]}
    return [x for x in boxes_of(coco_set.all_instances()) if x.id in chosen]


def trial(
    coco_set: CocoSet,
    instances: Sequence[Instance],
    runs: Mapping[str, Run],
    *,
    on_progress: Callable[[Progress], None] | None = None,
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
    names = list(runs)
    start, done, invalid = time.monotonic(), 0, 0
    with one_thread():
        for settings in dict.fromkeys(run.settings for run in runs.values()):
            warm_up(settings)
        for image_id, group in groupby(instances, key=lambda instance: instance.image_id):
            boxes = list(group)
            begin = time.perf_counter()
            image = read_image(coco_set.image(image_id))
            of_image = {"image_boxes": len(boxes), "decode_seconds": time.perf_counter() - begin}
            used = dict.fromkeys(runs[name].settings for name in in_turn(names, done))
            prepared = {settings: _prepared(image, settings) for settings in used}
            for instance in boxes:
                for name in in_turn(names, done):
                    segmenter, preparing = prepared[runs[name].settings]
                    row = _one_mask(instance, image, runs[name].seed, segmenter)
                    row["seconds"] += preparing / len(boxes)
                    rows.append({"run": name, **of_image, "prepare_seconds": preparing, **row})
                    invalid += name == names[0] and not is_valid(row["box_iou"])
                done += 1
            if on_progress:
                counts = {"done": done, "total": len(instances), "earlier": 0, "invalid": invalid}
                on_progress(Progress(**counts, seconds=time.monotonic() - start))
    return pd.DataFrame(rows, columns=COLUMNS)


def pairs(frame: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Return one row per box with the columns of two runs of `trial`, and the IoU of their masks.

    Returns:
        ``annotation_id``, the other columns with the suffixes ``_first`` and ``_second``, and
        ``mask_iou`` (two empty masks count as equal).
    """
    parts = [frame[frame["run"] == name] for name in (first, second)]
    joined = parts[0].merge(
        parts[1], on="annotation_id", validate="one_to_one", suffixes=("_first", "_second")
    )
    ious = [
        mask_iou(rle.decode(a, *a["size"]), rle.decode(b, *b["size"]))
        for a, b in zip(joined["segmentation_first"], joined["segmentation_second"], strict=True)
    ]
    return joined.assign(mask_iou=pd.Series(ious, index=joined.index, dtype=float))


def agreement(
    frame: pd.DataFrame, first: str, second: str, *, valid_from: float = VALID_FROM
) -> dict[str, float]:
    """Return how far two runs of a trial agree.

    Returns:
        ``valid_agreement`` (share of boxes on which both say valid or both say invalid),
        ``mask_iou`` (mean; two empty masks count as equal), ``invalid_share_before``,
        ``invalid_share`` (of the first and of the second) and ``seconds`` (mean per box of the
        second).
    """
    joined = pairs(frame, first, second)
    valid_first = joined["box_iou_first"] >= valid_from
    valid_second = joined["box_iou_second"] >= valid_from
    return {
        "valid_agreement": float((valid_first == valid_second).mean()),
        "mask_iou": float(joined["mask_iou"].mean()),
        "invalid_share_before": float((~valid_first).mean()),
        "invalid_share": float((~valid_second).mean()),
        "seconds": float(joined["seconds_second"].mean()),
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
        The trial (with the runs ``exact`` and ``fast`` among others), and one row per comparison:
        ``changed`` (what is different from which masks) and the values of `agreement`.

    Raises:
        ValueError: if there are no boxes.
    """
    if not instances:
        raise ValueError("There is no box to try GrabCut on: the set has crowd regions at most.")
    exact, fast = (replace(settings, method=method) for method in (EXACT, FAST))
    runs = {EXACT: Run(exact, seed), FAST: Run(fast, seed)}
    compared: dict[str, tuple[str, str]] = {"fast instead of exact": (EXACT, FAST)}
    for method, own in ((EXACT, exact), (FAST, fast)):
        name = f"another seed ({method})"
        runs[name], compared[name] = Run(own, seed + 1), (method, name)
    for n in other_iterations:
        if n != settings.iterations:
            name = f"{n} iteration{'s' * (n > 1)} ({settings.method})"
            runs[name] = Run(replace(settings, iterations=n), seed)
            compared[name] = (settings.method, name)
    frame = trial(coco_set, instances, runs)
    rows = [
        {"changed": changed, **agreement(frame, *names, valid_from=valid_from)}
        for changed, names in compared.items()
    ]
    return frame, pd.DataFrame(rows)


def side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per box of `stability`'s trial with the seconds of both methods.

    Returns:
        Columns ``annotation_id``, ``box_area``, ``exact_seconds`` and ``fast_seconds``.
    """
    wide = frame.pivot(index=["annotation_id", "box_area"], columns="run", values="seconds")
    return wide[[EXACT, FAST]].add_suffix("_seconds").reset_index()


def _prepared(image: np.ndarray, settings: GrabCutSettings) -> tuple[Segmenter, float]:
    """Return a prepared picture, and the seconds that it took."""
    start = time.perf_counter()
    segmenter = prepare(image, settings)
    return segmenter, time.perf_counter() - start


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

"""Pictures of paper B: its Fig. 1, 4, 5 and 7.

Which instances and scenes are shown is decided by a hash of their ids, never by a result. Nothing
to draw gives None.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.data.coco import CocoSet
from lib.data.overlap import ambiguous_ids, objects
from lib.data.pictures.images import read_image
from lib.masks import rle
from lib.masks.quality import mask_iou
from lib.metrics.cam_masks import Cams
from lib.opmask.trained import METHODS, NAMES, SETTINGS, TITLES, Run, Runs, pairs, unsupervised
from lib.pages import rois
from lib.pages.drawing import draw_masks
from lib.pages.style import COLOURS, WIDTH, plain
from lib.seeds import derive

CLASSES = ("unsupervised", "supervised")


def ambiguous_grid(
    coco_set: CocoSet, runs: Runs, cams: Cams, split: str, *, count: int, ambiguous: bool = True
) -> Figure | None:
    """Draw true boxes of unsupervised classes, one per column: paper B's Fig. 1, and its Fig. 4.

    Below the picture, with the outline of the true mask, are the object mask prior of OPMask and
    the masks of the baseline and of OPMask, each with its IoU with the true mask. All are of the
    true box and class.

    Args:
        coco_set: the ground truth, opened with its images.
        runs: of `lib.opmask.trained.read_runs`.
        cams: class activation maps of that split's OPMask on the true boxes.
        split: the supervised classes: whose runs are shown.
        count: columns at most.
        ambiguous: draw instances whose box has an IoU of 0.5 or more with another's (Fig. 1);
            False: all others (Fig. 4).
    """
    pair = _pair(runs, split)
    if pair is None:
        return None
    maps = by_annotation(cams)
    given = {
        method: {x["annotation_id"]: x["segmentation"] for x in run.masks_on_boxes}
        for method, run in pair.items()
    }
    labels = unsupervised(pair["opmask"], coco_set.categories)
    chosen = ambiguous_ids(coco_set)
    shown = rois.choose(
        (
            x for x in objects(coco_set)
            if x.label in labels and (x.id in chosen) == ambiguous and x.id in maps
        ),
        count=count,
    )  # fmt: skip
    if not shown:
        return None
    rows = ["truth", "prior", *(f"{NAMES[method]}\n(mask IoU)" for method in METHODS)]
    figure, panels = rois.grid(rows, len(shown), count)
    for column, instance in zip(panels.T, shown, strict=True):
        part = rois.roi(coco_set, instance)
        rois.title(column[0], plain(coco_set.categories.name_of(instance.label), 14))
        truth = rois.true_mask(coco_set, instance)
        rois.draw_roi(column[0], part)
        if truth is not None:
            rois.outline(column[0], part, truth)
        prior = rois.prior_maps(maps[instance.id][None], norm=pair["opmask"].config.prior_norm)[0]
        rois.draw_heat(column[1], part, prior)
        for axes, method in zip(column[2:], METHODS, strict=True):
            mask = rois.decoded(coco_set, instance, given[method][instance.id])
            rois.draw_roi(axes, part, mask, COLOURS[method])
            if truth is not None:
                rois.note(axes, f"{mask_iou(mask, truth):.2f}")
    kind = "ambiguous" if ambiguous else "not ambiguous"
    figure.suptitle(f"{_heading(split)}: {kind} objects of unsupervised classes", **_HEADING)
    return figure


def cam_grid(coco_set: CocoSet, cams_by_model: Mapping[str, Cams], *, count: int) -> Figure | None:
    """Draw class activation maps of several models on the same true boxes: paper B's Fig. 7.

    Each is scaled to its own range (min-max), whatever its model does. One box per column.

    Args:
        coco_set: the ground truth, opened with its images.
        cams_by_model: maps on the true boxes by model, named as the rows shall be; for the methods
            of `lib.opmask.trained` their own names will do.
        count: columns at most.
    """
    maps = {name: by_annotation(cams) for name, cams in cams_by_model.items()}
    known = set[int].intersection(*(set(of) for of in maps.values())) if maps else set[int]()
    shown = rois.choose((x for x in objects(coco_set) if x.id in known), count=count)
    if not shown:
        return None
    rows = ["picture", *(NAMES.get(name, name) for name in maps)]
    figure, panels = rois.grid(rows, len(shown), count)
    for column, instance in zip(panels.T, shown, strict=True):
        part = rois.roi(coco_set, instance)
        rois.title(column[0], plain(coco_set.categories.name_of(instance.label), 14))
        rois.draw_roi(column[0], part)
        for axes, of in zip(column[1:], maps.values(), strict=True):
            rois.draw_heat(axes, part, rois.prior_maps(of[instance.id][None])[0])
    return figure


def by_annotation(cams: Cams) -> dict[int, np.ndarray]:
    """Return maps ``[h, w]`` on true boxes by annotation id.

    Raises:
        ValueError: if the maps are those of detections.
    """
    if cams.annotation_id is None:
        raise ValueError(
            "These class activation maps are of detections, not of true boxes: read "
            "cams_on_boxes_val.npz instead of cams_val.npz."
        )
    return dict(zip(cams.annotation_id.tolist(), cams.maps, strict=True))


def scenes_to_show(coco_set: CocoSet, runs: Runs, split: str, *, count: int) -> list[int]:
    """Return ids of images with instances of unsupervised classes, drawn by a hash of their ids."""
    pair = _pair(runs, split)
    if pair is None:
        return []
    labels = unsupervised(pair["opmask"], coco_set.categories)
    some = [
        image.id
        for image in coco_set.images
        if any(x.label in labels for x in coco_set.instances(image.id))
    ]
    return sorted(some, key=lambda i: derive(0, "scenes", i))[:count]


def scenes(
    coco_set: CocoSet, runs: Runs, split: str, image_ids: Sequence[int], *, score_from: float
) -> Figure | None:
    """Draw scenes, one per row: ground truth, baseline, OPMask (paper B, Fig. 5, and more).

    Objects of supervised and of unsupervised classes have a colour each.

    Args:
        coco_set: the ground truth, opened with its images.
        runs: of `lib.opmask.trained.read_runs`.
        split: the supervised classes: whose runs are shown.
        image_ids: one row each.
        score_from: detections below this score are not drawn.
    """
    pair = _pair(runs, split)
    if pair is None or not image_ids:
        return None
    supervised = pair["opmask"].supervised
    records = [coco_set.image(i) for i in image_ids]
    ratios = [record.height / record.width for record in records]
    height = sum(WIDTH / 3 * ratio + 0.06 for ratio in ratios)
    figure, panels = plt.subplots(
        len(records), 3, figsize=(WIDTH, height + 0.6), height_ratios=ratios, squeeze=False
    )
    for row, record in zip(panels, records, strict=True):
        picture = read_image(record)
        truth: list[tuple[int, Any]] = [
            (x.label, x.segmentation) for x in coco_set.instances(record.id) if not x.iscrowd
        ]
        found = [
            [
                (coco_set.categories.label_of(d["category_id"]), d["segmentation"])
                for d in pair[method].detections
                if d["image_id"] == record.id and d["score"] >= score_from
            ]
            for method in METHODS
        ]
        colours = {True: COLOURS["supervised"], False: COLOURS["unsupervised"]}
        for axes, several in zip(row, [truth, *found], strict=True):
            draw_masks(axes, picture, [(rle.decode(s, *picture.shape[:2]), colours[k in supervised])
                                       for k, s in several])  # fmt: skip
    for axes, title in zip(panels[0], ("ground truth", *(NAMES[m] for m in METHODS)), strict=True):
        axes.set_title(title)
    handles = [
        Line2D([], [], color=COLOURS[c], marker="s", linestyle="none", label=c) for c in CLASSES
    ]
    figure.suptitle(_heading(split), **_HEADING)
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


_HEADING: dict[str, Any] = {"x": 0.01, "ha": "left", "fontsize": 11, "fontweight": "bold"}


def _pair(runs: Runs, split: str) -> dict[str, Run] | None:
    """Return both methods' runs of a split, or None if one of them is missing."""
    return pairs(runs).get(SETTINGS[split])


def _heading(split: str) -> str:
    return TITLES[SETTINGS[split]]

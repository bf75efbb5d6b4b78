"""The object mask prior while OPMask trains: as pictures, and how well it fits the true masks."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torchvision.ops import roi_align

from lib.data.coco import CocoSet, Instance
from lib.masks.paste import MASK_FROM
from lib.metrics.coco_input import examples
from lib.metrics.mask_iou import mean_iou
from lib.models.config import PriorNorm
from lib.pages import rois
from lib.pages.style import COLOURS, FLAT, WIDTH
from lib.training.activation_maps import CamHistory

SHOWN = 6
"""Iterations shown as pictures; of more, these many are shown at even distances."""

CELLS = 28
"""Side of the grid of cells in a box on which prior and true mask are compared: the masks'."""

MEASURES = {"contrast": "prior on the object − beside it", "iou": "mask IoU of the prior"}
"""Column of `prior_quality` -> what it is."""


def read_recorded(path: Path) -> CamHistory:
    """Read ``prior_over_training.npz``, which `lib.training.activation_maps` wrote."""
    with np.load(path) as file:
        return CamHistory(file["annotation_id"], file["iteration"], file["maps"])


def prior_over_training(
    coco_set: CocoSet, recorded: CamHistory, *, count: int, norm: PriorNorm = "min_max"
) -> Figure | None:
    """Draw the prior of a few true boxes, one per row, at several iterations; None without any.

    Args:
        coco_set: the set that the boxes are of, opened with its images.
        recorded: from :func:`read_recorded`.
        count: rows at most; which boxes is decided by a hash of their ids.
        norm: how the model scales its maps.
    """
    place = {name: row for row, name in enumerate(recorded.annotation_id.tolist())}
    shown = rois.choose(_instances(coco_set, recorded), count=count)
    if not shown or not len(recorded.iteration):
        return None
    last = len(recorded.iteration) - 1
    steps = np.unique(np.linspace(0, last, min(SHOWN, last + 1)).round().astype(int))
    names = [coco_set.categories.name_of(x.label) for x in shown]
    figure, panels = rois.grid(names, len(steps) + 1, SHOWN + 1)
    titles = ["truth", *(f"{recorded.iteration[step]:,}" for step in steps)]
    titles[1] = f"iteration {titles[1]}"
    for axes, text in zip(panels[0], titles, strict=True):
        rois.title(axes, text)
    for row, instance in zip(panels, shown, strict=True):
        part, truth = rois.roi(coco_set, instance), rois.true_mask(coco_set, instance)
        rois.draw_roi(row[0], part)
        if truth is not None:
            rois.outline(row[0], part, truth)
        priors = rois.prior_maps(recorded.maps[steps, place[instance.id]], norm=norm)
        for axes, prior in zip(row[1:], priors, strict=True):
            rois.draw_heat(axes, part, prior)
    return figure


def prior_quality(
    coco_set: CocoSet, recorded: CamHistory, *, norm: PriorNorm = "min_max"
) -> pd.DataFrame:
    """Return how well the prior fits the true mask of each recorded box, at each iteration.

    Prior (scaled, bilinear) and true mask are compared within the box, on a grid of :data:`CELLS`
    cells a side; a cell is of the object if half of it is.

    Args:
        coco_set: the set that the boxes are of.
        recorded: from :func:`read_recorded`.
        norm: how the model scales its maps.

    Returns:
        Columns iteration, annotation_id, image_id, contrast (mean of the prior on the object minus
        that beside it, NaN if all cells are one or the other; 0 says nothing, 1 is perfect) and
        iou (of the prior cut at one half and the object; 0 if both are empty). Instances without
        a true mask are left out.

    Raises:
        ValueError: if boxes were recorded that the set does not have.
    """
    rows = []
    for place, instance in enumerate(_instances(coco_set, recorded)):
        cells = _cells(coco_set, instance)
        if cells is None:
            continue
        priors = rois.prior_maps(recorded.maps[:, place], side=CELLS, norm=norm)
        for iteration, prior in zip(recorded.iteration.tolist(), priors, strict=True):
            apart = cells.any() and not cells.all()
            contrast = prior[cells].mean() - prior[~cells].mean() if apart else np.nan
            predicted = prior >= MASK_FROM
            either = np.count_nonzero(predicted | cells)
            iou = np.count_nonzero(predicted & cells) / either if either else 0.0
            rows.append((iteration, instance.id, instance.image_id, contrast, iou))
    columns = ["iteration", "annotation_id", "image_id", *MEASURES]
    return pd.DataFrame(rows, columns=columns)


def prior_curves(frame: pd.DataFrame, *, resamples: int, seed: int) -> Figure | None:
    """Draw the means of :func:`prior_quality` over the iterations; None without a row.

    The bands are 95 % intervals over images; below four images there are none.

    Args:
        frame: from :func:`prior_quality`.
    """
    if frame.empty:
        return None
    figure, panels = plt.subplots(1, len(MEASURES), figsize=(WIDTH, FLAT * 0.85))
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        known = frame.dropna(subset=measure)
        intervals = {
            iteration: mean_iou(
                part.assign(iou=part[measure]), resamples=resamples, seed=seed
            ).interval
            for iteration, part in known.groupby("iteration")
        }
        at = list(intervals)
        mean, low, high = np.array(list(intervals.values())).reshape(-1, 3).T
        axes.fill_between(at, low, high, color=COLOURS["opmask"], alpha=0.18, linewidth=0)
        axes.plot(at, mean, color=COLOURS["opmask"], marker="o", markersize=4)
        axes.set(xlabel="iteration", title=title, xlim=(0, None))
        axes.set_ylim(bottom=min(0.0, float(np.nanmin(np.r_[low, mean, 0.0]))), top=None)
    return figure


def _instances(coco_set: CocoSet, recorded: CamHistory) -> list[Instance]:
    """Return the instances whose boxes were recorded, in that order."""
    by_id = {x.id: x for x in coco_set.all_instances()}
    strangers = [name for name in recorded.annotation_id.tolist() if name not in by_id]
    if strangers:
        raise ValueError(
            f"The prior was recorded on boxes that {coco_set.annotations_path.name} does not have "
            f"({examples(strangers)}): open the set that the training step was given for it."
        )
    return [by_id[name] for name in recorded.annotation_id.tolist()]


def _cells(coco_set: CocoSet, instance: Instance) -> np.ndarray | None:
    """Return which cells of an instance's box are of the object, bool [CELLS, CELLS]."""
    truth = rois.true_mask(coco_set, instance)
    if truth is None:
        return None
    mask = torch.from_numpy(truth)[None, None].float()
    cells = roi_align(mask, [torch.tensor([instance.box])], (CELLS, CELLS), aligned=True)
    return (cells[0, 0] >= 0.5).numpy()

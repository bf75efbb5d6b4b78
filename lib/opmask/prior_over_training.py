"""The object mask prior while OPMask trains, as pictures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lib.data.coco import CocoSet
from lib.models.config import PriorNorm
from lib.pages import rois
from lib.training.activation_maps import CamHistory

SHOWN = 6
"""Iterations shown as pictures; of more, these many are shown at even distances."""


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
    shown = rois.choose((x for x in coco_set.all_instances() if x.id in place), count=count)
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
        part = rois.draw_truth(row[0], coco_set, instance)
        priors = rois.prior_maps(recorded.maps[steps, place[instance.id]], norm=norm)
        for axes, prior in zip(row[1:], priors, strict=True):
            rois.draw_heat(axes, part, prior)
    return figure

"""Fig. 7 of paper B: class activation maps of several models on the same true boxes.

Which objects are shown is decided by a hash of their ids, never by a result.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from lib.data.coco import CocoSet
from lib.data.overlap import objects
from lib.metrics.cam_masks import Cams
from lib.opmask.predictions import NAMES
from lib.pages import rois
from lib.pages.style import plain


def cam_grid(coco_set: CocoSet, cams_by_model: Mapping[str, Cams], *, count: int) -> Figure | None:
    """Draw class activation maps of several models, one true box per column; None without any.

    Each is scaled to its own range (min-max), whatever its model does.

    Args:
        cams_by_model: maps on the true boxes by model, named as the rows shall be; for the methods
            of `lib.opmask.predictions` their own names will do.
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
    """Return maps ``[h, w]`` on true boxes (of ``cams_on_boxes_val.npz``) by annotation id."""
    ids = [] if cams.annotation_id is None else cams.annotation_id.tolist()
    return dict(zip(ids, cams.maps, strict=True))

"""Figs. 1 and 4 of paper B: objects in their true boxes, what the prior sees in each, and masks.

Which objects are shown is decided by a hash of their ids, never by a result.
"""

from matplotlib.figure import Figure

from lib.data.coco import CocoSet
from lib.data.overlap import ambiguous_ids, objects
from lib.masks.quality import mask_iou
from lib.metrics.cam_masks import Cams
from lib.opmask.fig7 import by_annotation
from lib.opmask.predictions import METHODS, NAMES, SETTINGS, TITLES, Models, pairs, unsupervised
from lib.pages import rois
from lib.pages.style import COLOURS, plain


def object_grid(
    coco_set: CocoSet, models: Models, cams: Cams, split: str, *, count: int, ambiguous: bool = True
) -> Figure | None:
    """Draw true boxes of unsupervised classes, one per column; None without any.

    Below the picture, with the outline of the true mask, are the object mask prior of OPMask and
    the masks of the baseline and of OPMask, each with its IoU with the true mask. All are of the
    true box and class, and of each model's first run.

    Args:
        cams: class activation maps of that split's OPMask on the true boxes.
        split: the supervised classes: whose models are shown.
        count: columns at most.
        ambiguous: draw instances whose box has an IoU of 0.5 or more with another's (Fig. 1);
            False: all others (Fig. 4).
    """
    pair = pairs(models).get(SETTINGS[split])
    if pair is None:
        return None
    maps = by_annotation(cams)
    given = {
        method: {x["annotation_id"]: x["segmentation"] for x in model.first.masks_on_boxes}
        for method, model in pair.items()
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
        part = rois.draw_truth(column[0], coco_set, instance)
        rois.title(column[0], plain(coco_set.categories.name_of(instance.label), 14))
        truth = rois.true_mask(coco_set, instance)
        prior = rois.prior_maps(maps[instance.id][None], norm=pair["opmask"].config.prior_norm)[0]
        rois.draw_heat(column[1], part, prior)
        for axes, method in zip(column[2:], METHODS, strict=True):
            mask = rois.decoded(coco_set, instance, given[method][instance.id])
            rois.draw_roi(axes, part, mask, COLOURS[method])
            if truth is not None:
                rois.note(axes, f"{mask_iou(mask, truth):.2f}")
    kind = "ambiguous" if ambiguous else "not ambiguous"
    rois.heading(figure, f"{TITLES[SETTINGS[split]]}: {kind} objects of unsupervised classes")
    return figure

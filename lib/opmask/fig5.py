"""Fig. 5 of paper B: whole scenes, their objects as the baseline and OPMask find them.

Which scenes are shown is decided by a hash of their ids, never by a result.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.data.coco import CocoSet
from lib.data.pictures.images import read_image
from lib.masks import rle
from lib.opmask.predictions import (
    CLASSES,
    METHODS,
    NAMES,
    SETTINGS,
    TITLES,
    Models,
    pairs,
    unsupervised,
)
from lib.pages import rois
from lib.pages.drawing import draw_masks
from lib.pages.style import COLOURS, WIDTH
from lib.seeds import derive


def scenes_to_show(coco_set: CocoSet, models: Models, split: str, *, count: int) -> list[int]:
    """Return ids of images with instances of unsupervised classes, drawn by a hash of their ids."""
    pair = pairs(models).get(SETTINGS[split])
    if pair is None:
        return []
    labels = unsupervised(pair["opmask"], coco_set.categories)
    some = {x.image_id for x in coco_set.all_instances() if x.label in labels}
    return sorted(some, key=lambda i: derive(0, "scenes", i))[:count]


def scenes(
    coco_set: CocoSet, models: Models, split: str, image_ids: Sequence[int], *, score_from: float
) -> Figure | None:
    """Draw scenes, one per row: ground truth, baseline, OPMask; None without any.

    Objects of supervised and of unsupervised classes have a colour each. Models show their first
    run.

    Args:
        split: the supervised classes: whose models are shown.
        image_ids: one row each.
        score_from: detections below this score are not drawn.
    """
    pair = pairs(models).get(SETTINGS[split])
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
                for d in pair[method].first.detections
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
    rois.heading(figure, TITLES[SETTINGS[split]])
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure

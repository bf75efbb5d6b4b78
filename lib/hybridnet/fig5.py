"""Pictures of paper A's results: its Fig. 5, of the first training of each model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.data.coco import CocoSet, Result
from lib.data.pictures.images import read_image
from lib.hybridnet.predictions import Models
from lib.masks import rle
from lib.masks.quality import SMALL_SIDE
from lib.pages.drawing import box_area, draw_box, draw_masks, handle
from lib.pages.style import BLACK, COLOURS, SEQUENCE, WIDTH, plain
from lib.seeds import derive

ON_ALL_MASKS = "ablation.all"
"""The large branch trained on all masks, invalid ones too."""

_OUTLINED = [patheffects.withStroke(linewidth=1.6, foreground="black")]
_CLASS_COLOURS = [colour for colour in SEQUENCE if colour != COLOURS["paper"]]


def single_branch(models: Models, learnt: pd.DataFrame) -> tuple[Sequence[Result], str]:
    """Return the detections of Fig. 5's single branch, and what it is, for the caption.

    In the paper it is the large branch trained on all masks, invalid ones too (Sec. 3.4). Where
    that was not trained, the baseline stands in, whose pyramid is plain. Of either the first
    training is shown.

    Args:
        models: from :func:`lib.hybridnet.predictions.read`.
        learnt: from :func:`lib.hybridnet.boxes.with_schedule`.
    """
    if ON_ALL_MASKS not in models:
        why = "the baseline, since the large branch was not trained on all masks here"
        return models["baseline"].first.detections, why
    seen = learnt.set_index("variant")["images_seen"]
    own, usual = int(seen[ON_ALL_MASKS]), int(seen["large"])
    schedule = f", after {own:,} images, not {usual:,} as the others" * (own != usual)
    what = f"the large branch trained on all masks{schedule}"
    return models[ON_ALL_MASKS].first.detections, what


def scenes_to_show(coco_set: CocoSet, *, count: int) -> list[int]:
    """Return ids of images with small objects, drawn by a hash of their ids.

    No result decides which scenes are shown.
    """
    some = [
        image.id
        for image in coco_set.images
        if any(box_area(x.box) < SMALL_SIDE**2 for x in coco_set.instances(image.id))
    ]
    return sorted(some, key=lambda i: derive(0, "scenes", i))[:count]


def pictures(
    coco_set: CocoSet,
    single: Sequence[Result],
    hybrid: Sequence[Result],
    image_ids: Sequence[int],
    *,
    score_from: float,
) -> Figure | None:
    """Draw paper A's Fig. 5, a scene per row: image, single branch, HybridNet; then the truth.

    Within a scene a class has one colour; boxes are drawn around what comes from the small branch.
    Without an image there is nothing to draw: None.

    Args:
        coco_set: the ground truth, opened with its images.
        single: detections of `single_branch`.
        hybrid: detections of HybridNet.
        image_ids: one row each.
        score_from: detections below this score are not drawn.
    """
    if not image_ids:
        return None
    shapes = [coco_set.image(i) for i in image_ids]
    ratios = [shape.height / shape.width for shape in shapes]
    height = sum(WIDTH / 4 * ratio + 0.05 for ratio in ratios) + 0.5
    figure, panels = plt.subplots(
        len(shapes), 4, figsize=(WIDTH, height), height_ratios=ratios, squeeze=False
    )
    for row, record in zip(panels, shapes, strict=True):
        picture = read_image(record)
        truth = [
            {"category_id": x.category_id, "segmentation": x.segmentation}
            for x in coco_set.instances(record.id)
            if x.has_mask and not x.iscrowd
        ]
        found = [
            [d for d in some if d["image_id"] == record.id and d["score"] >= score_from]
            for some in (single, hybrid)
        ]
        every = sorted({d["category_id"] for objects in (truth, *found) for d in objects})
        colours = {k: _CLASS_COLOURS[n % len(_CLASS_COLOURS)] for n, k in enumerate(every)}
        for axes, objects in zip(row, ([], *found, truth), strict=True):
            _objects(axes, coco_set, picture, objects, colours)
    for axes, title in zip(
        panels[0], ("image", "single branch", "HybridNet", "truth"), strict=True
    ):
        axes.set_title(title)
    box = handle("none", "from the small branch", marker="s", markeredgecolor=COLOURS["box"])
    box.set(markeredgewidth=2, path_effects=[patheffects.withStroke(linewidth=3, foreground=BLACK)])
    figure.legend(handles=[box], loc="outside lower right")
    return figure


def _objects(
    axes: Axes,
    coco_set: CocoSet,
    picture: np.ndarray,
    objects: Sequence[Result],
    colours: Mapping[int, str],
) -> None:
    """Draw a picture with objects, their classes, and boxes around those of the small branch."""
    height, width = picture.shape[:2]
    masks = [rle.decode(x["segmentation"], height, width) for x in objects]
    draw_masks(
        axes, picture,
        [(mask, colours[x["category_id"]]) for mask, x in zip(masks, objects, strict=True)],
    )  # fmt: skip
    for mask, found in zip(masks, objects, strict=True):
        tight = rle.tight_box(mask)
        if tight is None:
            continue
        x1, y1, x2, y2 = tight
        if found.get("branch") == "small":
            corners = (x1 - 0.5, y1 - 0.5, x2 - 0.5, y2 - 0.5)
            draw_box(axes, corners, ("black", 1.8), (COLOURS["box"], 0.9))
        label = coco_set.categories.label_of(found["category_id"])
        name = plain(coco_set.categories.name_of(label), 14)
        half = 0.013 * width * len(name)  # of the text, about
        axes.text(
            np.clip((x1 + x2) / 2, half, max(half, width - half)), max(y1 - 2, 0.05 * width), name,
            fontsize=5.5, color="white", ha="center", va="bottom", path_effects=_OUTLINED,
        )  # fmt: skip
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))

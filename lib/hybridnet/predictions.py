"""What paper A's models predicted, and the methods that it gives: shapes, branches, their fusion.

A *method* is a row of the tables: some are a model of ``04_train_hybrid`` as it is, the others are
made from predictions without further training.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lib.data.coco import Result
from lib.files import read_json
from lib.hybridnet.fusion import FusionSettings, fuse, is_small
from lib.hybridnet.small_branch import Shape, read_segmented, with_masks
from lib.models.config import ModelConfig
from lib.pages import comparison
from lib.pages.comparable import one_backbone

if TYPE_CHECKING:
    from lib.data.coco import CocoSet
    from lib.workspace import Workspace

STEP = "04_train_hybrid"
REQUIRED = ("baseline", "large", "small", "pixel")
"""The variants without which there is nothing to compare."""

NAMES = {
    "rectangle": "rectangle",
    "ellipse": "ellipse",
    "grabcut": "GrabCut",
    "baseline": "baseline",
    "small_branch": "small branch",
    "large_branch": "large branch",
    "hybrid": "HybridNet",
    "pixel_level": "true masks",
}
"""Method -> as people read it, in the order of the tables."""

PRINTED = {"DeepMask": "DeepMask", "DeepLabBOX": "DeepLabBOX"}
"""Other people's methods, of which there are only the paper's numbers -> as people read them."""

SHAPES: tuple[Shape, ...] = ("rectangle", "ellipse", "grabcut")
"""Methods that learn nothing about masks: one shape in every detection of the small branch."""

VARIANTS = {"baseline": "baseline", "large_branch": "large", "pixel_level": "pixel"}
"""Methods that are a model as it is -> its variant."""

DRAWN_BY = {"": "mask head", "grabcut": "GrabCut", "ellipse": "ellipse", "rectangle": "rectangle"}
"""What a detection says of its mask's shape -> as people read it."""

Methods = Mapping[str, Sequence[Result]]
Fallback = Literal["ellipse", "rectangle"]


@dataclass(frozen=True)
class Predictions:
    """What one trained model predicted on the validation images.

    Attributes:
        config: the model's settings.
        detections: COCO results; with masks unless the model is a detector.
        masks_on_boxes: masks on the ground-truth boxes, with ``annotation_id``; None where the
            step predicted none.
        segmented: the detections with GrabCut's masks (`lib.hybridnet.small_branch.segment`);
            of the small branch alone.
    """

    config: ModelConfig
    detections: list[Result]
    masks_on_boxes: list[dict[str, Any]] | None = None
    segmented: list[Result] | None = None


Models = Mapping[str, Predictions]
"""Predictions by the model's variant of the step, such as ``large`` or ``ablation.direct``."""


def read(workspace: "Workspace") -> dict[str, Predictions]:
    """Read what every model of ``04_train_hybrid`` predicted, by variant.

    Of those that are not :data:`REQUIRED`, the ones that did not succeed are left out.

    Raises:
        FileNotFoundError: if one of :data:`REQUIRED` has not been run; the message has the
            command.
    """
    variants = dict.fromkeys([*REQUIRED, *workspace.variants(STEP)])
    return {variant: _read(workspace, variant) for variant in variants}


def _read(workspace: "Workspace", variant: str) -> Predictions:
    part = f"{STEP}.{variant}"
    model = workspace.input(part, "model.json")
    on_boxes = model.with_name("masks_on_boxes_val.json")
    segmented = workspace.input(part, "segmented_val.json") if variant == "small" else None
    return Predictions(
        config=ModelConfig.model_validate(read_json(model)),
        detections=read_json(workspace.input(part, "detections_val.json")),
        masks_on_boxes=read_json(on_boxes) if on_boxes.exists() else None,
        segmented=read_segmented(segmented) if segmented else None,
    )


def backbone(models: Models) -> str:
    """Return the one backbone of all models; see :func:`lib.pages.comparable.one_backbone`."""
    return one_backbone((model.config for model in models.values()), step=STEP)


def methods(
    val: "CocoSet",
    models: Models,
    fusion: FusionSettings,
    *,
    poor_below: float,
    shape_when_poor: Fallback,
) -> dict[str, list[Result]]:
    """Return the detections, with masks, of every method of Tables 1 and 2.

    Args:
        val: the validation images.
        models: from :func:`read`.
        fusion: how the two branches are fused (paper A, Sec. 2).
        poor_below: box IoU below which GrabCut's mask of a detection is replaced.
        shape_when_poor: by what (Sec. 2.2: an ellipse).

    Returns:
        Method -> COCO results, in the order of :data:`NAMES`. ``pixel_level`` is the large branch
        trained on true masks: with these no mask is invalid, so nothing is left to the other one.
    """
    found = small_branch(val, models, poor_below=poor_below, shape_when_poor=shape_when_poor)
    large = models["large"].detections
    return {
        **{shape: with_masks(segmented(models), val, shape=shape) for shape in SHAPES},
        "baseline": models["baseline"].detections,
        "small_branch": found,
        "large_branch": large,
        "hybrid": fused(models, found, fusion),
        "pixel_level": models["pixel"].detections,
    }


def fused(models: Models, small: Sequence[Result], fusion: FusionSettings) -> list[Result]:
    """Return the large branch fused with ``small``: the best of each image.

    As many per image are kept as one model may give, so that the fusion is not better for having
    two models' numbers of guesses.
    """
    most = models["large"].config.detections_per_image
    kept, counts = [], Counter[int]()
    for result in fuse(models["large"].detections, small, fusion):  # best first within an image
        counts[result["image_id"]] += 1
        if counts[result["image_id"]] <= most:
            kept.append(result)
    return kept


def small_branch(
    val: "CocoSet", models: Models, *, poor_below: float, shape_when_poor: Fallback
) -> list[Result]:
    """Return the small branch's detections with GrabCut's masks, or a shape where poor.

    Args:
        val: the validation images.
        models: from :func:`read`.
        poor_below: box IoU below which a mask is poor; 0 keeps every mask, empty ones too.
        shape_when_poor: what replaces a poor mask.
    """
    if poor_below == 0:
        return with_masks(segmented(models), val, shape="grabcut")
    shape: Shape = "grabcut_or_ellipse" if shape_when_poor == "ellipse" else "grabcut_or_rectangle"
    return with_masks(segmented(models), val, shape=shape, poor_below=poor_below)


def segmented(models: Models) -> list[Result]:
    """Return the small branch's detections with what GrabCut found in each."""
    return models["small"].segmented or []


def branch_table(methods: Methods, fusion: FusionSettings, *, score_from: float) -> pd.DataFrame:
    """Return where the hybrid's detections come from.

    Args:
        methods: from :func:`methods`.
        fusion: the settings that the hybrid was fused with.
        score_from: score from which a detection counts as confident.

    Returns:
        Columns size (``small`` or ``large``, as the fusion understands it), branch, mask (drawn
        by the mask head, GrabCut or as a shape), offered (detections of that branch), kept (of
        these, in the hybrid), confident (of the kept ones).
    """
    branches, kept = ("large", "small"), methods["hybrid"]
    offered = [{**d, "branch": b} for b in branches for d in methods[f"{b}_branch"]]
    confident = [d for d in kept if d["score"] >= score_from]
    columns = {"offered": offered, "kept": kept, "confident": confident}
    counts = {
        column: pd.DataFrame(
            {
                "size": np.where(is_small(some, fusion), "small", "large"),
                "branch": [d["branch"] for d in some],
                "mask": [DRAWN_BY[d.get("shape", "")] for d in some],
            }
        ).value_counts()
        for column, some in columns.items()
    }
    order = pd.MultiIndex.from_product(
        [branches[::-1], branches, DRAWN_BY.values()], names=["size", "branch", "mask"]
    )
    table = pd.DataFrame(counts, index=order).dropna(subset="offered")
    return table.fillna(0).astype(int).reset_index()


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with methods, and differences of two, as people read them."""
    return table.assign(method=table["method"].map(readable))


def readable(method: str) -> str:
    """Return a method, or the difference of two, as people read it."""
    return comparison.readable(method, NAMES | PRINTED)

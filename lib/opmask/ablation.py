"""What each choice that paper B leaves open changes: ablation runs, and the CAM at test.

Every run of the ablation differs in one setting from ``ablation.opmask``, the official behaviour,
with which it is compared; all share one schedule and the masks of one split. The CAM at test
is switched in the models of the main tables. All are judged on the unsupervised classes.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from lib.data.overlap import ambiguous_ids, objects
from lib.files import read_json
from lib.metrics.bootstrap import Score
from lib.metrics.claims import Observation
from lib.metrics.coco_ap import evaluate
from lib.metrics.mask_iou import iou_on_boxes, mean_iou
from lib.metrics.seeds import SeedScores, over_seeds, resample_runs, score
from lib.opmask.predictions import (
    ABLATION,
    DIRECTIONS,
    TITLES,
    Models,
    Predictions,
    Run,
    judge,
    mean_value,
    unbroken,
    unsupervised,
)
from lib.pages.ablation import MASK_IOU, Judged, changes, compare

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

Detections = Mapping[int, Sequence[Mapping[str, Any]]]
"""COCO results by seed."""

DEFAULT = "ablation.opmask"
STOPPED = "ablation.vanilla"
VARIANTS = tuple(
    f"ablation.{name}"
    for name in ("opmask", "baseline", "relu_max", "sigmoid", "unscaled", "times_four", "attached",
                 "vanilla", "concat", "multiply", "gn", "gt_boxes")
)  # fmt: skip
"""The runs of the ablation."""

SETTINGS: dict[str, dict[Any, str]] = {
    "method": {"opmask": "with the prior", "mask_rcnn": "without: the baseline"},
    "prior_norm": {
        "min_max": "min-max",
        "relu_max": "ReLU, then maximum",
        "sigmoid": "sigmoid",
        "none": "none",
    },
    "prior_scale": {1.0: "as it is", 4.0: "times 4"},
    "prior_weights": {"detached": "detached", "attached": "attached"},
    "prior_gradient": {True: "through the prior", False: "stopped: a vanilla CAM"},
    "prior_fusion": {"add": "add", "concat": "concatenate", "multiply": "multiply"},
    "norm": {
        "bn": "batch norm",
        "syncbn": "batch norm, synchronised",
        "gn": "group norm",
        "none": "none",
    },
    "mask_rois": {"proposals": "proposals", "gt_boxes": "true boxes"},
}
"""Setting of the model that an ablation changes -> its values as people read them."""

GROUPS = {
    "method": "prior",
    "prior_norm": "CAM normalisation",
    "prior_scale": "prior in relation to the mask features",
    "prior_weights": "classification weights in the CAM",
    "prior_gradient": "mask gradients into the box head",
    "prior_fusion": "fusion with the mask features",
    "norm": "normalisation in the heads",
    "mask_rois": "masks trained on",
    **{
        f"cam_at_test.{split}": f"CAM at test from ({unbroken(TITLES[direction])})"
        for split, direction in DIRECTIONS.items()
    },
}
"""Group -> as people read it."""

METRICS = {
    "AP": "mask AP",
    "AP50": "mask AP50",
    "AP_ambiguous": "mask AP: ambiguous",
    "box_AP50": "box AP50",
}
"""Metrics of the table -> as people read them; ``mask_IoU`` is there too."""

CLAIMS = {
    "B.sec4_4.nonvoc_to_voc.mask_gradients_help": "any",
    "B.sec4_4.nonvoc_to_voc.R50.gain_of_mask_gradients": "resnet50",
}
"""Claims on mask gradients -> the backbone with which they are observed."""


def ablation_table(
    val: "CocoSet", models: Models, *, iou_from: float, resamples: int, seed: int
) -> pd.DataFrame:
    """Return what each setting reaches on the unsupervised classes, and how it differs.

    Variants that were not trained are left out; a group with nothing to compare, as a whole.

    Args:
        iou_from: box IoU with another instance from which one is ambiguous.

    Returns:
        Columns of :func:`lib.pages.ablation.compare`, for each of :data:`METRICS` and, of the
        ablation's models, the mean mask IoU on true boxes; points of 100.
    """
    drawn: dict[str, Any] = {"resamples": resamples, "seed": seed}
    judged = []
    known: dict[str, dict[str, SeedScores]] = {}
    for group, setting, model in _trials(models):
        if model.variant not in known:
            labels = unsupervised(model, val.categories)

            def on_boxes(run: Run, labels: frozenset[int] = labels) -> Score:
                masks = iou_on_boxes(val, run.masks_on_boxes)
                return mean_iou(masks[masks["label"].isin(labels)], **drawn)

            known[model.variant] = {
                **_ap(val, model, _detections(model), iou_from, **drawn),
                MASK_IOU: over_seeds(model.runs, on_boxes),
            }
        judged.append(Judged(group, setting, known[model.variant]))
    for split in DIRECTIONS:
        refined = refined_detections(models, split)
        if refined is not None:
            at_test = models[f"opmask.{split}"]
            for setting, found in (("proposal", _detections(at_test)), ("refined box", refined)):
                ap = _ap(val, at_test, found, iou_from, **drawn)
                judged.append(Judged(f"cam_at_test.{split}", setting, ap))
    return compare(judged)


def refined_detections(models: Models, split: str) -> Detections | None:
    """Return a split's OPMask with the CAM re-pooled from the refined box; None without them."""
    model = models.get(f"opmask.{split}")
    runs = model.runs.items() if model else ()
    paths = {seed: run.folder / "detections_val_refined.json" for seed, run in runs}
    there = {seed: read_json(path) for seed, path in paths.items() if path.exists()}
    return there or None


def _detections(model: Predictions) -> Detections:
    return {seed: run.detections for seed, run in model.runs.items()}


def _trials(models: Models) -> list[tuple[str, str, Predictions]]:
    """Return group, setting and model of each comparison, a group's default first."""
    default = models.get(DEFAULT)
    if default is None:
        return []
    own = [model for variant, model in models.items() if variant.startswith(ABLATION)]
    found = []
    for field, texts in SETTINGS.items():
        others = [model for model in own if _changes(model, default) == [field]]
        order = list(texts)
        others.sort(key=lambda model: order.index(getattr(model.config, field)))
        for model in [default, *others] if others else []:
            found.append((field, texts[getattr(model.config, field)], model))
    return found


def _changes(model: Predictions, default: Predictions) -> list[str]:
    """Return the settings in which a model differs from the default."""
    return [f for f in SETTINGS if getattr(model.config, f) != getattr(default.config, f)]


def _ap(
    val: "CocoSet",
    model: Predictions,
    detections: Detections,
    iou_from: float,
    **drawn: Any,
) -> dict[str, SeedScores]:
    """Return the score of each AP of the table."""
    labels, truth = unsupervised(model, val.categories), val.to_coco()
    others = {x.id for x in objects(val)} - ambiguous_ids(val, iou_from)
    common: dict[str, Any] = {"labels": labels, "area_ranges": {}}
    masks, ambiguous, boxes = (
        resample_runs(
            {seed: evaluate(truth, found, **how, **common) for seed, found in detections.items()},
            **drawn,
        )
        for how in ({"iou_type": "segm"}, {"iou_type": "segm", "ignore": others},
                    {"iou_type": "bbox"})
    )  # fmt: skip
    return {
        "AP": score(masks, "AP"),
        "AP50": score(masks, "AP50"),
        "AP_ambiguous": score(ambiguous, "AP"),
        "box_AP50": score(boxes, "AP50"),
    }


def reaches(val: "CocoSet", models: Models, floor: float) -> bool:
    """Return whether both models of the claims on mask gradients detect well enough to be judged.

    By the mean over seeds.

    Args:
        floor: the least box AP50 over all classes, as for every other model; a fraction of 1.
    """
    compared = {variant: models[variant] for variant in (DEFAULT, STOPPED) if variant in models}
    judged = judge(val, compared, "bbox")
    return all(mean_value(runs, "AP50") >= floor for runs in judged.values())


def observations(table: pd.DataFrame, models: Models) -> list[Observation]:
    """Return what the claims on mask gradients are judged by: default minus stopped gradients.

    The paper's +1.1 is of its final mask AP (Sec. 4.4): of trainings as long as those of Table 2.
    """
    model = models.get(DEFAULT)
    stopped = SETTINGS["prior_gradient"][False]
    rows = table[(table["setting"] == stopped) & (table["metric"] == "AP")].to_dict("records")
    if not model or model.split != "non_voc" or not rows:
        return []
    row, final = rows[0], models.get("opmask.non_voc")
    gain, low, high = (-row[column] for column in ("difference", "diff_high", "diff_low"))
    backbones = ("any", model.config.backbone)
    other = final is None or final.iterations != model.iterations
    return [
        Observation(
            name, gain, low, high, row["seeds"], row["p"], row["detectable"], other_schedule=other
        )
        for name, needed in CLAIMS.items()
        if needed in backbones
    ]


def ablation_figure(table: pd.DataFrame) -> Figure | None:
    """Draw what each choice changes, compared with the default of its group."""
    return changes(table, GROUPS, METRICS | {MASK_IOU: "mask IoU on true boxes"})

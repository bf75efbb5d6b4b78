"""What each choice that paper A leaves open changes: ablation runs and switches, in one table.

Every row is compared with the default of its group: the runs of the ablation with one of the same
schedule, the switches of the fusion and of poor masks with the settings in use. Seed is compared
with seed, and both see the same images in each resample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import pandas as pd

from lib.hybridnet.fusion import FusionSettings
from lib.hybridnet.predictions import Fallback, Found, Methods, Models, fused, small_branch
from lib.hybridnet.table2 import Drawn
from lib.metrics.bootstrap import resample
from lib.metrics.coco_ap import AREA_RANGES_64, evaluate
from lib.metrics.mask_iou import iou_on_boxes, mean_iou
from lib.metrics.seeds import over_seeds, score
from lib.pages import ablation
from lib.pages.ablation import MASK_IOU

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

AREAS = {"S": AREA_RANGES_64["small"], "L": AREA_RANGES_64["large"]}
METRICS = ("AP", "AP_S", "AP_L")
GROUPS = {
    "fpn": "feature pyramid",
    "invalid": "instances with an invalid mask",
    "detector": "small branch's detector (box AP)",
    "fusion": "fusion",
    "poor": "poor masks, small branch alone",
    "poor_fused": "poor masks, HybridNet",
}
"""Group -> as people read it."""

FPN = {
    "direct": "direct",
    "plain": "plain FPN",
    "control": "plain, as many weights",
    "backbone": "from the backbone",
    "bottom_up": "bottom-up",
    "dense": "dense",
    "lateral": "at the laterals",
}
"""Kind of feature pyramid -> as people read it; the first is the default."""

INVALID = {
    "direct": "box only",
    "all": "mask learnt, empty ones too",
    "found": "mask learnt, if not empty",
    "ignore": "ignored",
    "drop": "dropped: background",
}
"""Variant of the ablation -> what becomes of instances with an invalid mask."""

DETECTOR = {
    "small": "all boxes",
    "small_invalid": "invalid ones, others background",
    "small_invalid_ignore": "invalid ones, others ignored",
}
"""Variant of the ablation -> which boxes the small branch's detector learns."""

CHOICES: dict[str, tuple[Any, ...]] = {
    "size": ("box", "mask", "sides"),
    "nms": ("box", "mask"),
    "nms_iou": (0.3, 0.5, 0.7),
    "per_class": (True, False),
    "calibration": ("none", "quantile"),
}
"""Settings of the fusion that are tried, one at a time."""


@dataclass(frozen=True)
class Trial:
    """One row of the ablation before it is judged; the first of a group is its default.

    Attributes:
        group: one of :data:`GROUPS`.
        setting: as people read it.
        detections: by seed.
        method: the method of Table 2 that it is, if any: so it has been judged.
        iou_type: whether masks or boxes are judged.
        masks_on_boxes: by seed; of trained models with masks.
    """

    group: str
    setting: str
    detections: Found
    method: str = ""
    iou_type: Literal["bbox", "segm"] = "segm"
    masks_on_boxes: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def trials(
    val: "CocoSet",
    models: Models,
    methods: Methods,
    fusion: FusionSettings,
    *,
    poor_below: float,
    shape_when_poor: Fallback,
) -> list[Trial]:
    """Return everything that is compared, group after group.

    Variants that were not trained are left out; a group without its default, or with nothing to
    compare it with, as a whole.

    Args:
        val: the validation images.
        models: from :func:`lib.hybridnet.predictions.read`.
        methods: from :func:`lib.hybridnet.predictions.methods`, with the settings in use.
        fusion: the settings in use.
        poor_below: box IoU below which GrabCut's mask of a detection is replaced.
        shape_when_poor: by what.
    """

    small, large = models["small"], models["large"]
    used, hybrid = methods["small_branch"], methods["hybrid"]
    in_use = f"{shape_when_poor} below {poor_below:g}"
    poor: dict[str, Found] = {
        "kept as they are": methods["grabcut"],
        **{
            f"{shape} below {poor_below:g}": small_branch(
                val, small, poor_below=poor_below, shape_when_poor=shape
            )
            for shape in get_args(Fallback)
            if shape != shape_when_poor
        },
    }
    switched = {
        _text(name, value): replace(fusion, **{name: value})
        for name, values in CHOICES.items()
        for value in values
        if value != getattr(fusion, name)
    }
    return [
        *_of_models(models, "fpn", FPN),
        *_of_models(models, "invalid", INVALID),
        *_of_models(models, "detector", DETECTOR, iou_type="bbox"),
        Trial("fusion", _described(fusion), hybrid, "hybrid"),
        *(Trial("fusion", text, fused(large, used, how)) for text, how in switched.items()),
        Trial("poor", in_use, used, "small_branch"),
        *(Trial("poor", text, masks) for text, masks in poor.items()),
        Trial("poor_fused", in_use, hybrid, "hybrid"),
        *(Trial("poor_fused", text, fused(large, masks, fusion)) for text, masks in poor.items()),
    ]


def ablation_table(
    val: "CocoSet", compared: Sequence[Trial], drawn: Drawn, *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return what each trial reaches, and its paired difference from the default of its group.

    Args:
        val: the validation images.
        compared: from :func:`trials`.
        drawn: from :func:`lib.hybridnet.table2.judge`, with the same resamples.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns group, setting, is_default, metric (AP, AP_S, AP_L with sizes parted at 64x64; of
        boxes in the group ``detector``, else of masks; and mask_IoU, of runs with masks), ours,
        ci_low, ci_high, difference, diff_low, diff_high, seeds; points of 100, the difference of a
        default NaN.
    """
    labels = val.to_coco()
    draws: dict[str, Any] = {"resamples": resamples, "seed": seed}
    judged = []
    for trial in compared:
        runs = drawn.get(trial.method) or {
            number: resample(
                evaluate(labels, found, iou_type=trial.iou_type, area_ranges=AREAS), **draws
            )
            for number, found in trial.detections.items()
        }
        scores = {metric: score(runs, metric) for metric in METRICS}
        if trial.masks_on_boxes:
            scores[MASK_IOU] = over_seeds(
                trial.masks_on_boxes, lambda masks: mean_iou(iou_on_boxes(val, masks), **draws)
            )
        judged.append(ablation.Judged(trial.group, trial.setting, scores))
    return ablation.compare(judged)


def _of_models(
    models: Models,
    group: str,
    variants: Mapping[str, str],
    *,
    iou_type: Literal["bbox", "segm"] = "segm",
) -> list[Trial]:
    there = {v: models[f"ablation.{v}"] for v in variants if f"ablation.{v}" in models}
    if next(iter(variants)) not in there or len(there) < 2:
        return []
    return [
        Trial(
            group,
            variants[v],
            model.detections,
            iou_type=iou_type,
            masks_on_boxes=model.masks_on_boxes,
        )
        for v, model in there.items()
    ]


def _described(fusion: FusionSettings) -> str:
    """Return the settings of a fusion as a text."""
    return ", ".join(_text(name, getattr(fusion, name)) for name in CHOICES)


def _text(name: str, value: Any) -> str:
    texts: dict[str, dict[Any, str]] = {
        "size": {"box": "size by box area", "mask": "size by mask area", "sides": "size by sides"},
        "nms": {"box": "NMS by box IoU", "mask": "NMS by mask IoU"},
        "nms_iou": {value: f"NMS above IoU {value}"},
        "per_class": {True: "NMS per class", False: "NMS over all classes"},
        "calibration": {"none": "scores as they are", "quantile": "scores calibrated"},
    }
    return texts[name][value]

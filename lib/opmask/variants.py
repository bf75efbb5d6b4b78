"""What paper B compares, as parameters of ``06_train_opmask`` (Sec. 3, 4.1 and 4.4).

A variant is ``method.split``: the split names the classes whose masks are given. The defaults are
OPMask's own: its official code settles what the paper leaves open. Ablations change one thing at a
time.
"""

import itertools
from typing import Any

from lib.variant import Variant

OPMASK: dict[str, Any] = {
    "train_method": "opmask",
    "model_box_head": "conv",
    "model_mask_per_class": False,
    "model_mask_rois": "proposals",
    "model_prior_norm": "min_max",
    "model_prior_scale": 1.0,
    "model_prior_fusion": "add",
    "model_prior_weights": "detached",
    "model_prior_gradient": True,
    "predict_cams": True,
    "predict_refined": False,
    "prior_snapshots": [],
}
OUR_BASELINE: dict[str, Any] = OPMASK | {"train_method": "mask_rcnn"}
"""The paper's "our Mask R-CNN": everything of OPMask but the prior (Sec. 4.1)."""

HE_ET_AL: dict[str, Any] = OUR_BASELINE | {
    "model_box_head": "fc",
    "model_mask_layers": 4,
    "model_norm": "none",
    "predict_cams": False,
}
"""Mask R-CNN with the heads of He et al. (2017)."""

METHODS: dict[str, dict[str, Any]] = {
    "baseline": OUR_BASELINE,
    "opmask": OPMASK,
    "faster_rcnn": OPMASK | {"train_method": "faster_rcnn"},
    "gt_boxes": OUR_BASELINE | {"model_mask_rois": "gt_boxes"},
    "mask_rcnn": HE_ET_AL,
    "class_specific": HE_ET_AL | {"model_mask_per_class": True},
}

COMPARED = ("baseline.voc", "opmask.voc", "baseline.non_voc", "opmask.non_voc")
"""The variants without which Table 2 has nothing to compare."""

ABLATION: dict[str, dict[str, Any]] = {
    "opmask": {},
    "baseline": {"train_method": "mask_rcnn"},
    "relu_max": {"model_prior_norm": "relu_max"},
    "sigmoid": {"model_prior_norm": "sigmoid"},
    "unscaled": {"model_prior_norm": "none"},
    "times_four": {"model_prior_scale": 4.0},
    "attached": {"model_prior_weights": "attached"},
    "vanilla": {"model_prior_gradient": False},
    "concat": {"model_prior_fusion": "concat"},
    "multiply": {"model_prior_fusion": "multiply"},
    "gn": {"model_norm": "gn"},
    "gt_boxes": {"model_mask_rois": "gt_boxes"},
}

SNAPSHOTS = [0.0, 0.02, 0.05, 0.1, 0.25, 0.5]
"""Shares of ``opmask.voc``'s training after which its prior is recorded."""


def variants() -> list[Variant]:
    """Return every training of paper B: those of Table 2, ablations, and what profiles can add."""
    return [*_table2(), *_ablations(), *_extras()]


def _table2() -> list[Variant]:
    found = []
    for method, split in (
        *itertools.product(("baseline", "opmask"), ("voc", "non_voc", "all", "official_40")),
        *itertools.product(("gt_boxes", "mask_rcnn"), ("voc", "non_voc")),
        ("class_specific", "all"),
        ("faster_rcnn", "all"),
    ):
        own = METHODS[method] | {
            "train_supervised": "none" if method == "faster_rcnn" else split,
            "predict_refined": method == "opmask" and split in ("voc", "non_voc"),
        }
        if method == "gt_boxes" or split == "official_40":  # in no table of maps
            own["predict_cams"] = False
        if (method, split) == ("opmask", "voc"):
            own["prior_snapshots"] = SNAPSHOTS
        found.append(_variant(f"{method}.{split}", own))
    return found


def _ablations() -> list[Variant]:
    given = {"train_supervised": "non_voc", "predict_cams": False}
    return [
        _variant(f"ablation.{name}", OPMASK | given | change, minutes=0.8)
        for name, change in ABLATION.items()
    ]


def _extras() -> list[Variant]:
    found = []
    for method in ("baseline", "opmask"):
        # The profile names the classes: train_supervised is no part of what these are.
        found.append(_variant(f"list.{method}", METHODS[method], extra=True))
    for method, split in itertools.product(("baseline", "opmask", "mask_rcnn"), ("voc", "non_voc")):
        deeper = {"train_supervised": split, "model_backbone": "resnet101"}
        found.append(_variant(f"r101.{method}.{split}", METHODS[method] | deeper, extra=True))
    return found


def _variant(
    name: str, own: dict[str, Any], *, minutes: float = 2.0, extra: bool = False
) -> Variant:
    optional = name not in COMPARED
    return Variant(name, own, minutes, optional=optional, extra=extra)

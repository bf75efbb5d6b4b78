"""What paper A compares, as parameters of ``04_train_hybrid`` (Sec. 2 and 3.3).

The *large branch* is Mask R-CNN with Enhanced-FPN, trained on valid masks only: an instance whose
pseudo-mask is invalid teaches its box alone. The *small branch* is Faster R-CNN, whose detections
GrabCut segments (:mod:`lib.hybridnet.small_branch`). Their fusion trains nothing
(:mod:`lib.hybridnet.fusion`). Ablations change one thing at a time.
"""

from typing import Any

from lib.variant import Variant

_COMMON: dict[str, Any] = {
    "model_fpn": "plain",
    "masks_from": "pseudo",
    "train_valid": "learn",
    "train_invalid": "learn",
    "train_empty": "no_mask",
    "segment_detections": False,
}
"""What a variant is unless it says otherwise."""

DETECTOR: dict[str, Any] = {"train_method": "faster_rcnn", "train_supervised": "none"}
"""Faster R-CNN: boxes only."""

MASK_RCNN: dict[str, Any] = {"train_method": "mask_rcnn", "train_supervised": "all"}

VALID_MASKS_ONLY: dict[str, Any] = {"train_invalid": "box_only"}
"""Instances whose mask has a box IoU below the limit keep their box and lose their mask (Sec. 2.1).
"""

LARGE_BRANCH = MASK_RCNN | VALID_MASKS_ONLY | {"model_fpn": "direct"}
"""``direct`` is the reading of Enhanced-FPN (Sec. 2.3) that the study takes for the paper's."""

COMPARED: dict[str, dict[str, Any]] = {
    "baseline": MASK_RCNN | {"train_empty": "background"},
    "large": LARGE_BRANCH,
    "small": DETECTOR | {"segment_detections": True},
    "pixel": LARGE_BRANCH | {"masks_from": "own"},
}
"""The rows of Tables 1 and 2 that need a training. ``baseline`` learns from every pseudo-mask, an
empty one too; ``pixel`` is the large branch with the true masks."""

READINGS: dict[str, dict[str, Any]] = {
    "small_invalid": COMPARED["small"] | {"train_valid": "drop"},
    "large_drop": LARGE_BRANCH | {"train_invalid": "drop"},
}
"""Rows of Table 2 for the other reading of Sec. 2: valid masks train the large branch, "the latter"
the small one, and of the others a branch does not even see the boxes. For background it takes
them."""

ABLATION: dict[str, dict[str, Any]] = {
    # which connections Enhanced-FPN has (lib.models.enhanced_fpn)
    **{
        kind: LARGE_BRANCH | {"model_fpn": kind}
        for kind in ("direct", "plain", "control", "bottom_up", "backbone", "dense", "lateral")
    },
    # what becomes of instances whose mask is invalid
    "all": LARGE_BRANCH | {"train_invalid": "learn", "train_empty": "background"},
    "found": LARGE_BRANCH | {"train_invalid": "learn"},
    "ignore": LARGE_BRANCH | {"train_invalid": "ignore"},
    "drop": LARGE_BRANCH | {"train_invalid": "drop"},
    # which boxes the small branch learns from
    "small": DETECTOR,
    "small_invalid": DETECTOR | {"train_valid": "drop"},
    "small_invalid_ignore": DETECTOR | {"train_valid": "ignore"},
}


def variants() -> list[Variant]:
    """Return every training of paper A, the detector that the others start from first."""
    # A detector that starts from nothing; all others start from the one that a profile names.
    start = DETECTOR | {"train_init": ""}
    return [
        _variant("detector", start, minutes=4),
        *(_variant(name, own, minutes=2.2) for name, own in COMPARED.items()),
        *(_variant(name, own, minutes=2.2, optional=True) for name, own in READINGS.items()),
        *(
            _variant(f"ablation.{name}", own, minutes=0.8, optional=True)
            for name, own in ABLATION.items()
        ),
    ]


def _variant(name: str, own: dict[str, Any], *, minutes: float, optional: bool = False) -> Variant:
    return Variant(name, _COMMON | own, minutes, optional=optional)

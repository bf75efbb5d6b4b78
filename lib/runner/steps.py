"""The steps of the study: which notebook, in which variant, after which others.

To add a step, add a line to ``STEPS``; to add a variant, call ``Step`` once more with the same
notebook and the parameters that make the variant what it is.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lib.runner.problems import nearest
from lib.strict_yaml import cut

EVERYTHING = "*"
"""In ``needs``: every other step of the profile."""

Kind = Literal["cpu", "train", "alone"]


@dataclass(frozen=True)
class Gigabytes:
    """Room that a step takes, in GB; 0 where nothing is stated.

    Args:
        gpu: memory of GPUs, of all that it uses together; only a step that has this needs a GPU.
        memory: main memory of each of its processes.
        disk: what it writes below ``cache/``.
    """

    gpu: float = 0.0
    memory: float = 0.0
    disk: float = 0.0


@dataclass(frozen=True)
class Step:
    """One execution of one notebook.

    Args:
        notebook: file name without suffix.
        variant: what tells it from other executions of the same notebook, such as ``opmask.voc``.
        needs: steps whose outputs it reads; a notebook's name stands for all its variants. Steps
            that ``train_init`` and ``data_from`` name need not be listed.
        parameters: values that make the variant what it is; no profile can change them.
        kind: ``train`` for steps that use GPUs where there are any: never two of them on one.
            ``alone`` for steps that measure time: nothing runs beside them.
        minutes: expected time in the ``demo`` profile, shown until a real one is known; on one GPU
            where the profile is meant for GPUs.
        files: further files it depends on, relative to the repository.
        optional: those that need it do without if it fails.
        extra: only profiles that name it in ``add`` have it.
        takes: the room that the profile expects it to take.
    """

    notebook: str
    variant: str = ""
    needs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = "cpu"
    minutes: float = 0.5
    files: tuple[str, ...] = ()
    optional: bool = False
    extra: bool = False
    takes: Gigabytes = field(default_factory=Gigabytes)

    @property
    def id(self) -> str:
        """The notebook's name, and the variant after a dot if there is one."""
        return f"{self.notebook}.{self.variant}" if self.variant else self.notebook


def _train_hybrid(variant: str, *, minutes: float, **parameters: Any) -> Step:
    plain = {
        "model_fpn": "plain",
        "masks_from": "pseudo",
        "train_valid": "learn",
        "train_invalid": "learn",
        "train_empty": "no_mask",
        "segment_detections": False,
    }
    return Step(
        "04_train_hybrid",
        variant,
        needs=("01_data", "02_pseudo_masks"),
        parameters={"variant": variant, **plain, **parameters},
        kind="train",
        minutes=minutes,
        optional=variant.startswith("ablation."),
    )


# What tells the variants of paper A apart (Sec. 2 and 3.3). `ablation` changes one thing at a time.
_BOXES: dict[str, Any] = {"train_method": "faster_rcnn", "train_supervised": "none"}
_MASKS: dict[str, Any] = {"train_method": "mask_rcnn", "train_supervised": "all"}
_LARGE: dict[str, Any] = _MASKS | {"model_fpn": "direct", "train_invalid": "box_only"}
_HYBRID: dict[str, dict[str, Any]] = {
    "baseline": _MASKS | {"train_empty": "background"},
    "large": _LARGE,
    "small": _BOXES | {"segment_detections": True},
    "pixel": _LARGE | {"masks_from": "own"},
}
_ABLATION: dict[str, dict[str, Any]] = {
    **{
        kind: _LARGE | {"model_fpn": kind}
        for kind in ("direct", "plain", "control", "bottom_up", "backbone", "dense", "lateral")
    },
    "all": _LARGE | {"train_invalid": "learn", "train_empty": "background"},
    "found": _LARGE | {"train_invalid": "learn"},
    "ignore": _LARGE | {"train_invalid": "ignore"},
    "drop": _LARGE | {"train_invalid": "drop"},
    "small": _BOXES,
    "small_invalid": _BOXES | {"train_valid": "drop"},
    "small_invalid_ignore": _BOXES | {"train_valid": "ignore"},
}


# What tells the variants of paper B apart (Sec. 3, 4.1 and 4.4). The defaults are OPMask's own: its
# official code settles what the paper leaves open. `ablation` changes one thing at a time.
_OPMASK: dict[str, Any] = {
    "train_method": "opmask",
    "model_box_head": "conv",
    "model_mask_layers": 7,
    "model_mask_per_class": False,
    "model_mask_rois": "proposals",
    "model_prior_norm": "min_max",
    "model_prior_fusion": "add",
    "model_prior_weights": "detached",
    "model_prior_gradient": True,
    "predict_cams": True,
    "predict_refined": False,
    "prior_snapshots": [],
}
_OUR_BASELINE: dict[str, Any] = _OPMASK | {"train_method": "mask_rcnn"}
_HE_ET_AL: dict[str, Any] = _OUR_BASELINE | {
    "model_box_head": "fc",
    "model_mask_layers": 4,
    "model_norm": "none",
    "predict_cams": False,
}
_METHODS_B: dict[str, dict[str, Any]] = {
    "baseline": _OUR_BASELINE,
    "opmask": _OPMASK,
    "faster_rcnn": _OPMASK | {"train_method": "faster_rcnn"},
    "gt_boxes": _OUR_BASELINE | {"model_mask_rois": "gt_boxes"},
    "mask_rcnn": _HE_ET_AL,
    "class_specific": _HE_ET_AL | {"model_mask_per_class": True},
}
_COMPARED = ("baseline.voc", "opmask.voc", "baseline.non_voc", "opmask.non_voc")
_ABLATION_B: dict[str, dict[str, Any]] = {
    "opmask": {},
    "baseline": {"train_method": "mask_rcnn"},
    "relu_max": {"model_prior_norm": "relu_max"},
    "sigmoid": {"model_prior_norm": "sigmoid"},
    "unscaled": {"model_prior_norm": "none"},
    "attached": {"model_prior_weights": "attached"},
    "vanilla": {"model_prior_gradient": False},
    "concat": {"model_prior_fusion": "concat"},
    "multiply": {"model_prior_fusion": "multiply"},
    "gn": {"model_norm": "gn"},
    "gt_boxes": {"model_mask_rois": "gt_boxes"},
}


def _train_opmask(
    variant: str, *, minutes: float = 2.0, extra: bool = False, **parameters: Any
) -> Step:
    return Step(
        "06_train_opmask",
        variant,
        parameters={"variant": variant, **parameters},
        kind="train",
        minutes=minutes,
        optional=variant not in _COMPARED,
        extra=extra,
    )


def _opmask_steps() -> Iterable[Step]:
    """Yield the trainings of paper B, those that its Table 2 compares first."""
    for method, split in (
        *itertools.product(("baseline", "opmask"), ("voc", "non_voc", "all", "official_40")),
        *itertools.product(("gt_boxes", "mask_rcnn"), ("voc", "non_voc")),
        ("class_specific", "all"),
        ("faster_rcnn", "all"),
    ):
        own = _METHODS_B[method] | {
            "train_supervised": "none" if method == "faster_rcnn" else split,
            "predict_refined": method == "opmask" and split in ("voc", "non_voc"),
        }
        if method == "gt_boxes" or split == "official_40":  # in no table of maps
            own["predict_cams"] = False
        if (method, split) == ("opmask", "voc"):
            own["prior_snapshots"] = [0.0, 0.02, 0.05, 0.1, 0.25, 0.5]
        yield _train_opmask(f"{method}.{split}", **own)
    for name, change in _ABLATION_B.items():
        own = _OPMASK | {"train_supervised": "non_voc", "predict_cams": False} | change
        yield _train_opmask(f"ablation.{name}", minutes=0.8, **own)
    for method in ("baseline", "opmask"):
        # The profile names the classes: train_supervised is no part of what these are.
        yield _train_opmask(f"list.{method}", extra=True, **_METHODS_B[method])
        for split in ("voc", "non_voc"):
            deeper = {"train_supervised": split, "model_backbone": "resnet101"}
            own = _METHODS_B[method] | deeper
            yield _train_opmask(f"r101.{method}.{split}", extra=True, **own)


STEPS: tuple[Step, ...] = (
    Step("01_data", minutes=0.5, parameters={"variant": ""}),
    Step("01_data", "coco", minutes=1, parameters={"variant": "coco"}, extra=True),
    Step("02_pseudo_masks", needs=("01_data",), minutes=2),
    Step(
        "03_invalid_masks",
        needs=("01_data", "02_pseudo_masks"),
        files=("params/claims.yaml",),
    ),
    _train_hybrid("detector", minutes=4, **_BOXES, train_init=""),
    *(_train_hybrid(name, minutes=2.2, **own) for name, own in _HYBRID.items()),
    *(_train_hybrid(f"ablation.{name}", minutes=0.8, **own) for name, own in _ABLATION.items()),
    Step(
        "05_hybrid_results",
        needs=("01_data", "02_pseudo_masks", "04_train_hybrid"),
        minutes=1.5,
        files=("params/claims.yaml",),
    ),
    *_opmask_steps(),
    Step(
        "07_opmask_results",
        needs=("06_train_opmask",),
        kind="alone",
        minutes=2.5,
        files=("params/claims.yaml",),
    ),
    Step("08_overlap_regression", needs=("06_train_opmask",), files=("params/claims.yaml",)),
    Step("09_class_ratio", needs=("06_train_opmask",), files=("params/claims.yaml",)),
    Step("10_speed", kind="alone", minutes=0.5, optional=True),
    Step(
        "11_model_speed",
        kind="alone",
        minutes=2,
        optional=True,
        files=("params/paper.yaml",),  # whose training it prices
    ),
    Step("99_summary", needs=(EVERYTHING,), files=("params/claims.yaml",)),
)


def in_scope(step: Step, scope: str) -> bool:
    """Return whether ``scope`` is the step's id or the beginning of it, up to a dot."""
    return f"{step.id}.".startswith(f"{scope}.")


def matching(name: str, steps: Iterable[Step]) -> list[str]:
    """Return the ids of the steps that ``name`` means.

    That is one step, all variants of a notebook, or those whose id begins with ``name`` and a dot.

    Raises:
        ValueError: if there are none; the message has the nearest right name.
    """
    steps = list(steps)
    found = [s.id for s in steps if name == s.id] or [s.id for s in steps if in_scope(s, name)]
    if not found:
        # The exact id comes first; a group of variants is named by its notebook.
        names = {step.id for step in steps} | {step.id.rsplit(".", 1)[0] for step in steps}
        names |= {step.notebook for step in steps}
        raise ValueError(f"There is no step {cut(name)!r}.{nearest(name, names)}")
    return found


def with_needs_resolved(steps: Sequence[Step]) -> list[Step]:
    """Return ``steps`` with every name in ``needs`` replaced by step ids.

    Raises:
        ValueError: if a step needs one that is not among them.
    """
    resolved = []
    for step in steps:
        needs: list[str] = []
        for name in step.needs:
            others = [s for s in steps if s.id != step.id]
            if name == EVERYTHING:
                needs += [s.id for s in others]
                continue
            try:
                needs += matching(name, others)
            except ValueError as error:
                raise ValueError(
                    f"Step {step.id!r} needs {name!r}, which this profile leaves out. "
                    f"Leave out {step.id!r} too, or neither."
                ) from error
        resolved.append(replace(step, needs=tuple(dict.fromkeys(needs))))
    return resolved

"""The steps of the study: which notebook, in which variant, after which others.

To add a step, add a line to ``STEPS``; to add a variant, call ``Step`` once more with the same
notebook and the parameters that make the variant what it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lib.runner.problems import nearest

EVERYTHING = "*"
"""In ``needs``: every other step of the profile."""


@dataclass(frozen=True)
class Step:
    """One execution of one notebook.

    Args:
        notebook: file name without suffix.
        variant: what tells it from other executions of the same notebook, such as ``opmask.voc``.
        needs: steps whose outputs it reads; a notebook's name stands for all its variants. The
            step that ``train_init`` names need not be listed.
        parameters: values that make the variant what it is; no profile can change them.
        kind: ``train`` for steps that use all cores or a GPU: never two of them at a time.
        minutes: expected time in the ``demo`` profile, shown until a real one is known.
        files: further files it depends on, relative to the repository.
        optional: those that need it do without if it fails.
    """

    notebook: str
    variant: str = ""
    needs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["cpu", "train"] = "cpu"
    minutes: float = 0.5
    files: tuple[str, ...] = ()
    optional: bool = False

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


def _train_opmask(method: str, supervised: str) -> Step:
    name = {"mask_rcnn": "baseline"}.get(method, method)
    variant = f"{name}.{supervised}"
    return Step(
        "06_train_opmask",
        variant,
        needs=("01_data",),
        parameters={
            "variant": variant,
            "train_method": method,
            "train_supervised": supervised,
        },
        kind="train",
        minutes=2.5,
    )


STEPS: tuple[Step, ...] = (
    Step("01_data", minutes=0.5),
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
    _train_opmask("mask_rcnn", "voc"),
    _train_opmask("opmask", "voc"),
    _train_opmask("mask_rcnn", "non_voc"),
    _train_opmask("opmask", "non_voc"),
    Step(
        "07_opmask_results",
        needs=("01_data", "06_train_opmask"),
        files=("params/claims.yaml",),
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
        raise ValueError(f"There is no step {name!r}.{nearest(name, names)}")
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

"""What paper A's models predicted, and the methods that it gives: shapes, branches, their fusion.

A *model* was trained once or several times, with another *seed* each: its *runs*. A *method* is a
row of the tables: some are a model of ``04_train_hybrid`` as it is, the others are made from
predictions without further training. A method is made seed by seed, of its models' runs with that
seed, so it has the seeds that all its models have. Tables are of the mean over these, pictures of
the first.
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
from lib.pages import comparable, comparison
from lib.variant import split_seed, with_seed

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
    "small_invalid": "small branch, invalid alone",
    "large_branch": "large branch",
    "large_drop": "large branch, valid alone",
    "hybrid": "HybridNet",
    "hybrid_parted": "HybridNet of these two",
    "pixel_level": "true masks",
}
"""Method -> as people read it, in the order of the tables."""

READINGS = {
    "small_invalid": "small_branch",
    "large_drop": "large_branch",
    "hybrid_parted": "hybrid",
}
"""Methods of the other reading of paper A, where they were trained -> the same as compared.

"The former [valid masks] is used to train the large object instance branch, while the latter is
used to train the small object instance branch" (Sec. 2) may mean that a branch never sees the
other's objects, not even their boxes. In the reading of the tables it sees all boxes.
"""

PRINTED = {"DeepMask": "DeepMask", "DeepLabBOX": "DeepLabBOX"}
"""Other people's methods, of which there are only the paper's numbers -> as people read them."""

SMALL_BRANCHES = ("small", "small_invalid")
"""Variants in whose detections GrabCut makes masks."""

SHAPES: tuple[Shape, ...] = ("rectangle", "ellipse", "grabcut")
"""Methods that learn nothing about masks: one shape in every detection of the small branch."""

VARIANTS = {
    "baseline": "baseline",
    "large_branch": "large",
    "large_drop": "large_drop",
    "pixel_level": "pixel",
}
"""Methods that are a model as it is -> its variant."""

DRAWN_BY = {"": "mask head", "grabcut": "GrabCut", "ellipse": "ellipse", "rectangle": "rectangle"}
"""What a detection says of its mask's shape -> as people read it."""

Found = Mapping[int, Sequence[Result]]
"""Detections by seed."""

Methods = Mapping[str, Found]
Fallback = Literal["ellipse", "rectangle"]


@dataclass(frozen=True)
class Run:
    """What one training of a model predicted on the validation images.

    Attributes:
        step: the id of the step that trained it.
        detections: COCO results; with masks unless the model is a detector.
        masks_on_boxes: masks on the ground-truth boxes, with ``annotation_id``; None where the
            step predicted none.
        segmented: the detections with GrabCut's masks (`lib.hybridnet.small_branch.segment`);
            of small branches alone.
    """

    step: str
    detections: list[Result]
    masks_on_boxes: list[dict[str, Any]] | None = None
    segmented: list[Result] | None = None


@dataclass(frozen=True)
class Predictions:
    """What one model predicted, each time that it was trained.

    Attributes:
        config: the model's settings, which its runs share.
        runs: by seed, the first first.
    """

    config: ModelConfig
    runs: Mapping[int, Run]

    @property
    def first(self) -> Run:
        """The run that pictures show."""
        return self.runs[min(self.runs)]

    @property
    def detections(self) -> dict[int, list[Result]]:
        """What each run found, by seed."""
        return {seed: run.detections for seed, run in self.runs.items()}

    @property
    def masks_on_boxes(self) -> dict[int, list[dict[str, Any]]]:
        """Each run's masks on the ground-truth boxes, by seed; of those that have some."""
        runs = {seed: run.masks_on_boxes for seed, run in self.runs.items()}
        return {seed: masks for seed, masks in runs.items() if masks is not None}


Models = Mapping[str, Predictions]
"""Predictions by the model's variant of the step, such as ``large`` or ``ablation.direct``."""


def read(workspace: "Workspace") -> dict[str, Predictions]:
    """Read what every model of ``04_train_hybrid`` predicted, by variant.

    Runs that did not succeed are left out, and with all its runs a model that is not
    :data:`REQUIRED`.

    Raises:
        FileNotFoundError: if no run of one of :data:`REQUIRED` is there; the message has the
            command.
        ValueError: if the runs of a model differ in more than their seed.
    """
    seeds: dict[str, list[int]] = {variant: [] for variant in REQUIRED}
    for name in workspace.variants(STEP):
        variant, seed = split_seed(name)
        if seed is not None:
            seeds.setdefault(variant, []).append(seed)
    return {variant: _read(workspace, variant, of or [0]) for variant, of in seeds.items()}


def _read(workspace: "Workspace", variant: str, seeds: Sequence[int]) -> Predictions:
    runs, configs = {}, {}
    for seed in sorted(seeds):
        step = with_seed(f"{STEP}.{variant}", seed)
        model = workspace.input(step, "model.json")
        configs[seed] = ModelConfig.model_validate(read_json(model))
        on_boxes = model.with_name("masks_on_boxes_val.json")
        cut = workspace.input(step, "segmented_val.json") if variant in SMALL_BRANCHES else None
        runs[seed] = Run(
            step=step,
            detections=read_json(workspace.input(step, "detections_val.json")),
            masks_on_boxes=read_json(on_boxes) if on_boxes.exists() else None,
            segmented=read_segmented(cut) if cut else None,
        )
    first, *others = configs.values()
    if any(config != first for config in others):
        raise ValueError(
            f"Expected trainings of {STEP}.{variant} that differ in their seed alone, found "
            f"different settings in their model.json. Train all of them anew:\n"
            f"  {workspace.command} --force {STEP}.{variant}"
        )
    return Predictions(first, runs)


def backbone(models: Models) -> str:
    """Return the one backbone of all models; see :func:`lib.pages.comparable.one_backbone`."""
    return comparable.one_backbone((model.config for model in models.values()), step=STEP)


def seeds_line(models: Models) -> str:
    """Return how often the compared models were trained; see `lib.pages.comparable.seeds_line`."""
    return comparable.seeds_line(len(models[variant].runs) for variant in REQUIRED)


def methods(
    val: "CocoSet",
    models: Models,
    fusion: FusionSettings,
    *,
    poor_below: float,
    shape_when_poor: Fallback,
) -> dict[str, dict[int, list[Result]]]:
    """Return the detections, with masks, of every method of Tables 1 and 2, by seed.

    Args:
        val: the validation images.
        models: from :func:`read`.
        fusion: how the two branches are fused (paper A, Sec. 2).
        poor_below: box IoU below which GrabCut's mask of a detection is replaced.
        shape_when_poor: by what (Sec. 2.2: an ellipse).

    Returns:
        Method -> seed -> COCO results, in the order of :data:`NAMES`; of :data:`READINGS` those
        that were trained. ``pixel_level`` is the large branch trained on true masks: with these no
        mask is invalid, so nothing is left to the other one.

    Raises:
        ValueError: if no seed is there of both branches.
    """
    poor: dict[str, Any] = {"poor_below": poor_below, "shape_when_poor": shape_when_poor}
    found = {method: models[v].detections for method, v in VARIANTS.items() if v in models}
    found |= {shape: _drawn(val, models["small"], shape) for shape in SHAPES}
    found["small_branch"] = small_branch(val, models["small"], **poor)
    found["hybrid"] = fused(models["large"], found["small_branch"], fusion)
    if not found["hybrid"]:
        raise ValueError(
            "HybridNet is fused of a large and a small branch with the same seed. Found seeds "
            f"{', '.join(map(str, models['large'].runs))} of the large and "
            f"{', '.join(map(str, models['small'].runs))} of the small branch; train what is "
            f"missing: python run_all.py --only {STEP}"
        )
    if "small_invalid" in models:
        found["small_invalid"] = small_branch(val, models["small_invalid"], **poor)
        if "large_drop" in models:
            both = models["large_drop"], found["small_invalid"]
            found["hybrid_parted"] = fused(*both, fusion)
    return {method: found[method] for method in NAMES if found.get(method)}


def fused(large: Predictions, small: Found, fusion: FusionSettings) -> dict[int, list[Result]]:
    """Return a large branch fused with ``small``, by seed: the best of each image.

    As many per image are kept as one model may give, so that the fusion is not better for having
    two models' numbers of guesses. Seeds that one of the two lacks are left out.
    """
    most = large.config.detections_per_image
    return {
        seed: _best(fuse(found, small[seed], fusion), most)
        for seed, found in large.detections.items()
        if seed in small
    }


def _best(found: Sequence[Result], most: int) -> list[Result]:
    """Return the first ``most`` detections of each image; they come best first."""
    kept, counts = [], Counter[int]()
    for result in found:
        counts[result["image_id"]] += 1
        if counts[result["image_id"]] <= most:
            kept.append(result)
    return kept


def small_branch(
    val: "CocoSet", model: Predictions, *, poor_below: float, shape_when_poor: Fallback
) -> dict[int, list[Result]]:
    """Return a small branch's detections with GrabCut's masks, or a shape where poor, by seed.

    Args:
        val: the validation images.
        model: one of :data:`SMALL_BRANCHES`.
        poor_below: box IoU below which a mask is poor; 0 keeps every mask, empty ones too.
        shape_when_poor: what replaces a poor mask.
    """
    if poor_below == 0:
        return _drawn(val, model, "grabcut")
    shape: Shape = "grabcut_or_ellipse" if shape_when_poor == "ellipse" else "grabcut_or_rectangle"
    return _drawn(val, model, shape, poor_below=poor_below)


def _drawn(
    val: "CocoSet", model: Predictions, shape: Shape, **poor: float
) -> dict[int, list[Result]]:
    return {
        seed: with_masks(run.segmented or [], val, shape=shape, **poor)
        for seed, run in model.runs.items()
    }


def branch_table(methods: Methods, fusion: FusionSettings, *, score_from: float) -> pd.DataFrame:
    """Return where the hybrid's detections come from, of its first seed.

    Args:
        methods: from :func:`methods`.
        fusion: the settings that the hybrid was fused with.
        score_from: score from which a detection counts as confident.

    Returns:
        Columns size (``small`` or ``large``, as the fusion understands it), branch, mask (drawn
        by the mask head, GrabCut or as a shape), offered (detections of that branch), kept (of
        these, in the hybrid), confident (of the kept ones).
    """
    branches, seed = ("large", "small"), min(methods["hybrid"])
    kept = methods["hybrid"][seed]
    offered = [{**d, "branch": b} for b in branches for d in methods[f"{b}_branch"][seed]]
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

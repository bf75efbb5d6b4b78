"""The runs of paper B, and the names that its tables and figures share.

A *run* is one execution of ``06_train_opmask``: one method, trained with the masks of some classes,
the *supervised* ones; all others of the set are *unsupervised*. A *direction* names the supervised
classes first, as the paper does: "voc -> non-voc" was trained with the masks of the VOC classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from lib.files import read_json
from lib.hybridnet.small_branch import Result
from lib.metrics.coco_ap import APResult, evaluate
from lib.models.config import ModelConfig
from lib.pages.comparable import one_backbone
from lib.pages.tables import decimals_of

if TYPE_CHECKING:
    from lib.data.categories import Categories
    from lib.data.coco import CocoSet
    from lib.workspace import Workspace

STEP = "06_train_opmask"
METHODS = ("baseline", "opmask")
SPLITS = ("voc", "non_voc")
LESS = " - "
"""Between the names of two methods: the first minus the second."""

DIFFERENCE = f"opmask{LESS}baseline"

DIRECTIONS = {"voc": "voc_to_nonvoc", "non_voc": "nonvoc_to_voc"}
"""Supervised split of the paper -> direction, as claim ids spell it."""

SETTINGS = {"all": "full", **DIRECTIONS, "official_40": "official_40", "list": "list"}
"""Any supervised split -> how tables call it."""

TITLES = {
    "voc_to_nonvoc": "voc → non-voc",
    "nonvoc_to_voc": "non-voc → voc",
    "full": "masks of all classes",
    "official_40": "40 classes → others",
    "list": "listed classes → others",
}
"""Direction (or other setting) -> as people read it."""

NAMES = {
    "mask_rcnn": "plain Mask R-CNN",
    "baseline": "baseline",
    "gt_boxes": "baseline, true boxes",
    "Mask_X_RCNN": "Mask^X R-CNN",
    "ShapeProp": "ShapeProp",
    "ShapeMask": "ShapeMask",
    "CPMask": "CPMask",
    "opmask": "OPMask",
    "class_specific": "a mask per class, with all masks",
    "faster_rcnn": "Faster R-CNN",
}
"""Method, others' among them -> as people read it, in the order of the tables."""

METRICS = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP_small": "AP_S",
    "AP_medium": "AP_M",
    "AP_large": "AP_L",
}
"""Metrics of :mod:`lib.metrics.coco_ap` (COCO's area ranges) -> as the paper writes them."""


@dataclass(frozen=True)
class Run:
    """What one trained model predicted on the validation images.

    Attributes:
        variant: of the step, such as ``opmask.voc``.
        method: one of :data:`NAMES`; of an ablation, ``baseline`` or ``opmask``.
        split: the supervised classes: ``voc``, ``non_voc``, ``official_40``, ``all``, ``list`` (of
            the profile) or ``none`` (a detector).
        supervised: their labels.
        config: the model's settings.
        detections: COCO results; with masks unless the model is a detector.
        masks_on_boxes: masks on the ground-truth boxes, with ``annotation_id``; empty for a
            detector.
        folder: where the step wrote, for its class activation maps.
    """

    variant: str
    method: str
    split: str
    supervised: frozenset[int]
    config: ModelConfig
    detections: list[Result]
    masks_on_boxes: list[dict[str, Any]]
    folder: Path

    @property
    def setting(self) -> str:
        """The direction, or ``full``, ``official_40``, ``list``; ``none`` for a detector."""
        return SETTINGS.get(self.split, self.split)


Runs = dict[str, Run]
"""Runs by variant."""

Results = Mapping[str, APResult]
"""AP by variant."""


def read_runs(
    workspace: "Workspace", categories: "Categories", variants: Sequence[str] | None = None
) -> Runs:
    """Read what the executions of ``06_train_opmask`` predicted, by variant.

    Profiles leave variants out; those that did not succeed are left out here too.

    Args:
        workspace: of the step that reads.
        categories: of the validation images.
        variants: those to read; all by default.

    Raises:
        FileNotFoundError: if there is none of them; the message has the command.
    """
    done = workspace.variants(STEP)
    wanted = [v for v in done if variants is None or v in variants]
    if not wanted:
        first = f"{STEP}.{variants[0]}" if variants else STEP
        raise FileNotFoundError(
            f"No model of {STEP} has been trained for {workspace.profile!r} yet. Make it "
            f"with\n  {workspace.command} --only {first}"
        )
    return {variant: _read(workspace, categories, variant) for variant in wanted}


def _read(workspace: "Workspace", categories: "Categories", variant: str) -> Run:
    part = f"{STEP}.{variant}"
    path = workspace.input(part, "run.json")
    told = read_json(path)
    on_boxes = path.with_name("masks_on_boxes_val.json")
    return Run(
        variant=variant,
        method=told["method"],
        split=told["split"],
        supervised=categories.split(told["supervised"]),
        config=ModelConfig.model_validate(told["model"]),
        detections=read_json(workspace.input(part, "detections_val.json")),
        masks_on_boxes=read_json(on_boxes) if on_boxes.exists() else [],
        folder=path.parent,
    )


def supervised(run: Run, categories: "Categories") -> frozenset[int]:
    """Return the labels of a run's supervised classes that a set has."""
    return run.supervised & categories.labels


def unsupervised(run: Run, categories: "Categories") -> frozenset[int]:
    """Return the labels of the classes whose masks a run never saw."""
    return categories.labels - run.supervised


def groups(run: Run, categories: "Categories") -> dict[str, frozenset[int]]:
    """Return the labels of a run's unsupervised and of its supervised classes."""
    return {
        "unsupervised": unsupervised(run, categories),
        "supervised": supervised(run, categories),
    }


def judge(
    coco_set: "CocoSet", runs: Runs, iou_type: Literal["bbox", "segm"]
) -> dict[str, APResult]:
    """Evaluate every run's boxes or masks on all classes, by variant.

    Where masks are judged, detectors are left out.
    """
    labels = coco_set.to_coco()
    return {
        variant: evaluate(labels, run.detections, iou_type=iou_type)
        for variant, run in runs.items()
        if iou_type == "bbox" or run.config.has_masks
    }


def backbone(runs: Runs) -> str:
    """Return the one backbone of all runs; see :func:`lib.pages.comparable.one_backbone`."""
    return one_backbone((run.config for run in runs.values()), step=STEP)


def pairs(runs: Runs, *, prefix: str = "") -> dict[str, dict[str, Run]]:
    """Return the settings in which both methods were run: setting -> method -> run.

    Args:
        runs: from :func:`read_runs`.
        prefix: of the variants, such as ``r101.``.
    """
    found = {}
    for split, setting in SETTINGS.items():
        names = {m: f"list.{m}" if split == "list" else f"{m}.{split}" for m in METHODS}
        names = {method: prefix + name for method, name in names.items()}
        if all(name in runs for name in names.values()):
            found[setting] = {method: runs[name] for method, name in names.items()}
    return found


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with directions and methods as people read them.

    A direction stands in the first of the lines below each other that have it, in one line.
    """
    names = {}
    if "direction" in table:
        again = table["direction"] == table["direction"].shift()
        names["direction"] = table["direction"].map(_title).mask(again, "")
    if "method" in table:
        names["method"] = table["method"].map(readable)
    return table.assign(**names)


def _title(direction: str) -> str:
    title = TITLES.get(direction, direction)
    return unbroken(title) if direction in DIRECTIONS.values() else title


def unbroken(text: str) -> str:
    """Return a text that no page breaks into lines."""
    return text.replace(" ", "\u00a0").replace("-", "\u2011")


def span(row: Mapping[Any, Any], low: str = "ci_low", high: str = "ci_high") -> str | None:
    """Return the interval of a table's row as people read it; None without one.

    Args:
        row: with both ends of the interval, in points of 100.
        low: column of its low end.
        high: of its high end.
    """
    ends = [row[low], row[high]]
    if any(pd.isna(end) for end in ends):
        return None
    texts = [f"{end:z.{decimals_of(end, 1)}f}" for end in ends]
    return unbroken(" to ".join(texts).replace("-", "\u2212"))


def readable(method: str) -> str:
    """Return a method, or the difference of two, as people read it."""
    return " − ".join(NAMES.get(part, part) for part in method.split(LESS))

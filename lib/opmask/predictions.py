"""What paper B's models predicted, and the names that its tables and figures share.

A *model* is what one execution of ``06_train_opmask`` left: one method, trained with the masks of
some classes, the *supervised* ones; all others of the set are *unsupervised*. A *direction* names
the supervised classes first, as the paper does: "voc -> non-voc" was trained with the masks of the
VOC classes. A direction or another choice of supervised classes is a *setting*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from lib.data.overlap import objects
from lib.files import read_json
from lib.metrics.coco_ap import APResult, evaluate
from lib.models.config import ModelConfig
from lib.pages import comparison
from lib.pages.comparable import one_backbone
from lib.pages.comparison import LESS
from lib.pages.tables import decimals_of

if TYPE_CHECKING:
    from lib.data.categories import Categories
    from lib.data.coco import CocoSet
    from lib.workspace import Workspace

STEP = "06_train_opmask"
METHODS = ("baseline", "opmask")
SPLITS = ("voc", "non_voc")
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
"""Setting -> as people read it."""

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

CLASSES = ("unsupervised", "supervised")

ABLATION = "ablation."
"""How the variants of the ablation begin."""


@dataclass(frozen=True)
class Predictions:
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
    detections: list[dict[str, Any]]
    masks_on_boxes: list[dict[str, Any]]
    folder: Path

    @property
    def setting(self) -> str:
        """The direction, or ``full``, ``official_40``, ``list``; ``none`` for a detector."""
        return SETTINGS.get(self.split, self.split)


Models = Mapping[str, Predictions]
"""Predictions by the model's variant of the step."""

Results = Mapping[str, APResult]
"""AP by variant."""


def read(
    workspace: "Workspace", categories: "Categories", variants: Sequence[str] | None = None
) -> Models:
    """Read what the models of ``06_train_opmask`` predicted, by variant.

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


def _read(workspace: "Workspace", categories: "Categories", variant: str) -> Predictions:
    part = f"{STEP}.{variant}"
    path = workspace.input(part, "run.json")
    card = read_json(path)  # of lib.opmask.run_card
    on_boxes = path.with_name("masks_on_boxes_val.json")
    return Predictions(
        variant=variant,
        method=card["method"],
        split=card["split"],
        supervised=categories.split(card["supervised"]),
        config=ModelConfig.model_validate(card["model"]),
        detections=read_json(workspace.input(part, "detections_val.json")),
        masks_on_boxes=read_json(on_boxes) if on_boxes.exists() else [],
        folder=path.parent,
    )


def main_models(models: Models) -> Models:
    """Return the models of the main tables: those of the ablation have a schedule of their own."""
    return {v: model for v, model in models.items() if not v.startswith(ABLATION)}


def missing_line(models: Models, wanted: Sequence[str]) -> str:
    """Return a sentence on which of the variants that something needs were not trained."""
    missing = [variant for variant in wanted if variant not in models]
    if not missing:
        return "Every model of this part was trained."
    return f"Not trained in this profile, so left out here: {', '.join(missing)}."


def unsupervised(model: Predictions, categories: "Categories") -> frozenset[int]:
    """Return the labels of the classes whose masks a model never saw."""
    return categories.labels - model.supervised


def groups(model: Predictions, categories: "Categories") -> dict[str, frozenset[int]]:
    """Return the labels of a model's unsupervised and of its supervised classes."""
    return {
        "unsupervised": unsupervised(model, categories),
        "supervised": categories.labels & model.supervised,
    }


def classes_table(coco_set: "CocoSet", models: Models) -> pd.DataFrame:
    """Return the number of classes and instances without and with masks, per setting.

    Columns direction, classes, number, present (classes that have an instance here; AP is a mean
    over these), instances.
    """
    of_setting = {model.setting: model for model in models.values()}
    some = objects(coco_set)
    lines = []
    for setting in (s for s in SETTINGS.values() if s in of_setting):
        for classes, labels in groups(of_setting[setting], coco_set.categories).items():
            of = [x.label for x in some if x.label in labels]
            lines.append((setting, classes, len(labels), len(set(of)), len(of)))
    columns = ["direction", "classes", "number", "present", "instances"]
    return pd.DataFrame(lines, columns=columns)


def judge(
    coco_set: "CocoSet", models: Models, iou_type: Literal["bbox", "segm"]
) -> dict[str, APResult]:
    """Evaluate every model's boxes or masks on all classes, by variant.

    Where masks are judged, detectors are left out.
    """
    labels = coco_set.to_coco()
    return {
        variant: evaluate(labels, model.detections, iou_type=iou_type)
        for variant, model in models.items()
        if iou_type == "bbox" or model.config.has_masks
    }


def backbone(models: Models) -> str:
    """Return the one backbone of all models; see :func:`lib.pages.comparable.one_backbone`."""
    return one_backbone((model.config for model in models.values()), step=STEP)


def pairs(models: Models) -> dict[str, dict[str, Predictions]]:
    """Return the settings that both methods were trained in: setting -> method -> model."""
    found = {}
    for split, setting in SETTINGS.items():
        names = {m: variant_of(m, split) for m in METHODS}
        if all(name in models for name in names.values()):
            found[setting] = {method: models[name] for method, name in names.items()}
    return found


def variant_of(method: str, split: str) -> str:
    """Return the variant of a method that was trained with the masks of a split."""
    return f"list.{method}" if split == "list" else f"{method}.{split}"


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with settings and methods as people read them.

    A setting stands in the first of the lines below each other that have it, in one line.
    """
    names = {}
    if "direction" in table:
        again = table["direction"] == table["direction"].shift()
        names["direction"] = table["direction"].map(_title).mask(again, "")
    if "method" in table:
        names["method"] = table["method"].map(lambda m: comparison.readable(m, NAMES))
    return table.assign(**names)


def _title(setting: str) -> str:
    title = TITLES.get(setting, setting)
    return unbroken(title) if setting in DIRECTIONS.values() else title


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

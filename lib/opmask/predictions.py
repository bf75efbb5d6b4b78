"""What paper B's models predicted, and the names that its tables and figures share.

A *model* is one method, trained with the masks of some classes, the *supervised* ones; all others
of the set are *unsupervised*. It was trained once or several times, with another *seed* each; a
*run* is what one of these executions of ``06_train_opmask`` left. Tables are of the mean over the
seeds, pictures of the first. A *direction* names the supervised classes first, as the paper does:
"voc -> non-voc" was trained with the masks of the VOC classes. A direction or another choice of
supervised classes is a *setting*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lib.data.overlap import objects
from lib.files import read_json
from lib.metrics.coco_ap import APResult, evaluate
from lib.models.config import ModelConfig
from lib.pages import comparable, comparison
from lib.pages.comparable import one_backbone
from lib.pages.comparison import LESS
from lib.pages.tables import decimals_of
from lib.variant import split_seed, with_seed

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

FILLED = "filled_box"
"""The box itself as a mask: no training at all."""

MAP = "_map"
"""Ends the name of a method whose class activation map alone, cut at a threshold, is the mask."""

NAMES = {
    FILLED: "filled box",
    f"baseline{MAP}": "baseline, map alone",
    f"opmask{MAP}": "OPMask, map alone",
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
class Run:
    """What one training of a model predicted on the validation images.

    Attributes:
        detections: COCO results; with masks unless the model is a detector.
        masks_on_boxes: masks on the ground-truth boxes, with ``annotation_id``; empty for a
            detector.
        folder: where the step wrote, for its class activation maps.
    """

    detections: list[dict[str, Any]]
    masks_on_boxes: list[dict[str, Any]]
    folder: Path


@dataclass(frozen=True)
class Predictions:
    """What one model predicted on the validation images, each time that it was trained.

    Attributes:
        variant: of the step without the seed, such as ``opmask.voc``.
        method: one of :data:`NAMES`; of an ablation, ``baseline`` or ``opmask``.
        split: the supervised classes: ``voc``, ``non_voc``, ``official_40``, ``all``, ``list`` (of
            the profile) or ``none`` (a detector).
        supervised: their labels.
        config: the model's settings.
        iterations: how long it was trained.
        runs: by seed, the first first.
    """

    variant: str
    method: str
    split: str
    supervised: frozenset[int]
    config: ModelConfig
    iterations: int
    runs: Mapping[int, Run]

    @property
    def first(self) -> Run:
        """The run that pictures show."""
        return self.runs[min(self.runs)]

    @property
    def setting(self) -> str:
        """The direction, or ``full``, ``official_40``, ``list``; ``none`` for a detector."""
        return SETTINGS.get(self.split, self.split)


Models = Mapping[str, Predictions]
"""Predictions by the model's variant of the step."""

Results = Mapping[str, Mapping[int, APResult]]
"""AP by the model's variant, then by seed."""


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
        ValueError: if the runs of one model differ in more than their seed.
    """
    wanted: dict[str, list[int]] = {}
    for step in workspace.variants(STEP):
        variant, seed = split_seed(step)
        if seed is not None and (variants is None or variant in variants):
            wanted.setdefault(variant, []).append(seed)
    if not wanted:
        first = f"{STEP}.{variants[0]}" if variants else STEP
        raise FileNotFoundError(
            f"No model of {STEP} has been trained for {workspace.profile!r} yet. Make it "
            f"with\n  {workspace.command} --only {first}"
        )
    return {v: _read(workspace, categories, v, sorted(seeds)) for v, seeds in wanted.items()}


def _read(
    workspace: "Workspace", categories: "Categories", variant: str, seeds: Sequence[int]
) -> Predictions:
    cards, runs = {}, {}
    for seed in seeds:
        part = with_seed(f"{STEP}.{variant}", seed)
        path = workspace.input(part, "run.json")
        cards[seed] = read_json(path) | {"variant": variant}  # of lib.opmask.run_card
        on_boxes = path.with_name("masks_on_boxes_val.json")
        runs[seed] = Run(
            detections=read_json(workspace.input(part, "detections_val.json")),
            masks_on_boxes=read_json(on_boxes) if on_boxes.exists() else [],
            folder=path.parent,
        )
    card = cards[seeds[0]]
    others = [seed for seed in seeds if cards[seed] != card]
    if others:
        raise ValueError(
            f"Expected trainings of {STEP}.{variant} that differ in their seed alone; seed "
            f"{others[0]} has other settings or classes than seed {seeds[0]}. Train it anew with\n"
            f"  {workspace.command} --force {with_seed(f'{STEP}.{variant}', others[0])}"
        )
    return Predictions(
        variant=variant,
        method=card["method"],
        split=card["split"],
        supervised=categories.split(card["supervised"]),
        config=ModelConfig.model_validate(card["model"]),
        iterations=card["iterations"],
        runs=runs,
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


def seeds_line(models: Models) -> str:
    """Return how often the models were trained, and what that means for claims, as sentences."""
    return comparable.seeds_line(len(model.runs) for model in models.values())


def shared_seeds(of: Mapping[str, Predictions]) -> list[int]:
    """Return the seeds that all of some models were trained with; none of no models.

    Raises:
        ValueError: if the models have no seed in common.
    """
    seeds = {variant: set(model.runs) for variant, model in of.items()}
    shared = sorted(set[int].intersection(*seeds.values())) if seeds else []
    if seeds and not shared:
        told = "; ".join(f"{v}: {', '.join(map(str, sorted(some)))}" for v, some in seeds.items())
        raise ValueError(
            f"These models of {STEP} are compared seed by seed, but have no seed in common ({told})"
            f". Train what is missing: python run_all.py --only {STEP}"
        )
    return shared


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
) -> dict[str, dict[int, APResult]]:
    """Evaluate the boxes or masks of every model's runs on all classes, by variant and seed.

    Where masks are judged, detectors are left out.
    """
    labels = coco_set.to_coco()
    return {
        variant: {
            seed: evaluate(labels, run.detections, iou_type=iou_type)
            for seed, run in model.runs.items()
        }
        for variant, model in models.items()
        if iou_type == "bbox" or model.config.has_masks
    }


def mean_value(results: Mapping[int, APResult], metric: str) -> float:
    """Return a metric over all classes, the mean over seeds; a fraction of 1."""
    return float(np.mean([result.value(metric) for result in results.values()]))


def mean_per_class(results: Mapping[int, APResult]) -> "pd.Series[float]":
    """Return each class's AP by label, the mean over seeds, in points of 100; NaN without one."""
    seeds = [result.per_class.set_index("label")["AP"] for result in results.values()]
    return 100 * pd.concat(seeds, axis=1).mean(axis=1)


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

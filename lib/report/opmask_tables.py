"""Tables of partially supervised training: paper B's Table 2, box AP, per class, mask IoU.

A *run* is one method trained with the masks of one split of the classes. Its *supervised* classes
are that split, its *unsupervised* ones all others of the set; ``voc`` supervised is the paper's
direction "voc -> non-voc". All tables are tidy and in points of 100, as the paper prints AP.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from lib.analysis.claims import Claims, Observation
from lib.evaluation.bootstrap import Interval, Replicates, resample
from lib.evaluation.coco_ap import APResult, evaluate
from lib.evaluation.mask_iou import iou_on_boxes, mean_iou, mean_iou_difference
from lib.files import read_json

if TYPE_CHECKING:
    from lib.data.categories import Categories
    from lib.data.coco import CocoSet
    from lib.runner.workspace import Workspace

METHODS = ("baseline", "opmask")
SPLITS = ("voc", "non_voc")
DIFFERENCE = "opmask - baseline"
DIRECTIONS = {"voc": "voc_to_nonvoc", "non_voc": "nonvoc_to_voc"}
"""Supervised split -> direction, as claim ids spell it."""

TITLES = {"voc_to_nonvoc": "voc → non-voc", "nonvoc_to_voc": "non-voc → voc"}
"""Direction -> as the paper writes it."""

NAMES = {"baseline": "baseline", "opmask": "OPMask", DIFFERENCE: "OPMask − baseline"}
"""Method -> as people read it."""

METRICS = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP_small": "AP_S",
    "AP_medium": "AP_M",
    "AP_large": "AP_L",
}
"""Metrics of :mod:`lib.evaluation.coco_ap` (COCO's area ranges) -> as the paper writes them."""

_PAPER_NAMES = {"baseline": "Our_Mask_RCNN", "opmask": "OPMask"}


@dataclass(frozen=True)
class Run:
    """What one trained model predicted on the validation images.

    Attributes:
        method: ``baseline`` (class-agnostic Mask R-CNN, no prior) or ``opmask``.
        split: the supervised classes, ``voc`` or ``non_voc``.
        backbone: the model's backbone.
        detections: COCO results with boxes and masks.
        masks_on_boxes: masks on the ground-truth boxes, with ``annotation_id``.
    """

    method: str
    split: str
    backbone: str
    detections: list[dict[str, Any]]
    masks_on_boxes: list[dict[str, Any]]

    @property
    def key(self) -> tuple[str, str]:
        """The split and the method: how tables and figures are ordered."""
        return self.split, self.method


Runs = dict[tuple[str, str], Run]
Results = Mapping[tuple[str, str], APResult]


def read_runs(workspace: "Workspace") -> Runs:
    """Read the predictions of both methods in both directions, by (split, method)."""
    runs: Runs = {}
    for split in SPLITS:
        for method in METHODS:
            part = f"06_train_opmask.{method}.{split}"
            run = Run(
                method=method,
                split=split,
                backbone=read_json(workspace.input(part, "model.json"))["backbone"],
                detections=read_json(workspace.input(part, "detections_val.json")),
                masks_on_boxes=read_json(workspace.input(part, "masks_on_boxes_val.json")),
            )
            runs[run.key] = run
    return runs


def groups(categories: "Categories", split: str) -> dict[str, frozenset[int]]:
    """Return the labels of the unsupervised and of the supervised classes of a split."""
    supervised = categories.split(split)
    return {"unsupervised": categories.labels - supervised, "supervised": supervised}


def classes_table(coco_set: "CocoSet", runs: Runs) -> pd.DataFrame:
    """Return the number of classes and instances without and with masks, per direction."""
    instances = coco_set.all_instances()
    rows = [
        {
            "direction": DIRECTIONS[split],
            "group": group,
            "classes": len(labels),
            "instances": sum(x.label in labels for x in instances),
        }
        for split in dict.fromkeys(split for split, _ in runs)
        for group, labels in groups(coco_set.categories, split).items()
    ]
    return pd.DataFrame(rows)


def backbone(runs: Runs) -> str:
    """Return the one backbone of all runs.

    Raises:
        ValueError: if they differ: then nothing can be compared.
    """
    names = {run.backbone for run in runs.values()}
    if len(names) > 1:
        raise ValueError(
            f"The compared models have different backbones ({', '.join(sorted(names))}); train "
            "all of them with the same one: python run_all.py --from 06_train_opmask"
        )
    return names.pop()


def judge(
    coco_set: "CocoSet", runs: Runs, *, iou_type: Literal["bbox", "segm"]
) -> dict[tuple[str, str], APResult]:
    """Evaluate every run's boxes or masks on all classes."""
    labels = coco_set.to_coco()
    return {key: evaluate(labels, run.detections, iou_type=iou_type) for key, run in runs.items()}


def box_table(results: Results) -> pd.DataFrame:
    """Return box AP and AP50 over all classes: what every model detects, in points."""
    rows = [
        {
            "direction": DIRECTIONS[split],
            "method": method,
            "box_AP": 100 * result.value("AP"),
            "box_AP50": 100 * result.value("AP50"),
        }
        for (split, method), result in results.items()
    ]
    return pd.DataFrame(rows)


def reaches(boxes: pd.DataFrame, floor: float) -> bool:
    """Return whether every model detects well enough for its masks to be compared.

    Args:
        boxes: from :func:`box_table`.
        floor: the least box AP50, as a fraction of 1.
    """
    return bool((boxes["box_AP50"] >= 100 * floor).all())


def floor_line(boxes: pd.DataFrame, floor: float) -> str:
    """Return the answer of :func:`reaches` as a sentence."""
    lowest = boxes.sort_values("box_AP50", na_position="first").iloc[0]
    answer = "yes" if reaches(boxes, floor) else "NO"
    return (
        f"Box AP50 of at least {100 * floor:.0f} for every compared model: {answer}, the lowest is "
        f"{lowest['box_AP50']:.1f} ({NAMES[lowest['method']]}, {TITLES[lowest['direction']]})."
    )


def split_table(results: Results, *, claims: Claims, resamples: int, seed: int) -> pd.DataFrame:
    """Return the rows of paper B's Table 2, with intervals, differences and the paper's numbers.

    Args:
        results: mask AP of every run.
        claims: where the paper's numbers (ResNet-50) come from.
        resamples: bootstrap resamples, over images; the same for all models.
        seed: of the resamples.

    Returns:
        Columns direction, method (``opmask - baseline`` is the paired difference), classes,
        metric, ours, ci_low, ci_high, paper; points of 100, NaN where there is no instance.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    drawn = {k: resample(r, resamples=resamples, seed=seed) for k, r in results.items()}
    rows = []
    for split, direction in DIRECTIONS.items():
        models = {method: drawn[split, method] for method in METHODS}
        for classes, labels in groups(models["opmask"].result.categories, split).items():
            for metric, name in METRICS.items():
                for method, interval in _intervals(models, metric, labels).items():
                    paper = expected.get(_claim_id(direction, method, name))
                    rows.append(
                        {
                            "direction": direction,
                            "method": method,
                            "classes": classes,
                            "metric": name,
                            **_points(interval),
                            "paper": paper if classes == "unsupervised" else None,
                        }
                    )
    frame = pd.DataFrame(rows)
    return frame.astype({"paper": float})


def beside_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Return the unsupervised classes' rows of :func:`split_table`, one line per model.

    Below each model's line is the paper's (COCO, ResNet-50); metrics are the columns.
    """
    rows = table[table["classes"] == "unsupervised"]
    metrics = list(dict.fromkeys(rows["metric"]))
    lines = []
    for (direction, method), part in rows.groupby(["direction", "method"], sort=False):
        values = part.set_index("metric").loc[metrics]
        for whose in ("ours", "paper"):
            line = {"direction": direction, "method": method, "whose": whose}
            lines.append(line | values[whose].to_dict())
    return pd.DataFrame(lines)


def per_class_table(results: Results) -> pd.DataFrame:
    """Return mask AP of every class and run; columns direction, classes, name, instances, ...

    One row per class and direction, with a column of AP (points) per method.
    """
    frames = []
    for split, direction in DIRECTIONS.items():
        parts = [results[split, method].per_class for method in METHODS]
        frame = parts[0][["label", "name", "instances"]].copy()
        for method, part in zip(METHODS, parts, strict=True):
            frame[method] = 100 * part["AP"]
        supervised = groups(results[split, "opmask"].categories, split)["supervised"]
        given = frame["label"].isin(supervised)
        frame.insert(0, "classes", given.map({True: "supervised", False: "unsupervised"}))
        frame.insert(0, "direction", direction)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def masks_on_boxes_frame(coco_set: "CocoSet", runs: Runs) -> pd.DataFrame:
    """Return the IoU of every mask predicted on a ground-truth box, for every run.

    Columns direction, method, classes, and those of :func:`lib.evaluation.mask_iou.iou_on_boxes`.
    """
    frames = []
    for (split, method), run in runs.items():
        frame = iou_on_boxes(coco_set, run.masks_on_boxes)
        given = frame["label"].isin(coco_set.categories.split(split))
        frame.insert(0, "classes", given.map({True: "supervised", False: "unsupervised"}))
        frame.insert(0, "method", method)
        frame.insert(0, "direction", DIRECTIONS[split])
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def mask_iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean mask IoU on ground-truth boxes with intervals and paired differences.

    Args:
        frame: from :func:`masks_on_boxes_frame`.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns direction, method, classes, instances, ours, ci_low, ci_high; points of 100.
    """
    rows = []
    for direction, classes in itertools.product(TITLES, ("unsupervised", "supervised")):
        part = frame[(frame["direction"] == direction) & (frame["classes"] == classes)]
        of = {method: part[part["method"] == method] for method in METHODS}
        intervals = {
            method: mean_iou(of[method], resamples=resamples, seed=seed) for method in METHODS
        }
        intervals[DIFFERENCE] = mean_iou_difference(
            of["opmask"], of["baseline"], resamples=resamples, seed=seed
        )
        rows += [
            {
                "direction": direction,
                "method": method,
                "classes": classes,
                "instances": len(of["opmask"]),
                **_points(interval),
            }
            for method, interval in intervals.items()
        ]
    return pd.DataFrame(rows)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with directions and methods as people read them."""
    return table.replace({"direction": TITLES, "method": NAMES})


def observations(table: pd.DataFrame, *, backbone: str) -> list[Observation]:
    """Return what Table 2's claims are judged by.

    Args:
        table: from :func:`split_table`.
        backbone: of the compared models; numbers that the paper prints for a ResNet-50 are
            observed with that backbone alone, directions with any.
    """
    rows = table[table["classes"] == "unsupervised"]
    if backbone != "resnet50":
        rows = rows[rows["method"] == DIFFERENCE]
    return [
        Observation(
            _claim_id(row["direction"], row["method"], row["metric"]),
            row["ours"],
            row["ci_low"],
            row["ci_high"],
        )
        for row in rows.to_dict("records")
    ]


def _intervals(
    models: Mapping[str, Replicates], metric: str, labels: frozenset[int]
) -> dict[str, Interval]:
    intervals = {method: models[method].interval(metric, labels) for method in METHODS}
    intervals[DIFFERENCE] = models["opmask"].difference(models["baseline"], metric, labels)
    return intervals


def _claim_id(direction: str, method: str, metric: str) -> str:
    if method == DIFFERENCE:
        return f"B.table2.{direction}.{metric}.opmask_above_baseline"
    return f"B.table2.{direction}.R50.{_PAPER_NAMES[method]}.{metric}"


def _points(interval: Interval) -> dict[str, float]:
    estimate, low, high = interval.scaled(100)
    return {"ours": estimate, "ci_low": low, "ci_high": high}

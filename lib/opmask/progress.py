"""Both methods of paper B while they train: classes with masks, classes without, and their gap.

A baseline learns from masks of some classes what masks look like, and, the longer it trains, what
only these look like. So its masks of the other classes may stop gaining, or lose, while those of
its own still gain: that gap is what the prior is there to close. ``table`` is everywhere what
:func:`progress_table` returns.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.files import read_json
from lib.metrics.bootstrap import ImageSums, Score
from lib.metrics.coco_ap import evaluate
from lib.metrics.mask_iou import iou_on_boxes
from lib.metrics.seeds import SeedScores, resample_runs, score
from lib.opmask.predictions import (
    CLASSES,
    DIRECTIONS,
    METHODS,
    NAMES,
    TITLES,
    Models,
    Predictions,
    Run,
    groups,
    pairs,
    shared_seeds,
)
from lib.pages import comparison
from lib.pages.ablation import MASK_IOU
from lib.pages.style import COLOURS, FLAT, WIDTH
from lib.training.predictions import predictions_at, shares_in

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

GAP = "supervised - unsupervised"
"""The group of classes that is the difference of the other two."""

METRICS = {"AP": "mask AP, points", MASK_IOU: "mask IoU on true boxes, points"}
"""Metric -> as people read it."""

SHORT = {"AP": "mask AP", MASK_IOU: "mask IoU"}
"""Metric -> as a table calls it."""

LINES = {"unsupervised": "-", "supervised": "--"}
"""Group of classes -> how it is drawn."""

END = 1.0
"""Share of the training at its end."""

PAIRS = [("opmask", "baseline")]

COLUMNS = (
    "direction", "share", "method", "classes", "metric", "seed", "ours", "ci_low", "ci_high",
    "seeds",
)  # fmt: skip


def progress_table(val: "CocoSet", models: Models, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return AP and mask IoU of both methods after shares of their training.

    Directions whose runs did not predict on the way are left out.

    Returns:
        Columns direction, share (of the iterations; 1 is the end), method (``opmask - baseline`` is
        the paired difference), classes (``supervised``, ``unsupervised``, their difference), metric
        (``AP`` of masks, ``mask_IoU`` on true boxes), seed, ours, ci_low, ci_high, seeds; points of
        100. A row of one seed has its interval over images; where ``seed`` is NaN it is the mean
        over seeds with its interval over seeds and images.
    """
    lines = []
    for direction, of in _watched(models).items():
        for share in [*shares(of), END]:
            scores = {
                method: _scores(val, model, share, resamples=resamples, seed=seed)
                for method, model in of.items()
            }
            for classes in (*CLASSES, GAP):
                place = {"direction": direction, "share": share, "classes": classes}
                whole = {method: found[classes] for method, found in scores.items()}
                by_seed = {float("nan"): whole}
                by_seed |= {n: _of_seed(whole, n) for n in shared_seeds(of)}
                for number, some in by_seed.items():
                    lines += comparison.rows({**place, "seed": number}, some, PAIRS)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _watched(models: Models) -> dict[str, Mapping[str, Predictions]]:
    """Return the directions whose models predicted on the way."""
    there = pairs(models)
    return {d: there[d] for d in DIRECTIONS.values() if d in there and shares(there[d])}


def shares(of: Mapping[str, Predictions]) -> list[float]:
    """Return the shares of their training at which all runs of some models predicted, ascending."""
    runs = [run for model in of.values() for run in model.runs.values()]
    return sorted(set[float].intersection(*(shares_in(run.folder) for run in runs)))


def _scores(
    val: "CocoSet", model: Predictions, share: float, **draws: Any
) -> dict[str, dict[str, SeedScores]]:
    """Return a model's scores at a share of its training: by classes, then by metric."""
    truth, by_classes = val.to_coco(), groups(model, val.categories)

    def detected(run: Run) -> Any:
        found = run.detections if share == END else _read(run, "detections_val", share)
        return evaluate(truth, found, iou_type="segm", area_ranges={})

    def outlined(run: Run) -> dict[str, Score]:
        masks = run.masks_on_boxes if share == END else _read(run, "masks_on_boxes_val", share)
        return _mask_iou(iou_on_boxes(val, masks), by_classes, **draws)

    drawn = resample_runs({n: detected(run) for n, run in model.runs.items()}, **draws)
    masks = {n: outlined(run) for n, run in model.runs.items()}
    found = {
        classes: {
            "AP": score(drawn, "AP", labels),
            MASK_IOU: SeedScores({n: of[classes] for n, of in masks.items()}),
        }
        for classes, labels in by_classes.items()
    }
    with_masks, without = (found[classes] for classes in ("supervised", "unsupervised"))
    return {**found, GAP: {name: with_masks[name] - without[name] for name in METRICS}}


def _mask_iou(
    masks: pd.DataFrame, by_classes: Mapping[str, frozenset[int]], **draws: Any
) -> dict[str, Score]:
    """Return the mean IoU over the objects of each group of classes, in the same resamples."""
    parts: dict[str, pd.Series] = {}
    for classes, labels in by_classes.items():
        chosen = masks["label"].isin(labels)
        parts[f"{classes} iou"] = masks["iou"].where(chosen, 0.0)
        parts[f"{classes} count"] = chosen.astype(float)
    sums = ImageSums(pd.DataFrame(parts).groupby(masks["image_id"]).sum(), **draws)
    return {classes: sums.ratio(f"{classes} iou", f"{classes} count") for classes in by_classes}


def _read(run: Run, stem: str, share: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_json(predictions_at(run.folder, stem, share))
    return rows


def _of_seed(
    scores: Mapping[str, Mapping[str, SeedScores]], seed: int
) -> dict[str, dict[str, SeedScores]]:
    return {
        method: {metric: SeedScores({seed: of.scores[seed]}) for metric, of in found.items()}
        for method, found in scores.items()
    }


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds with a line per metric and share, methods and groups beside."""
    rows = table[table["seed"].isna() & table["method"].isin(METHODS)]
    names = {
        (method, classes): f"{NAMES[method]}: {short}"
        for method in METHODS
        for classes, short in (*((c, c) for c in LINES), (GAP, "gap"))
    }
    lines = []
    for direction, of in rows.groupby("direction", sort=False):
        for (metric, share), part in of.groupby(["metric", "share"]):
            place = {"direction": direction, "metric": SHORT[str(metric)], "share": f"{share:.0%}"}
            values = part.set_index(["method", "classes"])["ours"]
            lines.append({**place, **{name: values[key] for key, name in names.items()}})
    return pd.DataFrame(lines)


def progress_line(table: pd.DataFrame) -> str:
    """Return how the gap in mask IoU changes from the first share to the end, as sentences."""
    rows = table[table["seed"].isna() & (table["metric"] == MASK_IOU) & (table["classes"] == GAP)]
    if rows.empty:
        return "No direction has both a baseline and an OPMask that predicted on the way."
    parts = []
    for direction, of in rows.groupby("direction", sort=False):
        told = []
        for method in METHODS:
            gap = of[of["method"] == method].sort_values("share")["ours"]
            told.append(f"{NAMES[method]} from {gap.iloc[0]:z.1f} to {gap.iloc[-1]:z.1f}")
        start = f"{of['share'].min():.0%} of the training"
        parts.append(f"{TITLES[str(direction)]}, since {start}: {', '.join(told)}")
    return (
        "By how many points the mask IoU of classes with masks is above that of the others; "
        f"{'; '.join(parts)}."
    ).replace(" -", " \u2212")


def progress_figure(table: pd.DataFrame) -> Figure | None:
    """Draw both groups of classes over the training; thin lines are seeds, thick ones their mean.

    Directions are across, metrics down.
    """
    if table.empty:
        return None
    directions = list(dict.fromkeys(table["direction"]))
    figure, panels = plt.subplots(
        len(METRICS), len(directions), figsize=(WIDTH, FLAT * 1.75), sharex=True, sharey="row",
        squeeze=False,
    )  # fmt: skip
    for row, (metric, text) in zip(panels, METRICS.items(), strict=True):
        for axes, direction in zip(row, directions, strict=True):
            shown = table[(table["direction"] == direction) & (table["metric"] == metric)]
            for (method, classes), of in shown.groupby(["method", "classes"], sort=False):
                if method in METHODS and classes in LINES:
                    _draw(axes, of, COLOURS[str(method)], LINES[str(classes)])
            axes.set_title(TITLES[direction])
        row[0].set_ylabel(text)
    ticks = sorted(table["share"].unique())
    for axes in panels[-1]:
        axes.set_xlabel("share of the training")
        axes.set_xticks(ticks, [f"{share:.0%}" for share in ticks])
    handles = [
        Line2D([], [], color=COLOURS[method], ls=look, label=f"{NAMES[method]}, {classes}")
        for method in METHODS
        for classes, look in LINES.items()
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, colour: str, look: str) -> None:
    """Draw one method's score of one group of classes: each seed, and the mean with intervals."""
    for _, of in rows.groupby("seed", dropna=True):
        axes.plot(of["share"], of["ours"], look, color=colour, linewidth=0.7, alpha=0.45)
    mean = rows[rows["seed"].isna()]
    axes.plot(mean["share"], mean["ours"], look, color=colour)
    axes.vlines(mean["share"], mean["ci_low"], mean["ci_high"], color=colour, linewidth=1.4)

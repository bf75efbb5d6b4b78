"""Table 2 of paper B: mask AP of classes that have no masks, and of those that have.

Differences are paired: of the same seed, and within each resample both models see the same images.
``table`` is everywhere what :func:`table2` returns.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.metrics.claims import Claims, Observation
from lib.metrics.seeds import SeedScores, resample_runs, score
from lib.opmask.predictions import (
    CLASSES,
    DIFFERENCE,
    DIRECTIONS,
    FILLED,
    NAMES,
    SETTINGS,
    TITLES,
    Models,
    Predictions,
    Results,
    groups,
    variant_of,
)
from lib.pages import comparison
from lib.pages.comparison import Row
from lib.pages.drawing import beside_each_other, handle, hollow, metric_name
from lib.pages.style import BLACK, COLOURS, FLAT, GREEN, GREY, SKY, WIDTH

ROWS = (FILLED, "mask_rcnn", "baseline", "gt_boxes", "opmask", "class_specific")
"""Methods of our own, in order: the first needs no mask, the last one was given all of them."""

METHOD_COLOURS = {
    FILLED: BLACK,
    "mask_rcnn": GREY,
    "baseline": COLOURS["baseline"],
    "gt_boxes": SKY,
    "opmask": COLOURS["opmask"],
    "class_specific": GREEN,
}

PAIRS = (
    ("opmask", "baseline"),
    ("gt_boxes", "baseline"),
    ("opmask", "gt_boxes"),
    ("class_specific", "opmask"),
    ("opmask", FILLED),
)
"""Differences that the table has."""

DEPTHS = {"R50": "", "R101": "r101."}
"""Rows of the paper beside which a model stands -> how its variant begins."""

BACKBONES = {"R50": "resnet50", "R101": "resnet101"}

PAPER = {
    "mask_rcnn": "Mask_RCNN",
    "baseline": "Our_Mask_RCNN",
    "Mask_X_RCNN": "Mask_X_RCNN",
    "ShapeProp": "ShapeProp",
    "ShapeMask": "ShapeMask",
    "CPMask": "CPMask",
    "opmask": "OPMask",
}
"""Methods of the paper, others' among them -> as claim ids spell them."""

METRICS = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP_small": "AP_S",
    "AP_medium": "AP_M",
    "AP_large": "AP_L",
}
"""Metrics of :mod:`lib.metrics.coco_ap` (COCO's area ranges) -> as the paper writes them."""

SPLITS = (*DIRECTIONS, "list")
"""Supervised splits of the table; the last is a profile's own."""


def models_of_table(models: Models) -> dict[tuple[str, str], dict[str, Predictions]]:
    """Return what Table 2 compares: (split, key of :data:`DEPTHS`) -> method -> model."""
    found: dict[tuple[str, str], dict[str, Predictions]] = {}
    for split in SPLITS:
        for depth in DEPTHS:
            of = {m: models.get(_variant(m, split, depth)) for m in ROWS}
            there = {method: model for method, model in of.items() if model}
            if set(there) - {"class_specific"}:
                found[split, depth] = there
    return found


def _variant(method: str, split: str, depth: str) -> str:
    return DEPTHS[depth] + variant_of(method, "all" if method == "class_specific" else split)


def trained_on_split(of: Mapping[str, Predictions]) -> Predictions:
    """Return a model that has the masks of the split alone, of those that are compared there."""
    return next(model for method, model in of.items() if method != "class_specific")


def table2(
    results: Results, models: Models, *, claims: Claims, resamples: int, seed: int
) -> pd.DataFrame:
    """Return Table 2 with intervals, differences and the paper's numbers.

    Args:
        results: of the models, and of :func:`lib.opmask.filled_boxes.judge_filled` where filled
            boxes shall stand beside those of the first depth.

    Returns:
        Columns direction, beside (the paper's rows that it is to be read with, ``R50`` or
        ``R101``), backbone (ours; empty where only the paper has the row), method (``a - b`` is a
        paired difference), classes, metric, those of :data:`lib.pages.comparison.NUMBERS`, paper;
        points of 100, NaN where there is no instance or no number. In the order of the paper's
        rows.
    """
    compared = models_of_table(models)
    lines: list[dict[str, Any]] = []
    for (split, depth), of in compared.items():
        lead = trained_on_split(of)
        place = {"direction": SETTINGS[split], "beside": depth, "backbone": lead.config.backbone}
        judged = {method: results[model.variant] for method, model in of.items()}
        if depth == "R50" and (name := variant_of(FILLED, split)) in results:
            judged[FILLED] = results[name]
        categories = next(iter(results[lead.variant].values())).categories
        by_classes = groups(lead, categories)
        scores: dict[str, dict[str, dict[str, SeedScores]]] = {c: {} for c in by_classes}
        for method, runs in judged.items():  # one at a time: resamples of all take much memory
            drawn = resample_runs(runs, resamples=resamples, seed=seed)
            for classes, labels in by_classes.items():
                scores[classes][method] = {
                    name: score(drawn, metric, labels) for metric, name in METRICS.items()
                }
        for classes, of_method in scores.items():
            lines += comparison.rows(place | {"classes": classes}, of_method, PAIRS)
    lines += _of_paper_alone(lines, claims)
    columns = (
        "direction", "beside", "backbone", "method", "classes", "metric", *comparison.NUMBERS,
    )  # fmt: skip
    return comparison.tidy(sorted(lines, key=_order), columns, claim_id, claims)


def _of_paper_alone(ours: list[dict[str, Any]], claims: Claims) -> list[dict[str, Any]]:
    """Return the rows that the paper has and we have not."""
    known = {claim.id for claim in claims.claims}
    there = {(row["direction"], row["beside"], row["method"]) for row in ours}
    lines = [
        {
            "direction": direction, "beside": depth, "backbone": "", "method": method,
            "classes": "unsupervised", "metric": metric,
        }
        for direction in DIRECTIONS.values() for depth in DEPTHS
        for method in (*PAPER, DIFFERENCE) for metric in METRICS.values()
        if (direction, depth, method) not in there
    ]  # fmt: skip
    return [line for line in lines if claim_id(line) in known]


def _order(row: Row) -> tuple[int, int, int]:
    methods = [*NAMES, *(first + comparison.LESS + second for first, second in PAIRS)]
    return (
        [SETTINGS[split] for split in SPLITS].index(row["direction"]),
        list(DEPTHS).index(row["beside"]),
        methods.index(row["method"]),
    )


def claim_id(row: Row) -> str:
    """Return the id that a claim on a row of Table 2 has."""
    if row["classes"] != "unsupervised":
        return ""
    start, depth = f"B.table2.{row['direction']}", row["beside"]
    if row["method"] == DIFFERENCE:
        middle = "" if depth == "R50" else f".{depth}"
        return f"{start}{middle}.{row['metric']}.opmask_above_baseline"
    return f"{start}.{depth}.{PAPER.get(row['method'], row['method'])}.{row['metric']}"


def observations(table: pd.DataFrame, *, claims: Claims) -> list[Observation]:
    """Return what Table 2's claims are judged by.

    Numbers that the paper prints for a backbone are observed with that backbone alone, directions
    with any, except that those of a ResNet-101 need models of their own.
    """
    ours = table[table["backbone"] != ""]
    return comparison.observations(
        ours, claim_id, claims,
        when=lambda row: row["method"] == DIFFERENCE or row["backbone"] == BACKBONES[row["beside"]],
    )  # fmt: skip


def beside_paper(table: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Return the unsupervised classes with metrics as columns, below each line the paper's (COCO).

    Box AP over all classes stands beside ours. The paper's rows of a backbone that nothing here
    stands beside are left out.

    Args:
        boxes: from :func:`lib.opmask.boxes.box_table`.
    """
    rows = table[table["classes"] == "unsupervised"]
    there = rows.loc[rows["backbone"] != "", ["direction", "beside"]].drop_duplicates()
    keys = ("direction", "beside", "method", "backbone")
    wide = comparison.beside_paper(rows.merge(there), keys, differences=True)
    box_ap = dict(zip(boxes["variant"], boxes["box_AP"], strict=True))
    ours = wide["whose"] == "ours"
    splits = {setting: split for split, setting in SETTINGS.items()}
    wide["box_AP"] = [
        box_ap.get(_variant(row["method"], splits[row["direction"]], row["beside"]))
        for row in wide.to_dict("records")
    ]
    wide["box_AP"] = wide["box_AP"].astype(float).where(ours)
    wide["backbone"] = wide["backbone"].where(ours, wide["beside"])
    metrics = [name for name in METRICS.values() if name in wide]
    return wide[["direction", "method", "whose", "backbone", "seeds", *metrics, "box_AP"]]


def ap_figure(table: pd.DataFrame) -> Figure | None:
    """Draw every metric of every method with its interval: directions across, classes down."""
    table = _beside_resnet50(table)
    if table.empty:
        return None
    directions, metrics = (list(dict.fromkeys(table[name])) for name in ("direction", "metric"))
    colours = {m: METHOD_COLOURS[m] for m in ROWS if (table["method"] == m).any()}
    figure, panels = plt.subplots(
        2, len(directions), figsize=(WIDTH, FLAT * 1.75), sharex=True, sharey=True, squeeze=False
    )
    for row, classes in zip(panels, CLASSES, strict=True):
        for axes, direction in zip(row, directions, strict=True):
            part = table[(table["classes"] == classes) & (table["direction"] == direction)]
            beside_each_other(axes, part, "metric", metrics, series="method", colours=colours)
            axes.set_xticks(range(len(metrics)), [metric_name(metric) for metric in metrics])
            axes.set_title(f"{TITLES[direction]}: {classes}")
            axes.grid(axis="x", visible=False)
        row[0].set_ylabel("mask AP, points")
    panels[0][0].set_ylim(bottom=0)
    handles = [handle(colour, NAMES[method]) for method, colour in colours.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def gain_figure(table: pd.DataFrame) -> Figure | None:
    """Draw OPMask minus baseline per metric with its paired interval, and the paper's gain."""
    table = _beside_resnet50(table)
    table = table[table["method"] == DIFFERENCE]
    if table.empty:
        return None
    directions, metrics = (list(dict.fromkeys(table[name])) for name in ("direction", "metric"))
    figure, panels = plt.subplots(
        1, len(directions), figsize=(WIDTH, FLAT * 1.12), sharey=True, squeeze=False
    )
    colours = {classes: COLOURS[classes] for classes in CLASSES}
    for axes, direction in zip(panels[0], directions, strict=True):
        beside_each_other(
            axes, table[table["direction"] == direction], "metric", metrics,
            series="classes", colours=colours, upright=False, paper=True,
        )  # fmt: skip
        axes.axvline(0, color="black", linewidth=1)
        axes.set_yticks(range(len(metrics)), [metric_name(metric) for metric in metrics])
        axes.set(xlabel="gain in mask AP, points", title=TITLES[direction])
        axes.grid(axis="y", visible=False)
    panels[0][0].invert_yaxis()
    handles = [handle(colour, f"{classes}, ours") for classes, colour in colours.items()]
    paper = handle("none", "unsupervised, paper B (COCO, R50)", marker="D", **hollow("marker"))
    figure.legend(handles=[*handles, paper], loc="outside upper right", ncols=3)
    return figure


def _beside_resnet50(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["backbone"] != "") & (table["beside"] == "R50")]

"""Table 1 of paper B: AP of ambiguous instances and of the others, and what the prior adds to each.

An instance is ambiguous if its box overlaps another's (:mod:`lib.metrics.ambiguity`). The AP of
the two groups cannot be compared, nor can gains in it, so whether the prior adds more to ambiguous
instances is judged by the mask IoU on true boxes. The paper's own numbers for that are of AP. Of
both methods the same seeds are paired, and a relative gain is the mean of those of each seed.

The table is tidy and in points of 100; a relative gain of 100 points doubles the baseline.
``table`` is everywhere what :func:`table1` returns.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.data.overlap import ambiguous_ids
from lib.metrics.ambiguity import BETWEEN as BETWEEN_GROUPS
from lib.metrics.ambiguity import GROUPS, evaluate_by_ambiguity, iou_gains
from lib.metrics.claims import Claims, Observation
from lib.metrics.mask_iou import iou_on_boxes
from lib.metrics.seeds import SeedScores, resample_runs, score
from lib.opmask.predictions import (
    DIFFERENCE,
    DIRECTIONS,
    METHODS,
    NAMES,
    SETTINGS,
    TITLES,
    Models,
    Predictions,
    pairs,
    shared_seeds,
    span,
    unbroken,
    unsupervised,
)
from lib.opmask.table2 import PAPER
from lib.pages import comparison
from lib.pages.ablation import MASK_IOU
from lib.pages.drawing import beside_each_other, handle, hollow
from lib.pages.style import COLOURS, FLAT, WIDTH

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

PLACES = ("full", *reversed(DIRECTIONS.values()), SETTINGS["list"])
"""Settings of the table, in the paper's order; the last is a profile's own."""

VARIANTS = tuple(f"{method}.{split}" for split in ("all", *DIRECTIONS) for method in METHODS)
"""The models that the paper's table compares."""

METRICS = ("AP", "AP50")
"""What is given of each group, beside the mask IoU on true boxes; the paper has AP."""

LEAST_BASELINE = 0.01
"""AP of the baseline below which a relative gain is a ratio to almost nothing, and not given."""

GAIN = "opmask / baseline - 1"
BETWEEN = "ambiguous - not_ambiguous"

TEXTS = {
    "ambiguous": "ambiguous",
    "not_ambiguous": "others",
    BETWEEN: "amb. − others",
    DIFFERENCE: "difference",
    GAIN: "relative, %",
}
"""Group or row -> as people read it."""

PARTS = {"baseline": "baseline", "opmask": "model", DIFFERENCE: "gain", GAIN: "relative"}
"""Row of the mask IoU -> what it is in :class:`lib.metrics.ambiguity.Gain`."""

_UNKNOWN = dict.fromkeys(("ours", "ci_low", "ci_high"), float("nan"))


def table1(
    val: "CocoSet",
    models: Models,
    *,
    claims: Claims,
    iou_from: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return AP of ambiguous and of other instances, differences and relative gains.

    Args:
        iou_from: box IoU with another instance from which one is ambiguous.

    Returns:
        Columns direction, group, instances, method (``opmask - baseline``: paired difference;
        ``opmask / baseline - 1``: relative gain), metric, those of
        :data:`lib.pages.comparison.NUMBERS`, paper; of the unsupervised classes, for ``full`` of
        all. The metric ``mask_IoU`` is the mean over the true boxes. Of the group
        ``ambiguous - not_ambiguous`` AP has the paper's numbers alone, and relative gains in AP
        have no interval: they describe, and decide nothing. NaN where there is no instance or no
        number, and for relative gains over less than a point.
    """
    lines = []
    given: dict[str, Any] = {"iou_from": iou_from, "resamples": resamples, "seed": seed}
    for direction, of in _compared(models).items():
        ours = of["opmask"]
        every = val.categories.labels
        labels = every if ours.split == "all" else unsupervised(ours, val.categories)
        printed = _printed(direction, claims)
        for line in (*_ap(val, of, labels, **given), *_mask_iou(val, of, labels, **given)):
            paper = printed.get((line["group"], line["method"])) if line["metric"] == "AP" else None
            lines.append({"direction": direction, **line, "paper": paper})
    columns = (
        "direction", "group", "instances", "method", "metric", *comparison.NUMBERS, "paper",
    )  # fmt: skip
    return pd.DataFrame(lines, columns=columns).astype({"paper": float})


def _compared(models: Models) -> dict[str, dict[str, Predictions]]:
    there = pairs(models)
    return {direction: there[direction] for direction in PLACES if direction in there}


def _ap(
    val: "CocoSet",
    of: Mapping[str, Predictions],
    labels: frozenset[int],
    *,
    iou_from: float,
    **draws: Any,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of AP of a setting: both methods, their difference and the relative gain."""
    judged = {
        method: {
            seed: evaluate_by_ambiguity(val, run.detections, iou_from=iou_from)
            for seed, run in model.runs.items()
        }
        for method, model in of.items()
    }
    for group in GROUPS:
        matches = next(iter(judged["opmask"].values()))[group].matches
        count = sum(int(matches[label, "all"].instances.sum()) for label in labels)
        place = {"group": group, "instances": count}
        scores = {}
        for method in METHODS:
            runs = {seed: groups[group] for seed, groups in judged[method].items()}
            drawn = resample_runs(runs, areas=["all"], **draws)
            scores[method] = {metric: score(drawn, metric, labels) for metric in METRICS}
        yield from comparison.rows(place, scores, [("opmask", "baseline")])
        for metric in METRICS:
            ours, base = (scores[method][metric].estimate for method in ("opmask", "baseline"))
            gain = 100 * (ours / base - 1) if base >= LEAST_BASELINE else float("nan")
            known = {"ours": gain, "seeds": min(s[metric].seeds for s in scores.values())}
            yield {**place, "method": GAIN, "metric": metric, **_UNKNOWN, **known}
    for method in (DIFFERENCE, GAIN):  # the paper's number stands here
        yield {"group": BETWEEN, "method": method, "metric": "AP", **_UNKNOWN}


def _mask_iou(
    val: "CocoSet",
    of: Mapping[str, Predictions],
    labels: frozenset[int],
    *,
    iou_from: float,
    **draws: Any,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the mask IoU on true boxes of a setting, by which groups are compared."""
    ambiguous = ambiguous_ids(val, iou_from)
    found = {}
    for seed in shared_seeds(of):
        frames = {m: iou_on_boxes(val, model.runs[seed].masks_on_boxes) for m, model in of.items()}
        ours, base = (frames[m][frames[m]["label"].isin(labels)] for m in ("opmask", "baseline"))
        found[seed] = iou_gains(ours, base, ambiguous, **draws)
        is_ambiguous = ours["annotation_id"].isin(ambiguous)
        counts = {"ambiguous": int(is_ambiguous.sum()), "not_ambiguous": int((~is_ambiguous).sum())}
    for group in (*GROUPS, BETWEEN_GROUPS):
        name = BETWEEN if group == BETWEEN_GROUPS else group
        place = {"group": name, "instances": counts.get(group), "metric": MASK_IOU}
        for method, part in PARTS.items():
            runs = {seed: getattr(gains[group], part) for seed, gains in found.items()}
            told = comparison.numbers if method in METHODS else comparison.difference
            yield {**place, "method": method, **told(SeedScores(runs))}


def claim_id(direction: str, group: str, method: str) -> str:
    """Return the id that a claim on a row of Table 1 has."""
    start = f"B.table1.{direction}"
    if group == BETWEEN:
        return f"{start}.relative_gain_larger_when_ambiguous" if method == GAIN else ""
    if method == DIFFERENCE:
        return f"{start}.AP_{group}.opmask_above_baseline"
    return f"{start}.R50.{PAPER[method]}.AP_{group}" if method in METHODS else ""


def _printed(direction: str, claims: Claims) -> dict[tuple[str, str], float | None]:
    """Return the paper's AP by group and method; what it does not print follows from that."""
    expected = {claim.id: claim.expected for claim in claims.claims}
    found: dict[tuple[str, str], float | None] = {
        (group, method): expected.get(claim_id(direction, group, method))
        for group in GROUPS
        for method in (*METHODS, DIFFERENCE)
    }
    for group in GROUPS:
        ours, base = found[group, "opmask"], found[group, "baseline"]
        if ours and base:
            found[group, GAIN] = 100 * (ours / base - 1)
    first, second = (found[group, DIFFERENCE] for group in GROUPS)
    if first is not None and second is not None:
        found[BETWEEN, DIFFERENCE] = first - second
    larger = expected.get(claim_id(direction, BETWEEN, GAIN))  # a ratio
    found[BETWEEN, GAIN] = None if larger is None else 100 * larger
    return found


def observations(table: pd.DataFrame, models: Models) -> list[Observation]:
    """Return what Table 1's claims are judged by; the paper's numbers with a ResNet-50 alone.

    Those of one group are judged by AP; that the relative gain is larger on ambiguous instances, by
    the relative gain in mask IoU on true boxes.
    """
    compared = _compared(models)
    seen = []
    for row in table[table["direction"] != "list"].to_dict("records"):
        name = claim_id(row["direction"], row["group"], row["method"])
        between = row["group"] == BETWEEN
        backbone = compared[row["direction"]]["opmask"].config.backbone
        same = row["method"] not in METHODS or backbone == "resnet50"
        if name and same and row["metric"] == (MASK_IOU if between else "AP"):
            unit = 100 if between else 1  # that claim is of a ratio
            sizes = ("ours", "ci_low", "ci_high", "detectable")
            ours, low, high, limit = (row[column] / unit for column in sizes)
            seen.append(Observation(name, ours, low, high, row["seeds"], row["p"], limit))
    return seen


def counts_line(table: pd.DataFrame) -> str:
    """Return how many instances are ambiguous in each setting, as a sentence."""
    if table.empty:
        return "No setting has both a baseline and an OPMask, so there is no Table 1."
    rows = table[table["group"].isin(GROUPS) & (table["metric"] == "AP")]
    parts = []
    for direction, part in rows.groupby("direction", sort=False):
        counts = part.drop_duplicates("group").set_index("group")["instances"].astype(int)
        parts.append(f"{TITLES[str(direction)]}: {counts['ambiguous']:,} of {counts.sum():,}")
    return f"Ambiguous instances, {'; '.join(parts)}."


def side_by_side(table: pd.DataFrame, metric: str = "AP") -> pd.DataFrame:
    """Return one line per setting and model for people; below a line the paper's (COCO).

    Args:
        metric: ``AP`` or ``mask_IoU``, which alone compares the groups, and has no paper's lines.
    """
    groups = {group: (TEXTS[group], _interval_of(group)) for group in (*GROUPS, BETWEEN)}
    lines = []
    rows = table[table["metric"] == metric]
    for (direction, method), part in rows.groupby(["direction", "method"], sort=False):
        place = {"direction": direction, "method": unbroken(TEXTS.get(str(method), str(method)))}
        ours: dict[str, Any] = {**place, "whose": "ours", "seeds": part["seeds"].max()}
        paper: dict[str, Any] = {**place, "whose": "paper"}
        for row in part.to_dict("records"):
            name, interval = groups[row["group"]]
            ours |= {name: row["ours"], interval: span(row)}
            paper[name] = row["paper"]
        lines += [ours, paper] if part["paper"].notna().any() else [ours]
    columns = [column for names in groups.values() for column in names]
    wide = pd.DataFrame(lines, columns=["direction", "method", "whose", "seeds", *columns])
    wide = wide.astype({name: float for name in ("seeds", *(name for name, _ in groups.values()))})
    # AP is not compared between the groups, and the paper has no mask IoU on true boxes
    return wide.drop(columns=_interval_of(BETWEEN) if metric == "AP" else "whose")


def _interval_of(group: str) -> str:
    short = {"ambiguous": "amb.", "not_ambiguous": "others", BETWEEN: "both"}
    return unbroken("95 %") + f" ({short[group]})"


def ap_figure(table: pd.DataFrame) -> Figure | None:
    """Draw AP of ambiguous and of other instances, and the paper's."""
    rows = table[table["metric"] == "AP"]
    if rows.empty:
        return None
    directions = list(dict.fromkeys(rows["direction"]))
    colours = {method: COLOURS[method] for method in METHODS}
    figure, panels = plt.subplots(
        1, len(directions), figsize=(WIDTH, FLAT), sharey=True, squeeze=False
    )
    for axes, direction in zip(panels[0], directions, strict=True):
        of = rows[rows["direction"] == direction]
        beside_each_other(axes, of, "group", GROUPS, series="method", colours=colours, paper=True)
        axes.set_xticks(range(len(GROUPS)), ["ambiguous", "not ambiguous"])
        axes.set(xlim=(-0.5, len(GROUPS) - 0.5), title=TITLES[direction])
        axes.grid(axis="x", visible=False)
    panels[0][0].set_ylabel("mask AP, points")
    panels[0][0].set_ylim(bottom=0)
    handles = [handle(colour, NAMES[method]) for method, colour in colours.items()]
    paper = handle("none", "paper B (COCO, R50)", marker="D", **hollow("marker"))
    figure.legend(handles=[*handles, paper], loc="outside upper right", ncols=3)
    return figure

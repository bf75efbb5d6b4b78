"""Paper B's Table 1: AP of ambiguous instances and of the others, and what the prior adds to each.

An instance is ambiguous if its box overlaps another's (:mod:`lib.evaluation.ambiguity`). The table
is tidy and in points of 100; a relative gain of 100 points doubles the baseline.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from lib.analysis.claims import Claims, Observation
from lib.evaluation.ambiguity import GROUPS, Group, evaluate_by_ambiguity, gain_ratio
from lib.evaluation.bootstrap import Interval, Replicates, resample
from lib.report.opmask_runs import DIFFERENCE, DIRECTIONS, METHODS, SETTINGS, Run, Runs, pairs
from lib.report.opmask_tables import PAPER
from lib.report.tables import points

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

PLACES = ("full", *reversed(DIRECTIONS.values()), SETTINGS["list"])
"""Settings of Table 1, in the paper's order; the last is a profile's own."""

METRICS = ("AP", "AP50")
"""What is given of each group; the paper has AP."""

GAIN = "opmask / baseline - 1"
BETWEEN = "ambiguous - not_ambiguous"

TEXTS = {
    "ambiguous": "ambiguous",
    "not_ambiguous": "not ambiguous",
    BETWEEN: "ambiguous − not ambiguous",
    GAIN: "relative gain, %",
}
"""Group or row -> as people read it."""

COLUMNS = (
    "direction", "group", "instances", "method", "metric", "ours", "ci_low", "ci_high", "paper",
)  # fmt: skip
"""Columns of :func:`table1`."""

Judged = Mapping[str, Mapping[Group, Replicates]]


def table1(
    val: "CocoSet",
    runs: Runs,
    *,
    claims: Claims,
    iou_from: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return AP of ambiguous and of other instances, differences and relative gains.

    Args:
        val: the validation images.
        runs: from :func:`lib.report.opmask_runs.read_runs`.
        claims: where the paper's numbers (ResNet-50) come from.
        iou_from: box IoU with another instance from which one is ambiguous.
        resamples: bootstrap resamples, over images; the same for all models.
        seed: of the resamples.

    Returns:
        Columns direction, group, instances, method (``opmask - baseline``: paired difference;
        ``opmask / baseline - 1``: relative gain, its interval only for the group
        ``ambiguous - not_ambiguous``), metric, ours, ci_low, ci_high, paper; of the unsupervised
        classes, for ``full`` of all. NaN where there is no instance or no number.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    lines = []
    for direction, of in _pairs(runs).items():
        judged = {
            method: {
                group: resample(result, areas=["all"], resamples=resamples, seed=seed)
                for group, result in evaluate_by_ambiguity(
                    val, run.detections, iou_from=iou_from
                ).items()
            }
            for method, run in of.items()
        }
        labels = _labels(of["opmask"], val)
        for line in _lines(judged, labels):
            paper = _paper(expected, direction, line)
            lines.append({"direction": direction, **line, "paper": paper})
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"paper": float})


def wanted() -> list[str]:
    """Return the variants that the paper's Table 1 compares."""
    return [f"{method}.{split}" for split in ("all", *DIRECTIONS) for method in METHODS]


def backbone_of(runs: Runs) -> dict[str, str]:
    """Return the backbone in each setting of Table 1."""
    return {direction: of["opmask"].config.backbone for direction, of in _pairs(runs).items()}


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per setting and model for people; below it the paper's (COCO, ResNet-50).

    Args:
        table: from :func:`table1`.
    """
    lines = []
    rows = table[table["metric"] == "AP"]
    for (direction, method), part in rows.groupby(["direction", "method"], sort=False):
        values = part.set_index("group")
        for whose in ("ours", "paper"):
            if whose == "ours" or values["paper"].notna().any():
                line = {"direction": direction, "method": TEXTS.get(str(method), method)}
                cells = {TEXTS[group]: values[whose].get(group) for group in (*GROUPS, BETWEEN)}
                lines.append({**line, "whose": whose, **cells})
    columns = ["direction", "method", "whose", *(TEXTS[group] for group in (*GROUPS, BETWEEN))]
    return pd.DataFrame(lines, columns=columns)


def counts_line(table: pd.DataFrame) -> str:
    """Return how many instances are ambiguous in each setting, as a sentence."""
    if table.empty:
        return "No setting has both a baseline and an OPMask, so there is no Table 1."
    rows = table[table["group"].isin(GROUPS)].drop_duplicates(["direction", "group"])
    counts = rows.pivot(index="direction", columns="group", values="instances").astype(int)
    parts = [
        f"{direction}: {row['ambiguous']:,} of {row['ambiguous'] + row['not_ambiguous']:,}"
        for direction, row in counts.loc[rows["direction"].unique()].iterrows()
    ]
    return f"Ambiguous instances, {'; '.join(parts)}."


def observations(table: pd.DataFrame, runs: Runs) -> list[Observation]:
    """Return what Table 1's claims are judged by; the paper's numbers with a ResNet-50 alone.

    Args:
        table: from :func:`table1`.
        runs: those that it was made from.
    """
    backbones = backbone_of(runs)
    seen = []
    for row in table[table["metric"] == "AP"].to_dict("records"):
        name, scale = _claim(row["direction"], row["group"], row["method"])
        numbers = [row[column] / scale for column in ("ours", "ci_low", "ci_high")]
        same = row["method"] not in METHODS or backbones[row["direction"]] == "resnet50"
        if name and same and row["direction"] != "list":
            seen.append(Observation(name, *numbers))
    return seen


def _pairs(runs: Runs) -> dict[str, dict[str, Run]]:
    there = pairs(runs)
    return {direction: there[direction] for direction in PLACES if direction in there}


def _labels(run: Run, val: "CocoSet") -> frozenset[int]:
    """Return the classes that a setting is judged on: the unsupervised, with all masks all."""
    every = val.categories.labels
    return every if run.split == "all" else every - run.supervised


def _lines(judged: Judged, labels: frozenset[int]) -> Iterator[dict[str, Any]]:
    ours, base = judged["opmask"], judged["baseline"]
    for metric in METRICS:
        for group in GROUPS:
            some = ours[group].result
            count = sum(int(some.matches[k, "all"].instances.sum()) for k in labels)
            place = {"group": group, "instances": count, "metric": metric}
            intervals = {m: judged[m][group].interval(metric, labels) for m in METHODS}
            intervals[DIFFERENCE] = ours[group].difference(base[group], metric, labels)
            first, second = intervals["opmask"].estimate, intervals["baseline"].estimate
            gain = first / second - 1 if second else float("nan")
            intervals[GAIN] = Interval(gain, float("nan"), float("nan"))
            for method, interval in intervals.items():
                yield {**place, "method": method, **points(interval)}
        both = {"group": BETWEEN, "instances": None, "metric": metric, "method": GAIN}
        yield {**both, **points(gain_ratio(ours, base, metric, labels))}


def _claim(direction: str, group: str, method: str) -> tuple[str | None, float]:
    """Return the id of a line's claim, if it has one, and by what to divide points for its unit."""
    start = f"B.table1.{direction}"
    if method in METHODS:
        return f"{start}.R50.{PAPER[method]}.AP_{group}", 1
    if method == DIFFERENCE:
        return f"{start}.AP_{group}.opmask_above_baseline", 1
    return (f"{start}.relative_gain_larger_when_ambiguous" if group == BETWEEN else None), 100


def _paper(
    expected: Mapping[str, float | None], direction: str, row: Mapping[str, Any]
) -> float | None:
    """Return the paper's number of a line; its relative gains follow from its AP."""
    if row["metric"] != "AP":
        return None
    group, method = row["group"], row["method"]
    if method == GAIN and group != BETWEEN:
        first, second = (expected.get(_claim(direction, group, m)[0] or "")
                         for m in ("opmask", "baseline"))  # fmt: skip
        return 100 * (first / second - 1) if first and second else None
    name, scale = _claim(direction, group, method)
    number = expected.get(name or "")
    return None if number is None else scale * number

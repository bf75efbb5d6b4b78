"""Paper B's Table 1: AP of ambiguous instances and of the others, and what the prior adds to each.

An instance is ambiguous if its box overlaps another's (:mod:`lib.metrics.ambiguity`). The AP of
the two groups cannot be compared, nor can gains in it, so whether the prior adds more to ambiguous
instances is judged by the mask IoU on true boxes. The paper's own numbers for that are of AP.

The table is tidy and in points of 100; a relative gain of 100 points doubles the baseline.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from lib.data.overlap import ambiguous_ids
from lib.metrics.ambiguity import BETWEEN as DIFFER
from lib.metrics.ambiguity import GROUPS, Group, evaluate_by_ambiguity, iou_gains
from lib.metrics.bootstrap import Interval, Replicates, resample
from lib.metrics.claims import Claims, Observation
from lib.metrics.mask_iou import iou_on_boxes
from lib.opmask.table2 import PAPER
from lib.opmask.trained import (
    DIFFERENCE,
    DIRECTIONS,
    METHODS,
    SETTINGS,
    TITLES,
    Run,
    Runs,
    pairs,
    span,
    unbroken,
)
from lib.pages.ablation import MASK_IOU
from lib.pages.tables import points

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

PLACES = ("full", *reversed(DIRECTIONS.values()), SETTINGS["list"])
"""Settings of Table 1, in the paper's order; the last is a profile's own."""

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

COLUMNS = (
    "direction", "group", "instances", "method", "metric", "ours", "ci_low", "ci_high", "paper",
)  # fmt: skip
"""Columns of :func:`table1`."""

_UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))

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
        runs: from :func:`lib.opmask.trained.read_runs`.
        claims: where the paper's numbers (ResNet-50) come from.
        iou_from: box IoU with another instance from which one is ambiguous.
        resamples: bootstrap resamples, over images; the same for all models.
        seed: of the resamples.

    Returns:
        Columns direction, group, instances, method (``opmask - baseline``: paired difference;
        ``opmask / baseline - 1``: relative gain), metric, ours, ci_low, ci_high, paper; of the
        unsupervised classes, for ``full`` of all. The metric ``mask_IoU`` is the mean over the
        true boxes. Of the group ``ambiguous - not_ambiguous`` AP has the paper's numbers alone,
        and relative gains in AP have no interval: they describe, and decide nothing. NaN where
        there is no instance or no number, and for relative gains over less than a point.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    ambiguous = ambiguous_ids(val, iou_from)
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
        frames = {method: iou_on_boxes(val, run.masks_on_boxes) for method, run in of.items()}
        kept = {method: frame[frame["label"].isin(labels)] for method, frame in frames.items()}
        on_boxes = _on_boxes(kept, ambiguous, resamples=resamples, seed=seed)
        for line in (*_lines(judged, labels), *on_boxes):
            paper = _paper(expected, direction, line)
            lines.append({"direction": direction, **line, "paper": paper})
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"paper": float})


def wanted() -> list[str]:
    """Return the variants that the paper's Table 1 compares."""
    return [f"{method}.{split}" for split in ("all", *DIRECTIONS) for method in METHODS]


def backbone_of(runs: Runs) -> dict[str, str]:
    """Return the backbone in each setting of Table 1."""
    return {direction: of["opmask"].config.backbone for direction, of in _pairs(runs).items()}


def side_by_side(table: pd.DataFrame, metric: str = "AP") -> pd.DataFrame:
    """Return one line per setting and model for people; below a line the paper's (COCO).

    Args:
        table: from :func:`table1`.
        metric: ``AP`` or ``mask_IoU``, which alone compares the groups, and has no paper's lines.
    """
    groups = (*GROUPS, BETWEEN)
    lines = []
    rows = table[table["metric"] == metric]
    for (direction, method), part in rows.groupby(["direction", "method"], sort=False):
        place = {"direction": direction, "method": unbroken(TEXTS.get(str(method), str(method)))}
        ours: dict[str, Any] = {**place, "whose": "ours"}
        paper: dict[str, Any] = {**place, "whose": "paper"}
        for row in part.to_dict("records"):
            group = str(row["group"])
            ours |= {TEXTS[group]: row["ours"], _interval_of(group): span(row)}
            paper[TEXTS[group]] = row["paper"]
        lines += [ours, paper] if part["paper"].notna().any() else [ours]
    columns = [name for group in groups for name in (TEXTS[group], _interval_of(group))]
    wide = pd.DataFrame(lines, columns=["direction", "method", "whose", *columns])
    wide = wide.astype({TEXTS[group]: float for group in groups})
    # AP is not compared between the groups, and the paper has no mask IoU on true boxes
    return wide.drop(columns=_interval_of(BETWEEN) if metric == "AP" else "whose")


def _interval_of(group: str) -> str:
    short = {"ambiguous": "amb.", "not_ambiguous": "others", BETWEEN: "both"}
    return unbroken("95 %") + f" ({short[group]})"


def counts_line(table: pd.DataFrame) -> str:
    """Return how many instances are ambiguous in each setting, as a sentence."""
    if table.empty:
        return "No setting has both a baseline and an OPMask, so there is no Table 1."
    rows = table[table["group"].isin(GROUPS) & (table["metric"] == METRICS[0])]
    parts = []
    for direction, part in rows.groupby("direction", sort=False):
        counts = part.drop_duplicates("group").set_index("group")["instances"].astype(int)
        ambiguous = counts["ambiguous"]
        parts.append(f"{TITLES[str(direction)]}: {ambiguous:,} of {counts.sum():,}")
    return f"Ambiguous instances, {'; '.join(parts)}."


def observations(table: pd.DataFrame, runs: Runs) -> list[Observation]:
    """Return what Table 1's claims are judged by; the paper's numbers with a ResNet-50 alone.

    Those of one group are judged by AP; that the relative gain is larger on ambiguous instances, by
    the relative gain in mask IoU on true boxes.

    Args:
        table: from :func:`table1`.
        runs: those that it was made from.
    """
    backbones = backbone_of(runs)
    seen = []
    for row in table.to_dict("records"):
        judged_by = MASK_IOU if row["group"] == BETWEEN else "AP"
        if row["metric"] != judged_by:
            continue
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
            intervals = {m: judged[m][group].score(metric, labels).interval for m in METHODS}
            intervals[DIFFERENCE] = (
                ours[group].score(metric, labels) - base[group].score(metric, labels)
            ).interval
            first, second = intervals["opmask"].estimate, intervals["baseline"].estimate
            gain = first / second - 1 if second >= LEAST_BASELINE else float("nan")
            intervals[GAIN] = _UNKNOWN._replace(estimate=gain)
            for method, interval in intervals.items():
                yield {**place, "method": method, **points(interval)}
        for method in (DIFFERENCE, GAIN) if metric == "AP" else ():
            both = {"group": BETWEEN, "instances": None, "metric": metric, "method": method}
            yield {**both, **points(_UNKNOWN)}  # the paper's number stands here


def _on_boxes(
    frames: Mapping[str, pd.DataFrame],
    ambiguous: frozenset[int],
    *,
    resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield the lines of the mask IoU on true boxes."""
    ours, base = frames["opmask"], frames["baseline"]
    found = iou_gains(ours, base, ambiguous, resamples=resamples, seed=seed)
    is_ambiguous = ours["annotation_id"].isin(ambiguous)
    counts = {"ambiguous": int(is_ambiguous.sum()), "not_ambiguous": int((~is_ambiguous).sum())}
    for group, gain in found.items():
        name = BETWEEN if group == DIFFER else group
        place = {"group": name, "instances": counts.get(group), "metric": MASK_IOU}
        intervals = {
            "baseline": gain.baseline,
            "opmask": gain.model,
            DIFFERENCE: gain.gain,
            GAIN: gain.relative,
        }
        for method, interval in intervals.items():
            yield {**place, "method": method, **points(interval)}


def _claim(direction: str, group: str, method: str) -> tuple[str | None, float]:
    """Return the id of a line's claim, if it has one, and by what to divide points for its unit."""
    start = f"B.table1.{direction}"
    if method in METHODS and group != BETWEEN:
        return f"{start}.R50.{PAPER[method]}.AP_{group}", 1
    if group == BETWEEN:
        name = f"{start}.relative_gain_larger_when_ambiguous" if method == GAIN else None
        return name, 100
    return (f"{start}.AP_{group}.opmask_above_baseline" if method == DIFFERENCE else None), 1


def _paper(
    expected: Mapping[str, float | None], direction: str, row: Mapping[str, Any]
) -> float | None:
    """Return the paper's number of a line; relative gains and differences follow from its AP."""
    if row["metric"] != "AP":
        return None
    group, method = row["group"], row["method"]
    if group == BETWEEN and method == DIFFERENCE:
        gains = [expected.get(_claim(direction, g, method)[0] or "") for g in GROUPS]
        return None if gains[0] is None or gains[1] is None else gains[0] - gains[1]
    if method == GAIN and group != BETWEEN:
        first, second = (expected.get(_claim(direction, group, m)[0] or "")
                         for m in ("opmask", "baseline"))  # fmt: skip
        return 100 * (first / second - 1) if first and second else None
    name, scale = _claim(direction, group, method)
    number = expected.get(name or "")
    return None if number is None else scale * number

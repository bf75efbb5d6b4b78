"""Paper B's Table 2 and AP class by class: who segments classes that it has no masks of?

All tables are tidy and in points of 100, as the paper prints AP. Differences are paired: within
each resample both models see the same images.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from lib.metrics.bootstrap import Interval, Replicates, resample
from lib.metrics.claims import Claims, Observation
from lib.opmask.trained import (
    DIFFERENCE,
    DIRECTIONS,
    LESS,
    METHODS,
    METRICS,
    SETTINGS,
    Results,
    Run,
    Runs,
    groups,
    pairs,
)
from lib.pages.tables import points

ROWS = ("mask_rcnn", "baseline", "gt_boxes", "opmask", "class_specific")
"""Methods of Table 2, in order; the last one was given all masks."""

PAIRS = (
    ("opmask", "baseline"),
    ("gt_boxes", "baseline"),
    ("opmask", "gt_boxes"),
    ("class_specific", "opmask"),
)
"""Differences that Table 2 has."""

DEPTHS = {"R50": "", "R101": "r101."}
"""Rows of the paper beside which a run stands -> how its variant begins."""

PAPER = {
    "mask_rcnn": "Mask_RCNN",
    "baseline": "Our_Mask_RCNN",
    "Mask_X_RCNN": "Mask_X_RCNN",
    "ShapeProp": "ShapeProp",
    "ShapeMask": "ShapeMask",
    "CPMask": "CPMask",
    "opmask": "OPMask",
}
"""Methods of the paper's Table 2, others' among them -> as claim ids spell them."""

COLUMNS = (
    "direction", "beside", "backbone", "method", "classes",
    "metric", "ours", "ci_low", "ci_high", "paper",
)  # fmt: skip
"""Columns of :func:`split_table`."""

_TABLE2 = (*DIRECTIONS, "list")


def table2_runs(runs: Runs) -> dict[tuple[str, str], dict[str, Run]]:
    """Return the runs of Table 2: (supervised split, key of :data:`DEPTHS`) -> method -> run."""
    found: dict[tuple[str, str], dict[str, Run]] = {}
    for split in _TABLE2:
        for depth, prefix in DEPTHS.items():
            of = {m: runs.get(prefix + _variant(m, split)) for m in ROWS}
            there = {method: run for method, run in of.items() if run}
            if set(there) - {"class_specific"}:
                found[split, depth] = there
    return found


def _variant(method: str, split: str) -> str:
    if method == "class_specific":
        return f"{method}.all"
    return f"list.{method}" if split == "list" else f"{method}.{split}"


def split_table(
    results: Results, runs: Runs, *, claims: Claims, resamples: int, seed: int
) -> pd.DataFrame:
    """Return the rows of paper B's Table 2, with intervals, differences and the paper's numbers.

    Args:
        results: mask AP of every run.
        runs: from :func:`lib.opmask.trained.read_runs`.
        claims: where the paper's numbers come from.
        resamples: bootstrap resamples, over images; the same for all models.
        seed: of the resamples.

    Returns:
        Columns direction, beside (the paper's rows that it is to be read with, ``R50`` or
        ``R101``), backbone (ours; empty where only the paper has the row), method (``a - b`` is a
        paired difference), classes, metric, ours, ci_low, ci_high, paper; points of 100, NaN
        where there is no instance or no number.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    compared = table2_runs(runs)
    used = dict.fromkeys(run.variant for of in compared.values() for run in of.values())
    drawn = {v: resample(results[v], resamples=resamples, seed=seed) for v in used}
    lines = []
    for (split, depth), of in compared.items():
        models = {method: drawn[run.variant] for method, run in of.items()}
        lead = next(run for method, run in of.items() if method != "class_specific")
        direction, backbone = SETTINGS[split], lead.config.backbone
        place = {"direction": direction, "beside": depth, "backbone": backbone}
        for classes, labels in groups(lead, results[lead.variant].categories).items():
            for line in _lines(models, labels):
                name = _claim_id(direction, depth, line["method"], line["metric"])
                paper = expected.get(name) if classes == "unsupervised" else None
                lines.append({**place, "classes": classes, **line, "paper": paper})
    seen = {(line["direction"], line["beside"], line["method"]) for line in lines}
    lines += [line for line in _paper_lines(expected) if tuple(line.values())[:3] not in seen]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"paper": float})


def _lines(models: Mapping[str, Replicates], labels: frozenset[int]) -> Iterator[dict[str, Any]]:
    for metric, name in METRICS.items():
        intervals: dict[str, Interval] = {
            m: r.score(metric, labels).interval for m, r in models.items()
        }
        for first, second in PAIRS:
            if first in models and second in models:
                one, other = (models[m].score(metric, labels) for m in (first, second))
                intervals[first + LESS + second] = (one - other).interval
        for method, interval in intervals.items():
            yield {"method": method, "metric": name, **points(interval)}


def _paper_lines(expected: Mapping[str, float | None]) -> Iterator[dict[str, Any]]:
    """Yield every number of the paper's Table 2, as lines without ours."""
    for direction in DIRECTIONS.values():
        for depth in DEPTHS:
            for method in (*PAPER, DIFFERENCE):
                for name in METRICS.values():
                    paper = expected.get(_claim_id(direction, depth, method, name))
                    if paper is not None:
                        place = {"direction": direction, "beside": depth, "method": method}
                        more = {"backbone": "", "classes": "unsupervised", "metric": name}
                        yield {**place, **more, "paper": paper}


def beside_paper(table: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Return the unsupervised classes' rows of :func:`split_table`, one line per model.

    Below each model's line is the paper's, where it has one (COCO); metrics are the columns, and
    box AP over all classes stands beside. The paper's rows of a backbone that nothing here stands
    beside are left out.

    Args:
        table: from :func:`split_table`.
        boxes: from :func:`lib.opmask.further_tables.box_table`.
    """
    rows = table[table["classes"] == "unsupervised"]
    metrics = list(dict.fromkeys(rows["metric"]))
    box_ap = dict(zip(boxes["variant"], boxes["box_AP"], strict=True))
    lines: list[dict[str, Any]] = []
    for (direction, depth), part in rows.groupby(["direction", "beside"], sort=False):
        if (part["backbone"] == "").all():
            continue
        for method in _in_order(part):
            values = part[part["method"] == method].set_index("metric").reindex(metrics)
            backbone = values["backbone"].iloc[0]
            place = {"direction": direction, "method": method}
            if backbone:
                ap = box_ap.get(_variant_of(str(direction), str(depth), method))
                line = {**place, "whose": "ours", "backbone": backbone, "box_AP": ap}
                lines.append({**line, **{name: values["ours"][name] for name in metrics}})
            if values["paper"].notna().any():
                line = {**place, "whose": "paper", "backbone": depth, "box_AP": None}
                lines.append({**line, **{name: values["paper"][name] for name in metrics}})
    columns = ["direction", "method", "whose", "backbone", *metrics, "box_AP"]
    return pd.DataFrame(lines, columns=columns).astype({"box_AP": float})


def _in_order(part: pd.DataFrame) -> list[str]:
    """Return a table's methods in the order of the paper's rows, differences last."""
    order = ["mask_rcnn", "baseline", "gt_boxes", *PAPER, "class_specific"]
    there = list(dict.fromkeys(part["method"]))
    known = [method for method in dict.fromkeys(order) if method in there]
    return known + [method for method in there if method not in known]


def _variant_of(direction: str, depth: str, method: str) -> str:
    split = next(split for split, name in SETTINGS.items() if name == direction)
    return DEPTHS[depth] + _variant(method, split)


def per_class_table(results: Results, runs: Runs) -> pd.DataFrame:
    """Return mask AP of every class of baseline and OPMask, per direction.

    Args:
        results: mask AP of every run.
        runs: from :func:`lib.opmask.trained.read_runs`; those of Table 2 are used.

    Returns:
        Columns direction, classes, label, name, instances, baseline, opmask; AP in points, NaN of
        a class without an instance.
    """
    frames = []
    for direction, of in pairs(runs).items():
        if direction not in {SETTINGS[split] for split in _TABLE2}:
            continue
        parts = {method: results[run.variant].per_class for method, run in of.items()}
        frame = parts["opmask"][["label", "name", "instances"]].copy()
        for method in METHODS:
            frame[method] = 100 * parts[method]["AP"]
        given = frame["label"].isin(of["opmask"].supervised)
        frame.insert(0, "classes", given.map({True: "supervised", False: "unsupervised"}))
        frame.insert(0, "direction", direction)
        frames.append(frame)
    columns = ["direction", "classes", "label", "name", "instances", *METHODS]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def observations(table: pd.DataFrame, *, claims: Claims) -> list[Observation]:
    """Return what Table 2's claims are judged by.

    Numbers that the paper prints for a backbone are observed with that backbone alone, directions
    with any, except that those of a ResNet-101 need runs of their own.

    Args:
        table: from :func:`split_table`.
        claims: the claims to be judged.
    """
    known = {claim.id for claim in claims.claims}
    backbones = {"R50": "resnet50", "R101": "resnet101"}
    ours = table[(table["classes"] == "unsupervised") & (table["backbone"] != "")]
    seen = []
    for row in ours.to_dict("records"):
        place = (row["direction"], row["beside"], row["method"], row["metric"])
        same = row["backbone"] == backbones[row["beside"]]
        if _claim_id(*place) in known and (row["method"] == DIFFERENCE or same):
            numbers = (row["ours"], row["ci_low"], row["ci_high"])
            seen.append(Observation(_claim_id(*place), *numbers))
    return seen


def _claim_id(direction: str, beside: str, method: str, name: str) -> str:
    start = f"B.table2.{direction}"
    if method == DIFFERENCE:
        middle = "" if beside == "R50" else f".{beside}"
        return f"{start}{middle}.{name}.opmask_above_baseline"
    return f"{start}.{beside}.{PAPER.get(method, method)}.{name}"

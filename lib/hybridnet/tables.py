"""Tables 1 and 2 of paper A, with intervals, paired differences and the paper's numbers.

Methods are those of :data:`lib.hybridnet.trained.NAMES`. Small and large are paper A's, below and
from 64x64 pixels on, unless a metric ends in ``coco``. All tables are tidy and in points of 100,
as the paper prints AP; differences are paired: within each resample both see the same images.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lib.hybridnet.trained import NAMES, Methods
from lib.metrics import abo
from lib.metrics.bootstrap import Interval, Replicates, resample
from lib.metrics.claims import Claim, Claims, Observation, at_scale
from lib.metrics.coco_ap import AREA_RANGES_64, AREA_RANGES_COCO, evaluate
from lib.metrics.voc_ap import VOCReplicates, evaluate_voc, resample_voc
from lib.pages.tables import points

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

AREAS = {
    "S": AREA_RANGES_64["small"],
    "L": AREA_RANGES_64["large"],
    **{f"{size[0].upper()}_coco": limits for size, limits in AREA_RANGES_COCO.items()},
}
"""Area ranges of Table 2, named as in the metrics: AP_S and AP_L, and COCO's AP_S_coco, ..."""

METRICS = ("AP", *(f"AP_{area}" for area in AREAS))

ABO = "ABO"
VOC_METRICS, COCO_METRICS = ("mAP50", "mAP75"), ("AP50", "AP75")
"""What Table 1 gives under VOC's protocol, as the paper, and, added here, under COCO's."""

TABLE1_METRICS = (*VOC_METRICS, ABO, *COCO_METRICS)
TABLE1_PAIRS = (("hybrid", "baseline"), ("pixel_level", "hybrid"))
TABLE2_PAIRS = (
    *(("hybrid", other) for other in ("baseline", "small_branch", "large_branch")),
    *(("small_branch", other) for other in ("baseline", "large_branch")),
    *(("large_branch", other) for other in ("baseline", "small_branch")),
    ("pixel_level", "hybrid"),
    ("pixel_level", "small_branch"),
)
"""Differences that the paper's claims speak of, and how far true masks are above."""

TABLE2_METHODS = ("baseline", "small_branch", "large_branch", "hybrid", "pixel_level")

PAPER_ONLY = {"DeepMask": "DeepMask", "DeepLabBOX": "DeepLabBOX"}
"""Other people's methods in Table 1, as claim ids spell them -> as people read them."""

SCORE_FROM, MOST = 0.05, 100
"""Detections that best overlaps look at: from this score on, at most so many per image."""

LESS = " - "
"""Between the names of two methods: the first minus the second."""

_STEP = "05_hybrid_results"
_OF_COCO = {*COCO_METRICS, *(metric for metric in METRICS if metric.endswith("_coco"))}


def judge(val: "CocoSet", methods: Methods, *, resamples: int, seed: int) -> dict[str, Replicates]:
    """Return every method's mask AP (COCO's rules, sizes of :data:`AREAS`), resampled."""
    labels = val.to_coco()
    return {
        method: resample(
            evaluate(labels, found, iou_type="segm", area_ranges=AREAS),
            resamples=resamples,
            seed=seed,
        )
        for method, found in methods.items()
    }


def judge_voc(
    val: "CocoSet", methods: Methods, *, resamples: int, seed: int, **protocol: Any
) -> dict[str, VOCReplicates]:
    """Return every method's mAP^r, resampled; ``protocol`` as `lib.metrics.voc_ap` has it."""
    labels = val.to_coco()
    return {
        method: resample_voc(
            evaluate_voc(labels, found, **protocol), resamples=resamples, seed=seed
        )
        for method, found in methods.items()
    }


def overlaps(val: "CocoSet", methods: Methods) -> dict[str, pd.DataFrame]:
    """Return every method's best overlap with each true mask (`lib.metrics.abo`)."""
    labels = val.to_coco()
    return {
        method: abo.best_overlaps(labels, found, score_threshold=SCORE_FROM, max_detections=MOST)
        for method, found in methods.items()
    }


def table1(
    voc: Mapping[str, VOCReplicates],
    coco: Mapping[str, Replicates],
    best: Mapping[str, pd.DataFrame],
    *,
    claims: Claims,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return paper A's Table 1 with intervals, differences and the paper's numbers.

    Args:
        voc: from :func:`judge_voc`, of all methods.
        coco: from :func:`judge`.
        best: from :func:`overlaps`.
        claims: where the paper's numbers come from.
        resamples: for the best overlaps: bootstrap resamples, over images.
        seed: of these resamples.

    Returns:
        Columns method (a row with `` - `` is a paired difference; methods of others have the
        paper's numbers alone), supervision, metric (mAP50 and mAP75: VOC's; AP50 and AP75:
        COCO's; ABO: the mean over classes), ours, ci_low, ci_high, paper; points of 100.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}

    def one(metric: str, method: str, other: str | None = None) -> Interval:
        if metric == ABO:
            frames = [best[m] for m in (method, other) if m]
            how = abo.abo_difference if other else abo.abo_interval
            return how(*frames, resamples=resamples, seed=seed)
        drawn: Mapping[str, Any] = voc if metric in VOC_METRICS else coco
        if other:
            return drawn[method].difference(drawn[other], metric)
        return drawn[method].interval(metric)

    lines = []
    for method in (*PAPER_ONLY, *voc):
        for metric in TABLE1_METRICS:
            paper = expected.get(f"A.table1.{method}.{metric}")
            if method in voc or paper is not None:
                ours = one(metric, method) if method in voc else _UNKNOWN
                lines.append(_line(method, metric, ours, paper))
    for method, other in TABLE1_PAIRS:
        for metric in TABLE1_METRICS:
            paper = expected.get(f"A.table1.{metric}.{method}_above_{other}")
            lines.append(_line(method + LESS + other, metric, one(metric, method, other), paper))
    frame = pd.DataFrame(lines).astype({"paper": float})
    by_pixels = frame["method"] == "pixel_level"
    given = np.where(by_pixels, "pixel-level", "box-level")
    frame.insert(1, "supervision", np.where(frame["method"].str.contains(LESS), "", given))
    return frame


def table2(drawn: Mapping[str, Replicates], *, claims: Claims) -> pd.DataFrame:
    """Return paper A's Table 2 with intervals, differences and the paper's numbers.

    Args:
        drawn: from :func:`judge`.
        claims: where the paper's numbers come from.

    Returns:
        Columns method (``hybrid - baseline`` is a paired difference), metric (those of
        :data:`METRICS`), ours, ci_low, ci_high, paper; points of 100, NaN where no instance is of
        that size. The row ``pixel_level`` is an addition.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    lines = []
    for method in TABLE2_METHODS:
        for metric in METRICS:
            paper = expected.get(f"A.table2.{method}.{metric}")
            lines.append(_line(method, metric, drawn[method].interval(metric), paper))
    for method, other in TABLE2_PAIRS:
        for metric in METRICS:
            paper = expected.get(f"A.table2.{metric}.{method}_above_{other}")
            difference = drawn[method].difference(drawn[other], metric)
            lines.append(_line(method + LESS + other, metric, difference, paper))
    return pd.DataFrame(lines).astype({"paper": float})


def limit_line(table: pd.DataFrame) -> str:
    """Return one sentence on what limits the large branch on large objects: its masks, or itself.

    Trained on true masks it has the best masks there are to learn from. If GrabCut in detections is
    still better, no pseudo-mask is to blame.

    Args:
        table: from :func:`table2`.
    """
    method = f"pixel_level{LESS}small_branch"
    row = table[(table["method"] == method) & (table["metric"] == "AP_L")].iloc[0]
    low, high = row["ci_low"], row["ci_high"]
    text = (
        "AP_L of the large branch trained on true masks minus that of the small branch: "
        f"{row['ours']:+.1f} ({low:+.1f} to {high:+.1f})."
    )
    if high < 0:
        return (
            f"{text} GrabCut in detections is better on large objects even then, so the masks that "
            "the large branch learns from are not all that holds it back."
        )
    if low > 0:
        return f"{text} With good masks to learn from, the mask head outlines them better."
    return f"{text} Which of the two outlines large objects better is undecided."


def observations(
    table1: pd.DataFrame, table2: pd.DataFrame, *, claims: Claims, backbone: str, profile: str
) -> list[Observation]:
    """Return what the claims of Tables 1 and 2 are judged by.

    Args:
        table1: from :func:`table1`.
        table2: from :func:`table2`.
        claims: the list; what it does not claim is not observed.
        backbone: of the compared models; numbers that the paper prints for a ResNet-50 are
            observed with that backbone alone, differences between our models with any.
        profile: of this run. Being above a number that others published is observed on the data
            that it was published for alone.
    """
    own = {claim.id: claim for claim in claims.claims if claim.step == _STEP}
    seen = {}
    for name, table in (("table1", table1), ("table2", table2)):
        for row in table[~table["method"].isin(PAPER_ONLY)].to_dict("records"):
            interval = Interval(row["ours"], row["ci_low"], row["ci_high"])
            method, _, other = row["method"].partition(LESS)
            if other:
                seen[f"A.{name}.{row['metric']}.{method}_above_{other}"] = interval
            elif backbone == "resnet50":
                seen[f"A.{name}.{method}.{row['metric']}"] = interval
                if at_scale(claims, "voc", profile):
                    seen |= _above_printed(f"A.{name}", method, row["metric"], interval, own)
    return [Observation(key, *interval) for key, interval in seen.items() if key in own]


def _above_printed(
    place: str, method: str, metric: str, interval: Interval, own: Mapping[str, Claim]
) -> dict[str, Interval]:
    """Return by claim id how far a method is above the numbers that others published."""
    above = {}
    for other in PAPER_ONLY:
        printed = own.get(f"{place}.{other}.{metric}")
        if printed is not None and printed.expected is not None:
            value = printed.expected
            above[f"{place}.{metric}.{method}_above_{other}"] = Interval(
                interval.estimate - value, interval.low - value, interval.high - value
            )
    return above


def beside_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the paper with its metrics as columns, one line per method.

    Below a line is the paper's, where it has one (VOC 2012 val, ResNet-50). Differences are left
    out, and what follows COCO's rules or sizes says so.

    Args:
        table: from :func:`table1` or :func:`table2`.
    """
    rows = table[~table["method"].str.contains(LESS)]
    keys = [name for name in ("method", "supervision") if name in rows]
    metrics = list(dict.fromkeys(rows["metric"]))
    lines = []
    for names, part in rows.groupby(keys, sort=False):
        values = part.set_index("metric").reindex(metrics)
        for whose in ("ours", "paper"):
            others_own = names[0] in PAPER_ONLY and whose == "ours"
            if not others_own and (whose == "ours" or values["paper"].notna().any()):
                line = dict(zip(keys, names, strict=True)) | {"whose": whose}
                lines.append(line | values[whose].to_dict())
    coco = {m: f"{m.removesuffix('_coco')} (COCO)" for m in metrics if m in _OF_COCO}
    return pd.DataFrame(lines).rename(columns=coco)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with methods, and differences of two, as people read them."""
    methods = {name: readable(name) for name in table["method"]}
    return table.assign(method=table["method"].map(methods))


def readable(method: str) -> str:
    """Return a method, or the difference of two, as people read it."""
    known = NAMES | PAPER_ONLY
    return " − ".join(known.get(part, part) for part in method.split(LESS))


_UNKNOWN = Interval(math.nan, math.nan, math.nan)


def _line(method: str, metric: str, interval: Interval, paper: float | None) -> dict[str, Any]:
    return {"method": method, "metric": metric, **points(interval), "paper": paper}

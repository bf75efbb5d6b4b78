"""Table 2 of paper A: mask AP of the two branches and of HybridNet, by the size of objects.

Methods are those of :data:`lib.hybridnet.predictions.NAMES`, each judged once per seed. Small and
large are paper A's, below and from 64x64 pixels on, unless a metric ends in ``coco``.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from lib.hybridnet.predictions import PRINTED, READINGS, Methods
from lib.metrics.bootstrap import Replicates, resample
from lib.metrics.claims import Claims, Observation
from lib.metrics.coco_ap import ALL, AREA_RANGES_64, AREA_RANGES_COCO, evaluate
from lib.metrics.seeds import FEWEST_SEEDS, score
from lib.pages import comparison
from lib.pages.comparison import LESS, ClaimId, Row

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

AREAS = {
    "S": AREA_RANGES_64["small"],
    "L": AREA_RANGES_64["large"],
    **{f"{size[0].upper()}_coco": limits for size, limits in AREA_RANGES_COCO.items()},
}
"""Area ranges, named as in the metrics: AP_S and AP_L, and COCO's AP_S_coco, ..."""

METRICS = ("AP", *(f"AP_{area}" for area in AREAS))

METHODS = (
    "rectangle", "baseline", "small_branch", "large_branch", "hybrid", "pixel_level", *READINGS
)  # fmt: skip
"""``rectangle``, which every mask must be better than to show an object, ``pixel_level``, with true
masks, and the other reading of the paper are additions."""

PAIRS = (
    *(("hybrid", other) for other in ("baseline", "small_branch", "large_branch")),
    *(("small_branch", other) for other in ("baseline", "large_branch")),
    *(("large_branch", other) for other in ("baseline", "small_branch")),
    ("pixel_level", "hybrid"),
    ("pixel_level", "small_branch"),
    *READINGS.items(),
)
"""Differences that the paper's claims speak of, how far true masks are above, and what the other
reading of the paper changes."""

Drawn = Mapping[str, Mapping[int, Replicates]]
"""Mask AP by method and seed, resampled."""


def judge(
    val: "CocoSet", methods: Methods, *, resamples: int, seed: int
) -> dict[str, dict[int, Replicates]]:
    """Return every method's mask AP by COCO's rules, by seed and resampled.

    Sizes are those of :data:`AREAS`; methods that are not of Table 2 are resampled over all sizes
    alone, since the resamples are what takes time.
    """
    labels = val.to_coco()
    return {
        method: {
            number: resample(
                evaluate(labels, found, iou_type="segm", area_ranges=AREAS),
                areas=None if method in METHODS else [ALL],
                resamples=resamples,
                seed=seed,
            )
            for number, found in runs.items()
        }
        for method, runs in methods.items()
    }


def claim_id(table: str) -> ClaimId:
    """Return how the claims on a table of paper A, ``table1`` or ``table2``, are called."""

    def of_row(row: Row) -> str:
        method, _, other = row["method"].partition(LESS)
        if other:
            return f"A.{table}.{row['metric']}.{method}_above_{other}"
        return f"A.{table}.{method}.{row['metric']}"

    return of_row


def table2(drawn: Drawn, *, claims: Claims) -> pd.DataFrame:
    """Return Table 2 with intervals, paired differences and the paper's numbers.

    Args:
        drawn: from :func:`judge`.
        claims: where the paper's numbers come from.

    Returns:
        Columns method (``hybrid - baseline`` is a paired difference), metric (of :data:`METRICS`),
        those of :data:`lib.pages.comparison.NUMBERS`, paper; points of 100, NaN where no instance
        is of that size.
    """
    scores = {
        method: {metric: score(drawn[method], metric) for metric in METRICS}
        for method in METHODS
        if method in drawn
    }
    columns = ("method", "metric", *comparison.NUMBERS)
    return comparison.tidy(comparison.rows({}, scores, PAIRS), columns, claim_id("table2"), claims)


def limit_line(table: pd.DataFrame) -> str:
    """Return what limits the large branch on large objects: its masks, or itself.

    Trained on true masks it has the best masks there are to learn from. If GrabCut in detections is
    still better, no pseudo-mask is to blame.

    Args:
        table: from :func:`table2`.
    """
    method = f"pixel_level{LESS}small_branch"
    row = table[(table["method"] == method) & (table["metric"] == "AP_L")].iloc[0]
    low, high = row["ci_low"], row["ci_high"]
    if math.isnan(low):
        return "Too few images have a large object to tell what limits the large branch on these."
    text = (
        "AP_L of the large branch trained on true masks minus that of the small branch: "
        f"{row['ours']:+.1f} ({low:+.1f} to {high:+.1f})."
    )
    if row["seeds"] < FEWEST_SEEDS:
        return f"{text} One training of each decides nothing."
    if high < 0:
        return (
            f"{text} GrabCut in detections is better on large objects even then, so the masks that "
            "the large branch learns from are not all that holds it back."
        )
    if low > 0:
        return f"{text} With good masks to learn from, the mask head outlines them better."
    return f"{text} Which of the two outlines large objects better is undecided."


def may_be_judged(row: Row, backbone: str) -> bool:
    """Return whether a row speaks of what the paper measured.

    The paper's numbers, and those of others, are of one backbone; differences between our models
    are of any.
    """
    _, _, other = row["method"].partition(LESS)
    return (bool(other) and other not in PRINTED) or backbone == "resnet50"


def observations(table: pd.DataFrame, *, claims: Claims, backbone: str) -> list[Observation]:
    """Return what the claims of Table 2 are judged by.

    Args:
        table: from :func:`table2`.
        claims: the claims to be judged.
        backbone: of the compared models.
    """
    return comparison.observations(
        table, claim_id("table2"), claims, when=lambda row: may_be_judged(row, backbone)
    )


def beside_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its metrics as columns, below each line the paper's (VOC 2012 val)."""
    coco = {
        metric: f"{metric.removesuffix('_coco')} (COCO)" for metric in METRICS if "coco" in metric
    }
    return comparison.beside_paper(table).rename(columns=coco)

"""Table 1 of paper A: HybridNet beside what is trained on masks, and beside other people's methods.

Metrics are VOC's mAP^r (:mod:`lib.metrics.voc_ap`) and average best overlap
(:mod:`lib.metrics.abo`), as in the paper, and, added here, COCO's AP50 and AP75.
"""

import itertools
from collections.abc import Mapping
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lib.hybridnet.predictions import PRINTED, READINGS, Methods
from lib.hybridnet.table2 import Drawn, claim_id, may_be_judged
from lib.metrics import abo
from lib.metrics.claims import Claims, Observation, at_scale
from lib.metrics.seeds import Measured, over_seeds, score
from lib.metrics.voc_ap import VOCReplicates, evaluate_voc, resample_voc
from lib.pages import comparison
from lib.pages.comparison import LESS

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

ABO = "ABO"
VOC_METRICS, COCO_METRICS = ("mAP50", "mAP75"), ("AP50", "AP75")
METRICS = (*VOC_METRICS, ABO, *COCO_METRICS)

PAIRS = (("hybrid", "baseline"), ("pixel_level", "hybrid"))

SCORE_FROM, MOST = 0.05, 100
"""Detections that best overlaps look at: from this score on, at most so many per image."""


def judge_voc(
    val: "CocoSet", methods: Methods, *, resamples: int, seed: int
) -> dict[str, dict[int, VOCReplicates]]:
    """Return mAP^r of every method of the table, by seed and resampled."""
    labels = val.to_coco()
    return {
        method: {
            number: resample_voc(evaluate_voc(labels, found), resamples=resamples, seed=seed)
            for number, found in runs.items()
        }
        for method, runs in methods.items()
        if method not in READINGS
    }


def overlaps(val: "CocoSet", methods: Methods) -> dict[str, dict[int, pd.DataFrame]]:
    """Return the best overlap with each true mask (`lib.metrics.abo`), by method and seed."""
    labels = val.to_coco()
    kept: dict[str, Any] = {"score_threshold": SCORE_FROM, "max_detections": MOST}
    return {
        method: {n: abo.best_overlaps(labels, found, **kept) for n, found in runs.items()}
        for method, runs in methods.items()
        if method not in READINGS
    }


def table1(
    voc: Mapping[str, Mapping[int, VOCReplicates]],
    coco: Drawn,
    best: Mapping[str, Mapping[int, pd.DataFrame]],
    *,
    claims: Claims,
    profile: str,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return Table 1 with intervals, paired differences and the paper's numbers.

    Args:
        voc: from :func:`judge_voc`, of all methods.
        coco: from :func:`lib.hybridnet.table2.judge`.
        best: from :func:`overlaps`.
        claims: where the paper's numbers come from.
        profile: of this run. How far HybridNet is above numbers that others published stands in
            the table on the data that they were published for alone.
        resamples: for the best overlaps: bootstrap resamples, over images.
        seed: of these resamples.

    Returns:
        Columns method (a row with `` - `` is a difference, of our methods paired), supervision,
        metric, those of :data:`lib.pages.comparison.NUMBERS`, paper; points of 100.
    """
    scores: dict[str, dict[str, Measured]] = {
        method: {
            **{m: over_seeds(voc[method], methodcaller("score", m)) for m in VOC_METRICS},
            ABO: over_seeds(
                best[method], lambda run: abo.score(run, resamples=resamples, seed=seed)
            ),
            **{m: score(coco[method], m) for m in COCO_METRICS},
        }
        for method in voc
    }
    named = claim_id("table1")
    known = {claim.id for claim in claims.claims}
    printed = [{"method": method, "metric": metric} for method in PRINTED for metric in METRICS]
    lines = [line for line in printed if named(line) in known]
    lines += comparison.rows({}, scores, PAIRS)
    if at_scale(claims, "voc", profile):
        lines += _above_printed(scores, claims)
    columns = ("method", "metric", *comparison.NUMBERS)
    table = comparison.tidy(lines, columns, named, claims)
    given = np.where(table["method"] == "pixel_level", "pixel-level", "box-level")
    of_two = comparison.is_difference(table["method"])
    table.insert(1, "supervision", np.where(of_two, "", given))
    return table


def _above_printed(
    scores: Mapping[str, Mapping[str, Measured]], claims: Claims
) -> list[dict[str, Any]]:
    """Return how far HybridNet is above the numbers that others published."""
    expected = {claim.id: claim.expected for claim in claims.claims}
    named = claim_id("table1")
    lines = []
    for other, (metric, ours) in itertools.product(PRINTED, scores["hybrid"].items()):
        printed = expected.get(named({"method": other, "metric": metric}))
        if printed is not None:
            above = comparison.difference(ours - printed / 100)
            lines.append({"method": f"hybrid{LESS}{other}", "metric": metric, **above})
    return lines


def observations(table: pd.DataFrame, *, claims: Claims, backbone: str) -> list[Observation]:
    """Return what the claims of Table 1 are judged by.

    Args:
        table: from :func:`table1`.
        claims: the claims to be judged.
        backbone: of the compared models.
    """
    rows = table[~table["method"].isin(PRINTED)]
    return comparison.observations(
        rows, claim_id("table1"), claims, when=lambda row: may_be_judged(row, backbone)
    )


def beside_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its metrics as columns, below each line the paper's (VOC 2012 val)."""
    coco = {metric: f"{metric} (COCO)" for metric in COCO_METRICS}
    return comparison.beside_paper(table, keys=("method", "supervision")).rename(columns=coco)

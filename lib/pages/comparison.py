"""Tables of methods beside each other and beside the paper: made, shown and judged one way.

A table is tidy: each row is one quantity, with its *place* (method, metric, classes, ...), ``ours``
with its 95 % interval and the ``paper``'s number, in points of 100, and how many ``seeds`` ours
rests on (NaN where nothing was trained). A difference has its two-sided ``p`` too, and how large it
had to be to be ``detectable``. What is a table's own is which rows it has, and which claim speaks
of a row.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lib.metrics.bootstrap import Score
from lib.metrics.claims import Claims, Observation
from lib.metrics.mask_iou import mean_iou
from lib.metrics.seeds import Measured, SeedScores, over_seeds
from lib.pages.tables import points

LESS = " - "
"""Between the names of two methods: the first minus the second."""

NUMBERS = ("ours", "ci_low", "ci_high", "p", "detectable", "seeds")
"""Columns that say what was measured."""

_OBSERVED = ("ours", "ci_low", "ci_high", "seeds", "p", "detectable")

Row = Mapping[Any, Any]

ClaimId = Callable[[Row], str]
"""From a row to the id of the claim that speaks of it; what is no claim's id means that none does.
"""


def rows(
    place: Row, scores: Mapping[str, Mapping[str, Measured]], pairs: Iterable[tuple[str, str]] = ()
) -> list[dict[str, Any]]:
    """Return the rows of each method, then those of the paired difference of each pair.

    Args:
        place: what all these rows share, such as the classes that are judged.
        scores: by method, then by metric.
        pairs: methods to be compared, the first minus the second; those that are not both there
            are passed over.

    Returns:
        The place, method, metric, and of :data:`NUMBERS` what :func:`numbers` or
        :func:`difference` gives; points of 100.
    """
    differences: dict[str, dict[str, Measured]] = {
        first + LESS + second: {
            metric: score - scores[second][metric]
            for metric, score in scores[first].items()
            if metric in scores[second]
        }
        for first, second in pairs
        if first in scores and second in scores
    }
    return [
        {**place, "method": method, "metric": metric, **told(score)}
        for told, some in ((numbers, scores), (difference, differences))
        for method, of in some.items()
        for metric, score in of.items()
    ]


def difference(score: Measured) -> dict[str, float]:
    """Return a difference as the columns :data:`NUMBERS`, in points of 100."""
    return {**numbers(score), "p": score.p, "detectable": 100 * score.detectable}


def numbers(score: Measured) -> dict[str, float]:
    """Return a score as the columns ours, ci_low, ci_high (points of 100) and seeds."""
    seeds = score.seeds if isinstance(score, SeedScores) else float("nan")
    return {**points(score.interval), "seeds": seeds}


def mask_iou_rows(
    place: Row,
    masks: pd.DataFrame,
    chosen: pd.Series,
    pairs: Iterable[tuple[str, str]],
    *,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return :func:`rows` of the mean mask IoU on true boxes, with the number of ``instances``.

    Args:
        place: what these rows share.
        masks: from :func:`lib.metrics.mask_iou.iou_on_boxes`, with a column ``method`` and, where
            something was trained, ``seed``; NaN for a method that was not.
        chosen: which of them are meant; a method without any has a row all the same.
        pairs: methods to be compared.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.
    """

    def score(of: pd.DataFrame) -> Score:
        return mean_iou(of[chosen.loc[of.index]], resamples=resamples, seed=seed)

    scores: dict[str, dict[str, Measured]] = {}
    for method, of in masks.groupby("method", sort=False):
        if "seed" in of and of["seed"].notna().all():
            runs = {number: of[of["seed"] == number] for number in of["seed"].unique()}
            scores[str(method)] = {"mask_IoU": over_seeds(runs, score)}
        else:
            scores[str(method)] = {"mask_IoU": score(of)}
    instances = masks.loc[chosen, "annotation_id"].nunique()
    return rows({**place, "instances": instances}, scores, pairs)


def tidy(
    lines: Iterable[Row], columns: Sequence[str], claim_id: ClaimId, claims: Claims
) -> pd.DataFrame:
    """Return rows as a table, with the paper's number of each in the column ``paper``.

    Args:
        lines: rows; one without ours is a row of the paper alone.
        columns: of the table, without ``paper``, which comes last.
        claim_id: which claim speaks of a row.
        claims: where the paper's numbers come from.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    told = [{**line, "paper": expected.get(claim_id(line))} for line in lines]
    kept = [*columns, "paper"]
    return pd.DataFrame(told, columns=kept).astype(
        {name: float for name in kept if name in (*NUMBERS, "paper")}
    )


def beside_paper(
    table: pd.DataFrame, keys: Sequence[str] = ("method",), *, differences: bool = False
) -> pd.DataFrame:
    """Return a table with its metrics as columns: one line per method, below it the paper's.

    A line stands only where there is a number for it. Columns are the keys, whose, seeds (all
    numbers of a line rest on the same trainings) and the metrics.

    Args:
        table: from :func:`tidy`, with a column ``metric``.
        keys: the columns that tell lines apart.
        differences: whether those of two methods have lines too.
    """
    kept = table if differences else table[~is_difference(table["method"])]
    metrics = list(dict.fromkeys(kept["metric"]))
    lines = []
    for names, part in kept.groupby(list(keys), sort=False):
        values = part.set_index("metric").reindex(metrics)
        of_paper_alone = part["ours"].isna().all() and part["paper"].notna().any()
        for whose in ("ours", "paper"):
            if of_paper_alone if whose == "ours" else values["paper"].isna().all():
                continue
            line: dict[Any, Any] = dict(zip(keys, names, strict=True))
            seeds = part["seeds"].max() if whose == "ours" else math.nan
            lines.append(line | {"whose": whose, "seeds": seeds} | values[whose].to_dict())
    wide = pd.DataFrame(lines, columns=[*keys, "whose", "seeds", *metrics])
    return wide.astype({"seeds": float})


def observations(
    table: pd.DataFrame,
    claim_id: ClaimId,
    claims: Claims,
    *,
    when: Callable[[Row], bool] = lambda row: True,
) -> list[Observation]:
    """Return what the claims on a table's rows are judged by.

    Args:
        table: from :func:`tidy`.
        claim_id: which claim speaks of a row.
        claims: the claims; a row that none of them is on is passed over.
        when: whether a row may be judged, by backbone or data.
    """
    known = {claim.id for claim in claims.claims}
    return [
        Observation(claim_id(row), *(row[name] for name in _OBSERVED))
        for row in table.to_dict("records")
        if claim_id(row) in known and when(row)
    ]


def is_difference(methods: pd.Series) -> pd.Series:
    """Return for each method whether it is the difference of two."""
    return methods.str.contains(LESS, regex=False)


def readable(method: str, names: Mapping[str, str]) -> str:
    """Return a method, or the difference of two, as people read it."""
    return " − ".join(names.get(part, part) for part in method.split(LESS))

"""Ablations as tables: what each setting reaches, and how it differs from its group's default.

The first setting of a group is its default; the others are compared with it in the same resamples
of the images. All tables are tidy and in points of 100.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from lib.metrics.bootstrap import Score

MASK_IOU = "mask_IoU"
"""Mean mask IoU on the true boxes, since it varies less than an AP."""

HEADS = {MASK_IOU: "mask IoU", "AP_ambiguous": "AP amb."}
"""Metric -> as :func:`side_by_side` calls it, where that differs."""

COLUMNS = (
    "group", "setting", "is_default", "metric", "ours", "ci_low", "ci_high",
    "difference", "diff_low", "diff_high",
)  # fmt: skip
"""Columns of :func:`compare`."""


class Judged(NamedTuple):
    """One setting of an ablation; the first of a group is its default.

    Attributes:
        group: what is varied.
        setting: the value that it has here.
        scores: by metric of the table.
    """

    group: str
    setting: str
    scores: Mapping[str, Score]


def compare(judged: Iterable[Judged]) -> pd.DataFrame:
    """Return what each setting reaches, and its paired difference from the default of its group.

    Args:
        judged: the settings, group after group, defaults first. Metrics that the default has no
            score of are left out.

    Returns:
        Columns :data:`COLUMNS`; the difference of a default is NaN.
    """
    defaults: dict[str, Judged] = {}
    lines = []
    for one in judged:
        default = defaults.setdefault(one.group, one)
        for metric, score in one.scores.items():
            if metric not in default.scores:
                continue
            change = (math.nan,) * 3
            if one is not default:
                change = (score - default.scores[metric]).interval.scaled(100)
            place = (one.group, one.setting, one is default, metric)
            lines.append((*place, *score.interval.scaled(100), *change))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def side_by_side(table: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    """Return one line per setting for people: each metric, and beside it what changed.

    Args:
        table: from :func:`compare`.
        groups: group -> as people read it.
    """
    lines = []
    for (group, setting), part in table.groupby(["group", "setting"], sort=False):
        is_first = part["is_default"].iloc[0]  # the group named once is easier to read
        line: dict[str, Any] = {"what": groups[str(group)] if is_first else "", "setting": setting}
        for row in part.to_dict("records"):
            name = HEADS.get(row["metric"], row["metric"])
            line |= {name: row["ours"], f"Δ {name}": row["difference"]}
        lines.append(line)
    return pd.DataFrame(lines)

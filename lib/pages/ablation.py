"""Ablations as tables: what each setting reaches, and how it differs from its group's default.

The first setting of a group is its default; the others are compared with it in the same resamples
of the images. All tables are tidy and in points of 100.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lib.metrics.bootstrap import Interval, Replicates
from lib.metrics.mask_iou import mean_iou
from lib.pages.tables import points

MASK_IOU = "mask_IoU"
"""Mean mask IoU on the true boxes, since it varies less than an AP."""

HEADS = {MASK_IOU: "mask IoU", "AP_ambiguous": "AP amb."}
"""Metric -> as :func:`side_by_side` calls it, where that differs."""

DIFFERENCE = ("difference", "diff_low", "diff_high")

COLUMNS = ("group", "setting", "is_default", "metric", "ours", "ci_low", "ci_high", *DIFFERENCE)
"""Columns of :func:`compare`."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One setting of an ablation; the first of a group is its default.

    Attributes:
        group: what is varied.
        setting: the value that it has here.
        ap: metric of the table -> the resampled AP and the name of the metric in there.
        on_boxes: from :func:`lib.metrics.mask_iou.iou_on_boxes`; None without such masks.
    """

    group: str
    setting: str
    ap: Mapping[str, tuple[Replicates, str]]
    on_boxes: pd.DataFrame | None = None


def compare(judged: Sequence[Judged], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return what each setting reaches, and its paired difference from the default of its group.

    Args:
        judged: the settings, group after group, defaults first.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns :data:`COLUMNS`; the difference of a default is NaN. ``mask_IoU`` is a metric of
        settings that have masks on true boxes.
    """
    defaults: dict[str, Judged] = {}
    lines = []
    for one in judged:
        default = defaults.setdefault(one.group, one)
        for metric, ours, change in _metrics(one, default, resamples=resamples, seed=seed):
            place = {"group": one.group, "setting": one.setting, "is_default": one is default}
            difference = dict.fromkeys(DIFFERENCE, float("nan"))
            if one is not default:
                difference = dict(zip(DIFFERENCE, points(change).values(), strict=True))
            lines.append({**place, "metric": metric, **points(ours), **difference})
    return pd.DataFrame(lines, columns=list(COLUMNS))


def side_by_side(table: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    """Return one line per setting for people: each metric, and beside it what changed.

    Args:
        table: from :func:`compare`.
        groups: group -> as people read it.
    """
    lines = []
    named = set()
    for (group, setting), part in table.groupby(["group", "setting"], sort=False):
        what = "" if group in named else groups[str(group)]  # once is easier to read
        named.add(group)
        line: dict[str, Any] = {"what": what, "setting": setting}
        for row in part.to_dict("records"):
            name = HEADS.get(row["metric"], row["metric"])
            line[name] = row["ours"]
            line[f"Δ {name}"] = row["difference"]
        lines.append(line)
    return pd.DataFrame(lines)


def _metrics(
    one: Judged, default: Judged, *, resamples: int, seed: int
) -> Iterator[tuple[str, Interval, Interval]]:
    """Yield each metric, its interval, and that of its difference from the default."""
    for name, (drawn, metric) in one.ap.items():
        other, _ = default.ap[name]
        ours, base = drawn.score(metric), other.score(metric)
        yield name, ours.interval, (ours - base).interval
    if one.on_boxes is not None and default.on_boxes is not None:
        ours, base = (
            mean_iou(frame, resamples=resamples, seed=seed)
            for frame in (one.on_boxes, default.on_boxes)
        )
        yield MASK_IOU, ours.interval, (ours - base).interval

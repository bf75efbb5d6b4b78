"""Where the prior gains: by the size of an object, and by how much another one's box overlaps it.

Both are read off the labels' boxes, so no model has a say in where an object counts. Objects of
the classes without masks are parted into bins of about equal counts, and in each stand the masks
of both methods on the true boxes, what the prior adds (paired, object by object and seed by seed),
and the two masks that cost no mask head: the filled box, and the map alone. ``table`` is everywhere
what :func:`gain_table` returns.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.data.overlap import objects, overlapping_pairs
from lib.metrics.bootstrap import ImageSums, Score
from lib.metrics.seeds import SeedScores
from lib.opmask.predictions import DIFFERENCE, FILLED, MAP, METHODS, NAMES, TITLES, span
from lib.pages import comparison
from lib.pages.drawing import beside_each_other, handle, intervals
from lib.pages.style import BLACK, COLOURS, FLAT, GREY, SKY, WIDTH

if TYPE_CHECKING:
    from lib.data.coco import CocoSet

BINS = 3
"""Bins of each property."""

SHOWN = {
    FILLED: GREY,
    f"opmask{MAP}": SKY,
    "baseline": COLOURS["baseline"],
    "opmask": COLOURS["opmask"],
}
"""Methods that are drawn, with their colours."""

COMPARED = (FILLED, *(method + MAP for method in METHODS), *METHODS)
"""Methods of the table."""

PROPERTIES = {"side": "side of the box, pixels", "overlap": "IoU with the nearest box"}
"""Property of an object -> as people read it; ``side`` is the root of the box's area."""

ENDS = {"side": ("smallest", "largest"), "overlap": ("least overlapped", "most overlapped")}
"""Property -> what objects of its first and last bin are."""

DIGITS = {"side": 0, "overlap": 2}
"""Property -> decimals of the limits of its bins."""

LAST_LESS_FIRST = "last - first"
"""The bin that is the difference of the last and the first one."""

COLUMNS = (
    "direction", "property", "bin", "low", "high", "instances", "method", "ours", "ci_low",
    "ci_high", "seeds",
)  # fmt: skip


def properties(val: "CocoSet") -> pd.DataFrame:
    """Return side (pixels) and overlap (box IoU with the nearest other, 0 to 1) of all objects.

    By annotation id; crowd regions are no objects.
    """
    some = objects(val)
    boxes = np.array([x.box for x in some], dtype=float).reshape(-1, 4)
    pairs = overlapping_pairs(boxes, np.array([x.image_id for x in some], dtype=np.int64))
    overlap = np.zeros(len(some))
    np.maximum.at(overlap, pairs.host, pairs.iou)
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    ids = pd.Index([x.id for x in some], name="annotation_id")
    return pd.DataFrame({"side": sides, "overlap": overlap}, index=ids)


def parted(values: "pd.Series[float]", count: int = BINS) -> pd.DataFrame:
    """Return the bin of each value, so that bins hold about as many.

    Equal values share a bin: where a third or more of the objects are alone, they are the first.

    Args:
        values: of the objects.
        count: bins; fewer where values are equal.

    Returns:
        bin (from 1), low and high (the least and the largest value of it), indexed as the values.
    """
    inner = values.quantile(np.arange(1, count) / count).unique()
    bins = pd.Series(np.searchsorted(inner, values, side="left"), index=values.index)
    bins = bins.rank(method="dense").astype(int)  # none is empty
    of_bin = values.groupby(bins)
    return pd.DataFrame(
        {"bin": bins, "low": of_bin.transform("min"), "high": of_bin.transform("max")}
    )


def gain_table(
    val: "CocoSet", on_boxes: pd.DataFrame, *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return mask IoU on true boxes and what the prior adds, by side and by overlap.

    Args:
        val: the set.
        on_boxes: from :func:`lib.opmask.mask_iou.masks_on_boxes_frame`.
        resamples: of the images.
        seed: of the resamples.

    Returns:
        Columns direction, property (``side``, ``overlap``), bin (from 1; of ``opmask - baseline``
        also ``last - first``), low, high (the bin's least and largest value), instances, method
        (``opmask - baseline`` is the paired difference), ours, ci_low, ci_high, seeds; of the
        unsupervised classes, points of 100.
    """
    known, lines = properties(val), []
    draws = {"resamples": resamples, "seed": seed}
    chosen = on_boxes["classes"].eq("unsupervised") & on_boxes["method"].isin(COMPARED)
    for direction, rows in on_boxes[chosen].groupby("direction", sort=False):
        if not set(METHODS) <= set(rows["method"]):
            continue
        ids = pd.Index(rows["annotation_id"].unique())
        for name in PROPERTIES:
            bins = parted(known.loc[ids, name])
            place = {"direction": direction, "property": name}
            of = rows["annotation_id"].map(bins["bin"])
            for number, part in bins.groupby("bin"):
                spot = {**place, "bin": number, **part.iloc[0][["low", "high"]]}
                lines += comparison.mask_iou_rows(
                    spot, rows, of == number, [METHODS[::-1]], **draws
                )
            if of.nunique() > 1:
                between = comparison.numbers(_last_less_first(rows, of, **draws))
                lines.append({**place, "bin": LAST_LESS_FIRST, "method": DIFFERENCE, **between})
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _last_less_first(rows: pd.DataFrame, bins: "pd.Series[int]", **draws: Any) -> SeedScores:
    """Return the gain in the last bin minus that in the first, in the same resamples."""
    scores: dict[int, Score] = {}
    for _, of in rows.assign(bin=bins).groupby("seed"):
        wide = of.pivot(index=["image_id", "annotation_id", "bin"], columns="method", values="iou")
        if not set(METHODS) <= set(wide):
            continue  # one of them was trained less often
        gains = (wide["opmask"] - wide["baseline"]).rename("gain").reset_index()
        ends = {"first": gains["bin"] == bins.min(), "last": gains["bin"] == bins.max()}
        parts = {f"{end} gain": gains["gain"].where(there, 0.0) for end, there in ends.items()}
        parts |= {f"{end} count": there.astype(float) for end, there in ends.items()}
        sums = ImageSums(pd.DataFrame(parts).groupby(gains["image_id"]).sum(), **draws)
        first, last = (sums.ratio(f"{end} gain", f"{end} count") for end in ends)
        scores[int(of["seed"].iloc[0])] = last - first
    return SeedScores(scores)


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per bin for people: every method, and what the prior adds."""
    lines = []
    rows = table[table["bin"] != LAST_LESS_FIRST]
    for (direction, name, _), part in rows.groupby(["direction", "property", "bin"], sort=False):
        ours = dict(zip(part["method"], part["ours"], strict=True))
        gain = part[part["method"] == DIFFERENCE].iloc[0]
        lines.append(
            {
                "direction": direction,
                "objects by": PROPERTIES[str(name)],
                "from to": limits(gain),
                "instances": int(gain["instances"]),
                **{NAMES[method]: ours.get(method) for method in COMPARED},
                "gain": gain["ours"],
                "95 %": span(gain.to_dict()),
                "seeds": gain["seeds"],
            }
        )
    return pd.DataFrame(lines)


def limits(row: "pd.Series[Any]") -> str:
    """Return the least and the largest value of a bin as people read them."""
    low, high = (f"{row[end]:.{DIGITS[row['property']]}f}" for end in ("low", "high"))
    return low if low == high else f"{low}–{high}"


def gain_line(table: pd.DataFrame) -> str:
    """Return what the prior adds in the first and the last bin of each property, as a sentence."""
    gains, parts = table[table["method"] == DIFFERENCE], []
    for direction, of in gains.groupby("direction", sort=False):
        told = []
        for name, rows in of.groupby("property", sort=False):
            bins = rows[rows["bin"] != LAST_LESS_FIRST]
            between = rows[rows["bin"] == LAST_LESS_FIRST].to_dict("records")
            if between:
                first, last = (f"{bins['ours'].iloc[i]:+z.1f}" for i in (0, -1))
                least, most = ENDS[str(name)]
                told.append(
                    f"{least} {first}, {most} {last} (difference {between[0]['ours']:+z.1f}, "
                    f"{span(between[0]) or 'no interval'})"
                )
        if told:
            parts.append(f"{TITLES[str(direction)]}, {'; '.join(told)}")
    if not parts:
        return "Nothing to compare: no direction has both a baseline and an OPMask."
    text = ". ".join(parts).replace(" -", " \u2212")
    return f"What the prior adds to the mask IoU of classes without masks, in points: {text}."


def gain_figure(table: pd.DataFrame) -> Figure | None:
    """Draw every bin's mask IoU (above) and what the prior adds (below), with intervals."""
    rows = table[table["bin"] != LAST_LESS_FIRST]
    if rows.empty:
        return None
    places = list(rows.groupby(["direction", "property"], sort=False))
    figure, panels = plt.subplots(
        2, len(places), figsize=(WIDTH, FLAT * 1.5), sharex="col", sharey="row", squeeze=False
    )
    for above, below, ((direction, name), part) in zip(*panels, places, strict=True):
        order = list(dict.fromkeys(part["bin"]))
        beside_each_other(above, part, "bin", order, series="method", colours=SHOWN)
        gains = part[part["method"] == DIFFERENCE]
        intervals(below, np.arange(len(gains)), gains, BLACK, upright=True)
        below.axhline(0, color="black", linewidth=1)
        below.set_xticks(range(len(order)), [limits(row) for _, row in gains.iterrows()])
        below.tick_params(axis="x", labelsize=7)
        below.set_xlabel(PROPERTIES[str(name)], fontsize=8)
        above.set_title(TITLES[str(direction)], fontsize=9)
        for axes in (above, below):
            axes.set_xlim(-0.5, len(order) - 0.5)
            axes.grid(axis="x", visible=False)
    panels[0][0].set_ylabel("mask IoU, points")
    panels[1][0].set_ylabel("OPMask − baseline")
    handles = [handle(colour, NAMES[method]) for method, colour in SHOWN.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure

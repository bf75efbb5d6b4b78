"""Which pseudo-masks are invalid: paper A's Fig. 1, its percentages, and an audit of them.

Notation, for boxes counted over a set: N all, S small, L large, I invalid, Iₛ and Iₗ the invalid
small and large ones. Paper A, Sec. 1 prints Iₛ/I = 55.54 %, Iₛ/S = 76.48 %, Iₗ/L = 23.20 % and
says that I/N "can reach 30 %".
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.data.coco import CocoSet, Instance
from lib.masks import rle
from lib.masks.pseudo import boxes_of
from lib.masks.quality import SMALL_SIDE, VALID_FROM
from lib.metrics.bootstrap import ImageSums
from lib.metrics.claims import Observation
from lib.metrics.data_statistics import SIZE_EDGES

QUANTITIES = {
    "A.fig1.invalid_rate": "I / N",
    "A.fig1.small_share_of_invalid": "Iₛ / I",
    "A.fig1.small_invalid_rate": "Iₛ / S",
    "A.fig1.large_invalid_rate": "Iₗ / L",
    "small_share": "S / N",
    "A.fig1.small_fail_more_often": "Iₛ / S - Iₗ / L",
    "A.fig1.small_majority_of_invalid": "Iₛ / I - 1/2",
}
"""The quantities: claim id (or a name, where the paper claims nothing) and formula, which is what
:func:`shares` goes by."""

LABELS = {
    "A.fig1.invalid_rate": "invalid, of all boxes",
    "A.fig1.small_share_of_invalid": "small, of the invalid ones",
    "A.fig1.small_invalid_rate": "invalid, of the small ones",
    "A.fig1.large_invalid_rate": "invalid, of the large ones",
    "small_share": "small, of all boxes",
    "A.fig1.small_fail_more_often": "small fail more often by",
    "A.fig1.small_majority_of_invalid": "small, of the invalid, above half by",
}
"""The quantities in words."""


def frame_of(pseudo: CocoSet, truth: CocoSet | None = None) -> pd.DataFrame:
    """Return one row per box of a pseudo-mask file.

    Args:
        pseudo: written by `lib.masks.pseudo.generate`.
        truth: the same boxes with true masks, where there are any.

    Returns:
        Columns ``annotation_id``, ``image_id``, ``category``, ``x1 y1 x2 y2`` (pixels),
        ``box_area``, ``longer_side``, ``mask_area`` (of the pseudo-mask), ``true_area`` (of the
        true mask; NaN where unknown), ``box_iou``, ``valid``, ``difficult`` (False where the file
        does not say).

    Raises:
        ValueError: if there is no box.
    """
    sizes = {image.id: (image.height, image.width) for image in pseudo.images}
    true_areas = _true_areas(truth, sizes) if truth is not None else {}
    rows: list[dict[str, Any]] = []
    for instance in boxes_of(pseudo.all_instances()):
        quality = instance.pseudo or {}
        x1, y1, x2, y2 = instance.box
        rows.append(
            {
                "annotation_id": instance.id,
                "image_id": instance.image_id,
                "category": pseudo.categories.name_of(instance.label),
                "x1": x1,
                "y1": y1,
                "x2": x2,
                "y2": y2,
                "box_area": (x2 - x1) * (y2 - y1),
                "longer_side": max(x2 - x1, y2 - y1),
                "mask_area": rle.area(instance.segmentation, *sizes[instance.image_id]),
                "true_area": true_areas.get(instance.id, math.nan),
                "box_iou": float(quality["box_iou"]),
                "valid": bool(quality["valid"]),
                "difficult": bool(instance.extra.get("difficult", 0)),
            }
        )
    if not rows:
        raise ValueError(f"{pseudo.annotations_path} has no box: nothing can be counted.")
    return pd.DataFrame(rows)


def is_small(frame: pd.DataFrame, definition: str, side: int = SMALL_SIDE) -> pd.Series:
    """Return which rows are small, for one reading of "size less than 64 x 64 pixels".

    Args:
        frame: of `frame_of`.
        definition: ``box_area`` (width x height < side²), ``longer_side`` (both sides < side) or
            ``true_area`` (pixels of the true mask < side²; rows without one count as not small and
            should be left out before).
        side: pixels.
    """
    limit = side if definition == "longer_side" else side**2
    return frame[definition] < limit


def shares(
    frame: pd.DataFrame,
    *,
    definition: str = "box_area",
    side: int = SMALL_SIDE,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the shares of `QUANTITIES`, and two differences, with intervals over images.

    Boxes of one image are not independent, so whole images are drawn with replacement.

    Args:
        frame: of `frame_of`.
        definition: of small; see `is_small`.
        side: of small, pixels.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Columns ``quantity``, ``label``, ``formula``, ``estimate``, ``ci_low``, ``ci_high``, ``p``
        and ``detectable`` (of a difference, see `lib.metrics.significance`), ``boxes`` (how many
        the share is of; of a difference, all). NaN where that is 0. The ends are NaN if the
        denominators are on fewer than four images.
    """
    small, invalid = is_small(frame, definition, side), ~frame["valid"]
    cells = pd.DataFrame(
        {
            "N": True, "S": small, "L": ~small,
            "I": invalid, "Iₛ": invalid & small, "Iₗ": invalid & ~small,
        }
    )  # fmt: skip
    per_image = cells.groupby(frame["image_id"]).sum()
    sums = ImageSums(per_image, resamples=resamples, seed=seed)
    rows = []
    for quantity, formula in QUANTITIES.items():
        share, *less = formula.split(" - ")
        score, of = sums.ratio(*share.split(" / ")), share.split(" / ")[1]
        test = (math.nan, math.nan)
        if less == ["1/2"]:
            score -= 0.5
        elif less:
            score, of = score - sums.ratio(*less[0].split(" / ")), "N"
        if less:
            test = (score.p, score.detectable)
        found = (quantity, LABELS[quantity], formula, *score.interval, *test)
        rows.append((*found, int(cells[of].sum())))
    columns = ["quantity", "label", "formula", "estimate", "ci_low", "ci_high", "p", "detectable"]
    return pd.DataFrame(rows, columns=[*columns, "boxes"])


def by_category(frame: pd.DataFrame) -> pd.DataFrame:
    """Return boxes, small share, invalid share and median box IoU of each class, hardest first."""
    marked = frame.assign(small=is_small(frame, "box_area"), invalid=~frame["valid"])
    table = marked.groupby("category", as_index=False).agg(
        boxes=("valid", "size"),
        small_share=("small", "mean"),
        invalid_share=("invalid", "mean"),
        median_box_iou=("box_iou", "median"),
    )
    return table.sort_values(["invalid_share", "category"], ascending=[False, True])


def shape(table: pd.DataFrame) -> tuple[float, float, float]:
    """Return S/N, Iₛ/S and Iₗ/L of `shares`, with 0 for what is unknown: what a mosaic shows."""
    found = dict(zip(table["quantity"], table["estimate"].fillna(0), strict=True))
    names = ("small_share", "A.fig1.small_invalid_rate", "A.fig1.large_invalid_rate")
    small, of_small, of_large = (float(found[name]) for name in names)
    return small, of_small, of_large


def observations(table: pd.DataFrame, *, side: int, valid_from: float) -> list[Observation]:
    """Return the rows of `shares` that paper A makes a claim about.

    Its claims speak of its own definitions of small and of valid: with others there is none.
    """
    if (side, valid_from) != (SMALL_SIDE, VALID_FROM):
        return []
    return [
        Observation(
            row["quantity"],
            row["estimate"],
            row["ci_low"],
            row["ci_high"],
            p=row["p"],
            detectable=row["detectable"],
        )
        for row in table.to_dict("records")
        if row["quantity"].startswith("A.")
    ]


def variants(frame: pd.DataFrame, *, side: int, resamples: int, seed: int) -> pd.DataFrame:
    """Return `shares` for every reading of "small" and of which boxes count.

    Readings that need what the set does not have (true masks, the flag "difficult") are left out.

    Returns:
        The columns of `shares`, after ``variant`` (in words); the main reading comes first.
    """
    known = frame[frame["true_area"].notna()]
    easy = frame[~frame["difficult"]]
    readings = [
        (f"box area < {side} x {side}", frame, "box_area"),
        (f"both sides < {side}", frame, "longer_side"),
        (f"box area < {side} x {side}, without difficult", easy, "box_area"),
        (f"box area < {side} x {side}, with a true mask", known, "box_area"),
        (f"true mask area < {side} x {side}", known, "true_area"),
    ]
    tables = []
    for name, rows, definition in readings:
        redundant = "difficult" in name and len(rows) == len(frame)
        redundant |= "with a true mask" in name and len(rows) == len(frame)
        if len(rows) and not redundant:
            table = shares(rows, definition=definition, side=side, resamples=resamples, seed=seed)
            tables.append(table.assign(variant=name))
    result = pd.concat(tables, ignore_index=True)
    return result[["variant", *(c for c in result.columns if c != "variant")]]


def beside_paper(table: pd.DataFrame, expected: Mapping[str, float | None]) -> pd.DataFrame:
    """Return the table with a column ``paper``: what paper A states, by claim id, or NaN."""
    stated = [expected.get(quantity) for quantity in table["quantity"]]
    return table.assign(paper=pd.Series(stated, index=table.index, dtype=float))


def histogram(frame: pd.DataFrame, *, side: int = SMALL_SIDE) -> pd.DataFrame:
    """Return valid and invalid boxes by size: the data of paper A's Fig. 1.

    Args:
        frame: of `frame_of`.
        side: of small, pixels: always an edge, so that no bin holds both small and large boxes.

    Returns:
        Columns ``size_from``, ``size_to`` (square root of the box area, pixels; the last edge is
        infinite), ``boxes``, ``invalid``, ``invalid_share`` (of the bin;
        NaN if it is empty), ``share_of_invalid`` (of all invalid boxes; NaN if there is none).
    """
    edges = sorted({*SIZE_EDGES, side})
    bins = pd.cut(np.sqrt(frame["box_area"]), edges, right=False)
    counts = frame["valid"].groupby(bins, observed=False).agg(["size", "sum"])
    boxes, valid = (counts[name].reset_index(drop=True) for name in ("size", "sum"))
    invalid = boxes - valid
    return pd.DataFrame(
        {
            "size_from": edges[:-1],
            "size_to": edges[1:],
            "boxes": boxes,
            "invalid": invalid,
            "invalid_share": invalid / boxes,
            "share_of_invalid": invalid / invalid.sum(),
        }
    )


def _true_areas(truth: CocoSet, sizes: dict[int, tuple[int, int]]) -> dict[int, int]:
    with_mask: list[Instance] = [i for i in truth.all_instances() if i.has_mask]
    return {i.id: rle.area(i.segmentation, *sizes[i.image_id]) for i in with_mask}

"""Whether the fast method's masks are those of GrabCut on the whole image, up to chance.

GrabCut starts from a random k-means, so two runs of the very same method differ: how far two seeds
of the whole-image method agree is what the fast method's agreement with it is held against.
"""

from functools import partial

import numpy as np
import pandas as pd

from lib.bench.mask_boxes import RUNS, Sums, by_size, over_images
from lib.bench.masks import EXACT, FAST, OTHER_SEED
from lib.hybridnet import fig1
from lib.masks.quality import SMALL_SIDE

VALID, MASKS, TRUE = "valid or invalid", "mask IoU", "IoU with the true mask"
"""What agreement is measured by."""


def agreement_table(boxes: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return how far the fast method agrees with the exact one, beside two seeds of the latter.

    Args:
        boxes: of `lib.bench.mask_boxes.boxes_of`.
        resamples: of the bootstrap, over images.
        seed: of the bootstrap.

    Returns:
        Columns ``measure``, ``size``, ``boxes``, ``exact``, ``fast``, ``difference`` (fast minus
        exact), ``ci_low``, ``ci_high`` (of the difference); fractions of 1. By ``valid or
        invalid`` (share of boxes on which both say the same) and ``mask IoU`` (mean), ``exact`` is
        the agreement of its two seeds and ``fast`` that of fast and exact, with the same seed. By
        ``IoU with the true mask``, each is its own mean, ``exact`` that of both seeds; no row if
        no box has a true mask.
    """
    same = {name: boxes[f"valid_{name}"] == boxes[f"valid_{EXACT}"] for name in (OTHER_SEED, FAST)}
    true = boxes[[f"true_iou_{EXACT}", f"true_iou_{OTHER_SEED}"]].mean(axis=1)
    sides = {
        VALID: (same[OTHER_SEED].astype(float), same[FAST].astype(float)),
        MASKS: (boxes["mask_iou_seeds"], boxes["mask_iou_fast"]),
        TRUE: (true, boxes[f"true_iou_{FAST}"]),
    }
    rows = []
    for measure, (exact, fast) in sides.items():
        known = boxes[["image_id", "size"]].assign(exact=exact, fast=fast).dropna()
        for size, part in by_size(known):
            difference = over_images(
                part["image_id"],
                part[["exact", "fast"]].assign(boxes=1),
                lambda sums: (sums["fast"] - sums["exact"]) / sums["boxes"],
                resamples=resamples,
                seed=seed,
            )
            rows.append(
                {
                    "measure": measure,
                    "size": size,
                    "boxes": len(part),
                    "exact": part["exact"].mean(),
                    "fast": part["fast"].mean(),
                    "difference": difference.estimate,
                    "ci_low": difference.low,
                    "ci_high": difference.high,
                }
            )
    return pd.DataFrame(rows)


def fig1_table(boxes: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the percentages of paper A's Fig. 1 from the masks of each run.

    Args:
        boxes: of `lib.bench.mask_boxes.boxes_of`.
        resamples: of the bootstrap, over images.
        seed: of the bootstrap.

    Returns:
        Columns ``label``, ``formula`` (see `lib.hybridnet.fig1.QUANTITIES`), ``exact``,
        ``other_seed``, ``fast``, ``difference`` (fast minus exact), ``ci_low``, ``ci_high`` (of
        the difference); fractions of 1, NaN where there is nothing to take a share of.
    """
    small = boxes["box_area"] < SMALL_SIDE**2
    parts = pd.DataFrame({"N": 1, "S": small, "L": ~small}, dtype=float)
    for name in RUNS:
        invalid = ~boxes[f"valid_{name}"]
        parts[f"I {name}"], parts[f"Is {name}"] = invalid, invalid & small
        parts[f"Il {name}"] = invalid & ~small
    shares = {
        "A.fig1.invalid_rate": ("I", "N"),
        "A.fig1.small_share_of_invalid": ("Is", "I"),
        "A.fig1.small_invalid_rate": ("Is", "S"),
        "A.fig1.large_invalid_rate": ("Il", "L"),
    }

    def share(sums: Sums, above: str, below: str, run: str) -> np.ndarray:
        whole = sums[f"{below} {run}"] if below == "I" else sums[below]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(whole > 0, sums[f"{above} {run}"] / whole, np.nan)

    def difference(sums: Sums, above: str, below: str) -> np.ndarray:
        return share(sums, above, below, FAST) - share(sums, above, below, EXACT)

    totals = {name: parts[name].to_numpy(float).sum() for name in map(str, parts.columns)}
    rows = []
    for quantity, (above, below) in shares.items():
        values = {run: float(share(totals, above, below, run)) for run in RUNS}
        gap = over_images(
            boxes["image_id"],
            parts,
            partial(difference, above=above, below=below),
            resamples=resamples,
            seed=seed,
        )
        rows.append(
            {
                "label": fig1.LABELS[quantity],
                "formula": fig1.QUANTITIES[quantity],
                **values,
                "difference": gap.estimate,
                "ci_low": gap.low,
                "ci_high": gap.high,
            }
        )
    return pd.DataFrame(rows)

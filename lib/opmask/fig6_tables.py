"""Tables and claims of paper B's Fig. 6, from runs: AP over the number of classes with masks."""

from typing import TYPE_CHECKING

import pandas as pd

from lib.metrics.claims import Observation
from lib.opmask.fig6 import (
    DIFFERENCE,
    PLOTTED,
    SPLITS,
    Ratio,
    make_ratios,
    smallest_gain,
)
from lib.opmask.trained import (
    METHODS,
    SETTINGS,
    TITLES,
    Results,
    Run,
    Runs,
    backbone,
    pairs,
)

if TYPE_CHECKING:
    from lib.metrics.claims import Claims

VARIANTS = tuple(f"{method}.{split}" for split in SPLITS for method in METHODS)
"""The runs that the figure is made of."""

SPLIT_NAMES = {"voc": "VOC", "official_40": "40 list", "non_voc": "non-VOC", "all": "all"}
"""Supervised split -> as people read it."""

PAPER = {
    "voc": "B.table2.voc_to_nonvoc.AP.opmask_above_baseline",
    "non_voc": "B.table2.nonvoc_to_voc.AP.opmask_above_baseline",
    "all": "B.fig6.full.gain",
}
"""Split -> claim that has the gain that the paper prints for it; Fig. 6 itself has no numbers."""


def compared(runs: Runs) -> dict[str, dict[str, Run]]:
    """Return the paper's splits in which both methods were run: split -> method -> run."""
    there = pairs(runs)
    return {split: there[SETTINGS[split]] for split in SPLITS if SETTINGS[split] in there}


def ratios(runs: Runs, results: Results, *, resamples: int, seed: int) -> list[Ratio]:
    """Return the class ratios that were run.

    Args:
        runs: from :func:`lib.opmask.trained.read_runs`.
        results: mask AP by variant.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Raises:
        ValueError: if both methods were run at no ratio.
    """
    there = compared(runs)
    if not there:
        raise ValueError(
            "At no class ratio were both methods trained, so there is nothing to compare. Train "
            "them with\n  python run_all.py --only 06_train_opmask"
        )
    return make_ratios(
        {
            split: (results[pair["baseline"].variant], results[pair["opmask"].variant])
            for split, pair in there.items()
        },
        {split: pair["opmask"].supervised for split, pair in there.items()},
        resamples=resamples,
        seed=seed,
    )


def with_paper(table: pd.DataFrame, claims: "Claims") -> pd.DataFrame:
    """Return the table with the paper's gain beside ours, on the classes that it plots.

    Args:
        table: from :func:`lib.opmask.fig6.ratio_table`.
        claims: the list of claims.
    """
    expected = {claim.id: claim.expected for claim in claims.claims}
    printed = table["split"].map({split: expected[claim] for split, claim in PAPER.items()})
    shown = (table["method"] == DIFFERENCE) & (table["classes"] == PLOTTED)
    return table.assign(paper=printed.astype(float).where(shown))


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per ratio and group of classes: AP of both methods, and the gain.

    Groups that are the same classes have one line: with masks of all classes there is only ``all``.

    Args:
        table: from :func:`with_paper`.
    """
    lines = []
    for (split, group), part in table.groupby(["split", "classes"], sort=False):
        if group == PLOTTED or (split == "all" and group != "all"):
            continue
        of = part.set_index("method")
        plotted = group == ("all" if split == "all" else "unsupervised")
        printed = table.loc[(table["split"] == split) & plotted, "paper"]
        lines.append(
            {
                "masks of": split,
                "number": part["classes_with_masks"].iloc[0],
                "judged on": group,
                "classes": part["judged"].iloc[0],
                **{method: of.loc[method, "ours"] for method in METHODS},
                "gain": of.loc[DIFFERENCE, "ours"],
                "ci_low": of.loc[DIFFERENCE, "ci_low"],
                "ci_high": of.loc[DIFFERENCE, "ci_high"],
                "paper_gain": printed.max(),
            }
        )
    return pd.DataFrame(lines)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of :func:`side_by_side` with splits as people read them."""
    return table.replace({"masks of": SPLIT_NAMES})


def missing_line(made: list[Ratio]) -> str:
    """Return a sentence on the ratios of the paper that were run, and those that were not."""
    there = {ratio.split for ratio in made}
    missing = [TITLES[SETTINGS[split]] for split in SPLITS if split not in there]
    line = f"{len(made)} of the paper's {len(SPLITS)} class ratios were run with both methods."
    if missing:
        line += f" Left out here: {', '.join(missing)}."
    return line


def observations(made: list[Ratio], runs: Runs) -> list[Observation]:
    """Return what the claims of Fig. 6 are judged by.

    That OPMask is better at every ratio is judged only where all of the paper's were run.

    Args:
        made: from :func:`ratios`.
        runs: those that they were made from.
    """
    seen = []
    for ratio in made:
        if ratio.split == "all":
            gain = ratio.intervals("all")[DIFFERENCE].scaled(100)
            seen.append(Observation("B.fig6.full.opmask_above_baseline", *gain))
            pair = compared(runs)["all"]
            if backbone({run.variant: run for run in pair.values()}) == "resnet50":
                seen.append(Observation("B.fig6.full.gain", *gain))
    if {ratio.split for ratio in made} == set(SPLITS):
        smallest = smallest_gain(made).scaled(100)
        seen.append(Observation("B.fig6.opmask_above_baseline_at_every_ratio", *smallest))
    return seen

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lib.data.coco import CocoSet
from lib.metrics.claims import load_claims
from lib.opmask import fig6_figure as figures
from lib.opmask import fig6_tables as tables
from lib.opmask.fig6 import SPLITS, Ratio, ratio_table, smallest_gain
from lib.opmask.trained import Runs
from tests.opmask import prior

DRAWS = {"resamples": 60, "seed": 0}


@pytest.fixture(autouse=True)
def no_windows() -> None:
    mpl.use("agg")


@pytest.fixture(scope="module")
def val() -> CocoSet:
    return prior.make_set()


@pytest.fixture(scope="module")
def runs(val: CocoSet) -> Runs:
    return prior.make_runs(val, *SPLITS)


@pytest.fixture(scope="module")
def made(val: CocoSet, runs: Runs) -> list[Ratio]:
    return tables.ratios(runs, prior.judged(val, runs), **DRAWS)


@pytest.fixture(scope="module")
def table(made: list[Ratio]) -> pd.DataFrame:
    return tables.with_paper(ratio_table(made), load_claims())


def test_the_papers_gains_stand_beside_the_classes_that_it_plots(table: pd.DataFrame) -> None:
    printed = table.dropna(subset=["paper"])
    assert printed.set_index("split")["paper"].to_dict() == {
        "voc": 13.0, "non_voc": 10.1, "all": 1.6,
    }  # fmt: skip
    assert set(printed["classes"]) == {"plotted"}
    assert set(printed["method"]) == {"opmask - baseline"}


def test_lines_of_the_same_classes_are_shown_once(table: pd.DataFrame) -> None:
    lines = tables.side_by_side(table)
    places = list(zip(lines["masks of"], lines["judged on"], strict=True))
    groups = ("unsupervised", "supervised", "all")
    expected = {(split, group) for split in SPLITS[:3] for group in groups} | {("all", "all")}
    assert set(places) == expected and len(places) == len(expected)
    np.testing.assert_allclose(lines["gain"], lines["opmask"] - lines["baseline"])
    printed = lines.set_index(["masks of", "judged on"])["paper_gain"].dropna().to_dict()
    assert printed == {
        ("voc", "unsupervised"): 13.0, ("non_voc", "unsupervised"): 10.1, ("all", "all"): 1.6,
    }  # fmt: skip
    assert set(tables.named(lines)["masks of"]) == {"VOC", "40 list", "non-VOC", "all"}


def test_runs_that_do_not_exist_are_left_out_and_said(val: CocoSet, runs: Runs) -> None:
    fewer = {v: run for v, run in runs.items() if run.split != "official_40" and v != "opmask.all"}
    made = tables.ratios(fewer, prior.judged(val, fewer), **DRAWS)
    assert [ratio.split for ratio in made] == ["voc", "non_voc"]
    assert tables.missing_line(made) == (
        "2 of the paper's 4 class ratios were run with both methods. Left out here: 40 classes → "
        "others, masks of all classes."
    )
    assert tables.observations(made, fewer) == []
    shown = tables.with_paper(ratio_table(made), load_claims())
    ticks = figures.class_ratio(shown).axes[3].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["3 of 6\nVOC", "3 of 6\nnon-VOC"]
    plt.close("all")
    with pytest.raises(ValueError, match="At no class ratio were both methods trained"):
        tables.ratios({"opmask.voc": runs["opmask.voc"]}, {}, **DRAWS)


def test_every_ratio_is_judged_by_the_smallest_gain(
    val: CocoSet, runs: Runs, made: list[Ratio], table: pd.DataFrame
) -> None:
    seen = {o.id.removeprefix("B.fig6."): o for o in tables.observations(made, runs)}
    assert set(seen) == {"full.opmask_above_baseline", "opmask_above_baseline_at_every_ratio"}
    gains = table[(table["classes"] == "plotted") & (table["method"] == "opmask - baseline")]
    least = seen["opmask_above_baseline_at_every_ratio"]
    assert least.observed == pytest.approx(gains["ours"].min())
    assert (least.ci_low, least.ci_high) == smallest_gain(made).scaled(100)[1:]
    full = gains.set_index("split").loc["all"]
    assert seen["full.opmask_above_baseline"].observed == pytest.approx(full["ours"])

    deep = prior.make_runs(val, "all", backbone="resnet50")
    some = tables.ratios(deep, prior.judged(val, deep), **DRAWS)
    ids = {o.id for o in tables.observations(some, deep)}
    assert ids == {"B.fig6.full.opmask_above_baseline", "B.fig6.full.gain"}
    assert ids <= {claim.id for claim in load_claims().claims}


def test_the_figure_draws_every_value_of_the_table(table: pd.DataFrame) -> None:
    figure = figures.class_ratio(table)
    above, below = figure.axes[:3], figure.axes[3:]
    for group, top, bottom in zip(figures.PANELS, above, below, strict=True):
        part = table[table["classes"] == group]
        drawn = [y for c in top.collections for _, y in c.get_offsets() if len(c.get_offsets())]
        expected = part.loc[part["method"] != "opmask - baseline", "ours"]
        assert set(np.round(expected, 6)) <= set(np.round(drawn, 6))
        gains = [y for c in bottom.collections for _, y in np.ma.filled(c.get_offsets(), np.nan)]
        wanted = part.loc[part["method"] == "opmask - baseline", "ours"]
        assert set(np.round(wanted, 6)) <= set(np.round(gains, 6))
    # Points of different classes are not joined: only the panel of all classes has lines.
    assert [len(axes.lines) for axes in above] == [0, 0, 2]
    plt.close("all")

"""Fig. 6 of paper B: AP and gains over the number of classes with masks, on a small made set."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from lib.data.coco import CocoSet
from lib.metrics.bootstrap import Score, resample
from lib.metrics.claims import load_claims
from lib.metrics.coco_ap import evaluate
from lib.opmask import fig6
from lib.opmask.predictions import DIFFERENCE, METHODS, Models, Results
from tests.fixtures.opmask import one
from tests.opmask import graded

DRAWS = {"resamples": 60, "seed": 0}


@pytest.fixture(scope="module")
def val() -> CocoSet:
    return graded.make_set()


@pytest.fixture(scope="module")
def models(val: CocoSet) -> Models:
    return graded.make_models(val, *fig6.SPLITS)


@pytest.fixture(scope="module")
def results(val: CocoSet, models: Models) -> Results:
    return graded.judged(val, models)


@pytest.fixture(scope="module")
def made(models: Models, results: Results) -> list[fig6.Ratio]:
    return fig6.ratios(models, results, **DRAWS)


@pytest.fixture(scope="module")
def table(made: list[fig6.Ratio]) -> pd.DataFrame:
    return fig6.ratio_table(made, load_claims())


def test_values_are_those_of_judging_each_group_of_classes_alone(
    val: CocoSet, models: Models, results: Results, table: pd.DataFrame
) -> None:
    for split in fig6.SPLITS:
        given = val.categories.split(split)
        rest = val.categories.labels - given
        groups = {"supervised": given, "unsupervised": rest, "all": given | rest}
        for group, labels in {**groups, fig6.PLOTTED: rest or given}.items():
            if not labels:
                assert not ((table["split"] == split) & (table["classes"] == group)).any()
                continue
            where = {"split": split, "classes": group}
            found = models[f"opmask.{split}"].first.detections
            alone = evaluate(val, found, iou_type="segm", labels=labels).value("AP")
            row = one(table, **where, method="opmask")
            assert row["ours"] == pytest.approx(100 * alone) and row["judged"] == len(labels)
            ours, base = (
                resample(results[f"{method}.{split}"][0].select(labels), **DRAWS).score("AP")
                for method in ("opmask", "baseline")
            )
            gain = one(table, **where, method=DIFFERENCE)[["ours", "ci_low", "ci_high"]]
            assert gain.tolist() == pytest.approx((ours - base).interval.scaled(100))
    assert table["classes_with_masks"].is_monotonic_increasing


def test_the_papers_gains_stand_beside_the_classes_that_it_plots(table: pd.DataFrame) -> None:
    printed = table.dropna(subset=["paper"])
    gains = {"voc": 13.0, "non_voc": 10.1, "all": 1.6}
    assert printed.set_index("split")["paper"].to_dict() == gains
    assert set(printed["classes"]) == {fig6.PLOTTED} and set(printed["method"]) == {DIFFERENCE}
    lines = fig6.side_by_side(table)  # where the same classes stand once
    assert len(lines) == 3 * 3 + 1
    np.testing.assert_allclose(lines["gain"], lines["opmask"] - lines["baseline"])
    shown = lines.dropna(subset=["paper_gain"]).set_index("masks of")
    assert shown["paper_gain"].to_dict() == {fig6.SPLITS[k]: gain for k, gain in gains.items()}
    assert shown["judged on"].tolist() == ["unsupervised", "unsupervised", "all"]


def test_models_that_do_not_exist_are_left_out_and_said(models: Models, results: Results) -> None:
    fewer = {v: m for v, m in models.items() if m.split != "official_40" and v != "opmask.all"}
    made = fig6.ratios(fewer, results, **DRAWS)
    assert [ratio.split for ratio in made] == ["voc", "non_voc"]
    assert "40 classes → others, masks of all classes" in fig6.missing_line(made)
    assert fig6.observations(made) == []
    with pytest.raises(ValueError, match="At no class ratio were both methods trained"):
        fig6.ratios({"opmask.voc": models["opmask.voc"]}, {}, **DRAWS)


def test_every_ratio_is_judged_by_the_smallest_gain(
    val: CocoSet, made: list[fig6.Ratio], table: pd.DataFrame
) -> None:
    seen = {o.id.removeprefix("B.fig6."): o for o in fig6.observations(made)}
    assert set(seen) == {"full.opmask_above_baseline", "opmask_above_baseline_at_every_ratio"}
    gains = table[(table["classes"] == fig6.PLOTTED) & (table["method"] == DIFFERENCE)]
    least = seen["opmask_above_baseline_at_every_ratio"]
    assert least.observed == pytest.approx(gains["ours"].min())
    assert least.ci_low == pytest.approx(gains["ci_low"].min())
    highs = [np.percentile(ratio.gain.scores[0].resampled, 100 - 2.5 / 4) for ratio in made]
    assert least.ci_high == pytest.approx(100 * min(highs))
    assert least.p == fig6.smallest_p([ratio.gain for ratio in made])
    assert least.detectable == pytest.approx(gains["detectable"].max())
    full = one(gains, split="all")
    assert seen["full.opmask_above_baseline"].observed == pytest.approx(full["ours"])

    deep = graded.make_models(val, "all", backbone="resnet50")
    ids = {o.id for o in fig6.observations(fig6.ratios(deep, graded.judged(val, deep), **DRAWS))}
    assert ids == {"B.fig6.full.opmask_above_baseline", "B.fig6.full.gain"}
    assert ids <= {claim.id for claim in load_claims().claims}


def gain_of(estimate: float, resampled: np.ndarray, images: int = 50) -> Score:
    return Score(estimate, resampled, images, "the same images")


def verdicts(truth: list[float], *, cases: int = 300) -> tuple[float, float]:
    """Return how often independent gains of standard error 1 say "holds", and "fails"."""
    spread = stats.norm.ppf((np.arange(800) + 0.5) / 800)  # an ideal bootstrap
    seen = np.random.default_rng(11).normal(truth, 1, size=(cases, len(truth)))
    found = [fig6.smallest([gain_of(gain, gain + spread) for gain in row]) for row in seen]
    low, high = (np.array([getattr(of, side) for of in found]) for side in ("low", "high"))
    p = [fig6.smallest_p([gain_of(gain, gain + spread) for gain in row]) for row in seen]
    assert ((np.array(p) < 0.05) == ((low > 0) | (high < 0))).all()
    return float(np.mean(low > 0)), float(np.mean(high < 0))


@pytest.mark.parametrize("truth", [[0.0] * 4, [0.5] * 4, [0.0, 9.0, 9.0, 9.0]])
def test_gains_on_the_border_are_rarely_decided(truth: list[float]) -> None:
    """At most 2.5 % on either side; above that only by the chance of 300 cases."""
    holds, fails = verdicts(truth)
    assert holds < 0.045 and fails < 0.045


def test_clear_gains_are_decided() -> None:
    assert verdicts([5.0] * 4)[0] > 0.95
    assert verdicts([9.0, 9.0, 9.0, -5.0])[1] > 0.95
    assert verdicts([9.0, 9.0, 9.0, 9.0]) == (1, 0)


def test_a_gain_without_an_interval_leaves_the_smallest_without_one() -> None:
    nan, drawn = float("nan"), np.linspace(1, 3, 50)
    known = gain_of(2.0, drawn)
    found = fig6.smallest([known, gain_of(1.0, drawn, images=3)])
    assert found.estimate == 1 and np.isnan(found[1:]).all()
    assert np.isnan(fig6.smallest_p([known, gain_of(1.0, drawn, images=3)]))
    assert np.isnan(fig6.smallest([known, gain_of(nan, np.full(50, nan), images=0)])).all()


def test_the_figure_draws_every_value_of_the_table(table: pd.DataFrame) -> None:
    mpl.use("agg")
    figure = fig6.figure(table)
    for group, above, below in zip(fig6.PANELS, figure.axes[:3], figure.axes[3:], strict=True):
        part = table[table["classes"] == group]
        for axes, methods in ((above, METHODS), (below, (DIFFERENCE,))):
            offsets = [c.get_offsets() for c in axes.collections]
            drawn = np.concatenate([np.ma.filled(points, np.nan)[:, 1] for points in offsets])
            expected = part.loc[part["method"].isin(methods), "ours"]
            assert set(np.round(expected, 6)) <= set(np.round(drawn, 6))
    # Points of different classes are not joined: only the panel of all classes has lines.
    assert [len(axes.lines) for axes in figure.axes[:3]] == [0, 0, 2]
    plt.close("all")

"""Fig. 3 of paper B: each class's AP over its overlap, on a small made set of six classes."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lib.data.coco import CocoSet
from lib.metrics.bootstrap import resample
from lib.metrics.claims import load_claims
from lib.opmask import fig3, fig3_controls, fig3_figures
from lib.opmask.fig3_regression import Comparison, compare, fit
from lib.opmask.overlap import definitions_table, mean_overlap
from lib.opmask.predictions import Models, Results
from tests.fixtures.opmask import with_backbone
from tests.opmask import graded

DRAWS = {"resamples": 60, "seed": 0}


@pytest.fixture(autouse=True)
def no_windows() -> None:
    mpl.use("agg")


@pytest.fixture(scope="module")
def val() -> CocoSet:
    return graded.make_set()


@pytest.fixture(scope="module")
def models(val: CocoSet) -> Models:
    return graded.make_models(val, "voc", "non_voc", "all")


@pytest.fixture(scope="module")
def results(val: CocoSet, models: Models) -> Results:
    return graded.judged(val, models)


@pytest.fixture(scope="module")
def frame(val: CocoSet, models: Models, results: Results) -> pd.DataFrame:
    return fig3.class_frame(val, mean_overlap(val, "image_mean"), models, results)


@pytest.fixture(scope="module")
def found(frame: pd.DataFrame, models: Models, results: Results) -> Comparison:
    return fig3.compare(frame, models, results, **DRAWS)


def test_each_class_has_the_ap_of_the_run_in_which_it_had_no_masks(
    frame: pd.DataFrame, results: Results
) -> None:
    assert frame["name"].tolist() == list(graded.NAMES.values())
    for row in frame.to_dict("records"):
        split = "non_voc" if row["name"] in ("person", "cat", "dog") else "voc"
        for method in ("baseline", "opmask"):
            per_class = results[f"{method}.{split}"][0].per_class.set_index("label")
            assert row[method] == pytest.approx(100 * per_class.loc[row["label"], "AP"])
        assert row["full"] == pytest.approx(
            100 * results["baseline.all"][0].select([row["label"]]).value("AP")
        )
        assert row["gain"] == row["opmask"] - row["baseline"]
        assert np.exp([row["log_side"], row["log_instances"]]) == pytest.approx([24, 8])
    assert frame["of_voc"].tolist() == [1, 1, 1, 0, 0, 0]


def test_classes_that_had_masks_in_every_run_are_left_out(
    val: CocoSet, models: Models, results: Results
) -> None:
    one_way = {variant: run for variant, run in models.items() if run.split == "voc"}
    frame = fig3.class_frame(val, mean_overlap(val, "nearest"), one_way, results)
    assert frame["name"].tolist() == ["elephant", "cup", "apple"]
    listed = {
        f"list.{method}": replace(models[f"{method}.voc"], variant=f"list.{method}", split="list")
        for method in ("baseline", "opmask")
    }
    again = {run.variant: results[f"{run.method}.voc"] for run in listed.values()}
    other = fig3.class_frame(val, mean_overlap(val, "nearest"), listed, again)
    pd.testing.assert_frame_equal(
        other.drop(columns=["direction", "full"]), frame.drop(columns=["direction", "full"])
    )


def test_the_table_has_both_lines_and_their_difference(
    frame: pd.DataFrame, found: Comparison
) -> None:
    table = fig3.regression_table(frame, found, load_claims()).set_index("method")
    assert table.loc["baseline", "slope"] == pytest.approx(
        fit(frame["overlap"], frame["baseline"]).slope
    )
    slopes = table["slope"]
    assert slopes["opmask - baseline"] == pytest.approx(slopes["opmask"] - slopes["baseline"])
    assert table["paper_p"].tolist()[:2] == [0.003, 0.189]
    assert table.loc["baseline", "boot_low"] == found.slopes[0].low
    assert table.loc["opmask - baseline", "boot_high"] == found.resampled.high
    without = frame[frame["name"] != table.loc["opmask", "most_influential"]]
    assert table.loc["opmask", "slope_without"] == pytest.approx(
        fit(without["overlap"], without["opmask"]).slope
    )
    tests = fig3.comparison_table(found)
    assert tests["estimate"].tolist()[:3] == pytest.approx(
        [slopes["opmask - baseline"]] * 2 + [found.flatter.estimate]
    )


def test_no_class_is_influential_where_nothing_is_found(frame: pd.DataFrame) -> None:
    nothing = frame.assign(baseline=0.0, opmask=0.0, gain=0.0)
    found = compare(nothing["overlap"], nothing["baseline"], nothing["opmask"], **DRAWS)
    table = fig3.regression_table(nothing, found, load_claims())
    assert table["most_influential"].tolist() == ["", "", ""]
    assert table["slope"].tolist() == table["slope_without"].tolist() == [0, 0, 0]


def test_controls_that_six_classes_cannot_bear_are_said(frame: pd.DataFrame) -> None:
    varied = frame.assign(full=np.arange(6.0) ** 2)
    table, lines = fig3_controls.controls_table(varied)
    assert set(table["controls"]) == {"none", "of the class"}  # two of three do not vary
    assert any("VOC class or not; 6 classes" in line for line in lines)
    assert any("it takes more than 6" in line for line in lines)
    _, alone = fig3_controls.controls_table(varied.assign(full=np.nan))
    assert alone[0].startswith("baseline.all was not trained")


def test_every_definition_has_its_regression_in_its_own_units(
    val: CocoSet, frame: pd.DataFrame
) -> None:
    table = definitions_table(val)
    every = fig3_controls.definitions_frame(frame, {"val": table}, {"other": table}, **DRAWS)
    assert len(every) == 24
    own = every[(every["labels"] == "val") & ~every["crowds"]].set_index("definition")
    x = mean_overlap(val, "nearest")["overlap"]
    expected = fit((x - x.mean()) / x.std(), frame["opmask"])
    assert own.loc["nearest", "opmask_slope"] == pytest.approx(expected.slope * 100)
    assert own.loc["nearest", "opmask_p"] == pytest.approx(expected.p)
    other = every[every["labels"] == "other"]
    assert other["baseline_slope"].isna().all() and other["person_above"].notna().all()
    slopes = fig3_controls.slopes_shown(every)
    assert set(slopes["labels"]) == {"val"} and len(slopes) == len(own.dropna())
    places = fig3_controls.places({"val": table, "other": table})
    pd.testing.assert_frame_equal(every[places.columns], places)
    assert len(fig3_controls.places_shown(places)) == 12
    # All alike: no regression, but no failure either.
    alike = fig3_controls.definitions_frame(frame, {"val": table.assign(overlap=0.1)}, {}, **DRAWS)
    assert alike["flatter"].isna().all()


def test_observations_have_their_intervals_and_values_need_a_resnet50(
    models: Models, results: Results, frame: pd.DataFrame, found: Comparison
) -> None:
    seen = {
        o.id.removeprefix("B.fig3."): o
        for o in fig3.observations(frame, found, models, results, **DRAWS)
    }
    assert set(seen) == {
        "baseline.slope_is_negative", "opmask_slope_is_flatter", "person.opmask_above_baseline",
        "cat.opmask_above_baseline",
    }  # fmt: skip
    steep = seen["baseline.slope_is_negative"]
    assert steep.observed == pytest.approx(-fit(frame["overlap"], frame["baseline"]).slope)
    line = fit(frame["overlap"], frame["baseline"])
    assert (steep.ci_low, steep.ci_high) == (-line.high, -line.low)
    assert seen["opmask_slope_is_flatter"].observed == found.flatter.estimate
    cat = seen["cat.opmask_above_baseline"]
    ours, base = (
        resample(results[f"{method}.non_voc"][0].select([2]), **DRAWS).score("AP")
        for method in ("opmask", "baseline")
    )
    gain = (ours - base).interval.scaled(100)
    assert (cat.observed, cat.ci_low, cat.ci_high) == pytest.approx(gain)
    assert cat.observed > 10

    deep = with_backbone(models, "resnet50")
    more = fig3.observations(frame, found, deep, results, **DRAWS)
    values = {o.id.removeprefix("B.fig3."): o.observed for o in more if "B.fig3." in o.id}
    assert set(values) - set(seen) == {
        "baseline.p_value", "opmask.p_value", "baseline.person.AP", "opmask.person.AP",
        "baseline.cat.AP", "opmask.cat.AP",
    }  # fmt: skip
    assert values["opmask.p_value"] == fit(frame["overlap"], frame["opmask"]).p
    assert values["opmask.cat.AP"] - values["baseline.cat.AP"] == pytest.approx(cat.observed)
    known = {claim.id for claim in load_claims().claims}
    assert {o.id for o in more} <= known


def test_the_figure_says_what_it_shows(frame: pd.DataFrame, found: Comparison) -> None:
    figure = fig3_figures.regressions(frame, found.lines, "image_mean", named=1)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    line = fit(frame["overlap"], frame["baseline"])
    assert any(f"n = 6, slope {fig3_figures.number(line.slope)} per 0.01" in text for text in texts)
    assert any(fig3_figures.p_value(line.p) in text for text in texts)
    assert texts.count("person") == texts.count("cat") == 2  # once in each panel
    for axes, method in zip(figure.axes, ("baseline", "opmask"), strict=True):
        drawn = np.concatenate([c.get_offsets() for c in axes.collections[1:]])
        expected = frame[["overlap", method]].to_numpy()
        assert sorted(map(tuple, drawn)) == sorted(map(tuple, expected))
    plt.close("all")

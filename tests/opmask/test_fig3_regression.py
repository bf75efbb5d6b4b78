import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.opmask import fig3_regression as regression


@pytest.fixture(scope="module")
def classes() -> pd.DataFrame:
    """Sixty classes: the baseline falls by 0.4 points per 0.01, OPMask by 0.1."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 0.4, 60)
    shared = rng.normal(0, 6, 60)
    return pd.DataFrame(
        {
            "name": [f"class {k}" for k in range(60)],
            "overlap": x,
            "baseline": 40 - 40 * x + shared + rng.normal(0, 2, 60),
            "opmask": 45 - 10 * x + shared + rng.normal(0, 2, 60),
        }
    )


def closed_form(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return the textbook's simple linear regression."""
    n, sxx = len(x), ((x - x.mean()) ** 2).sum()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / sxx
    intercept = y.mean() - slope * x.mean()
    variance = ((y - intercept - slope * x) ** 2).sum() / (n - 2)
    se = np.sqrt(variance / sxx)
    half = stats.t.ppf(0.975, n - 2) * se
    return {
        "slope": slope, "intercept": intercept, "se": se, "low": slope - half, "high": slope + half,
        "p": 2 * stats.t.sf(abs(slope / se), n - 2), "variance": variance, "sxx": sxx,
    }  # fmt: skip


def test_the_line_is_the_closed_form(classes: pd.DataFrame) -> None:
    x, y = classes["overlap"].to_numpy() / regression.PER, classes["baseline"].to_numpy()
    found = regression.fit(classes["overlap"], classes["baseline"])._asdict()
    expected = closed_form(x, y)
    for name in ("slope", "intercept", "se", "low", "high", "p"):
        assert found[name] == pytest.approx(expected[name], rel=1e-9)
    assert found["r"] == pytest.approx(stats.pearsonr(x, y)[0])
    assert found["n"] == 60
    ranks = stats.rankdata(x), stats.rankdata(y)
    assert found["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_the_papers_p_values_go_with_its_correlations() -> None:
    """n = 80: p = .003 is r = -.328, and p = .189 is r = -.148."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    noise = rng.normal(size=80)
    noise -= np.polyval(np.polyfit(x, noise, 1), x)
    for r, p in ((-0.328, 0.003), (-0.148, 0.189)):
        y = r * (x - x.mean()) / x.std() + np.sqrt(1 - r**2) * noise / noise.std()
        found = regression.fit(x, y)
        assert found.r == pytest.approx(r)
        assert found.p == pytest.approx(p, abs=0.002)


def test_the_band_is_the_closed_form(classes: pd.DataFrame) -> None:
    x, y = classes["overlap"].to_numpy(), classes["opmask"].to_numpy()
    line = closed_form(x, y)
    places = np.array([0.0, 0.2, 0.35])
    band = regression.band(x, y, places)
    mean = line["intercept"] + line["slope"] * places
    se = np.sqrt(line["variance"] * (1 / 60 + (places - x.mean()) ** 2 / line["sxx"]))
    half = stats.t.ppf(0.975, 58) * se
    np.testing.assert_allclose(band["mean"], mean)
    np.testing.assert_allclose(band["low"], mean - half)
    np.testing.assert_allclose(band["high"], mean + half)
    one = regression.band(x, y, [0.2])
    assert one["mean"].iloc[0] == pytest.approx(mean[1])


def test_classes_without_a_value_are_left_out(classes: pd.DataFrame) -> None:
    some = classes.head(20)
    gaps = pd.concat([some, some.assign(overlap=np.nan), some.assign(baseline=np.nan)])
    assert regression.fit(gaps["overlap"], gaps["baseline"]) == regression.fit(
        some["overlap"], some["baseline"]
    )


def test_classes_that_no_line_fits_are_a_clear_sentence() -> None:
    with pytest.raises(ValueError, match=r"at least 3 classes .* here 2 of 4 have both"):
        regression.fit([0.1, 0.2, 0.3, np.nan], [1.0, 2.0, np.nan, 4.0])
    assert regression.fit([0.1, 0.2, 0.3], [1.0, 3.0, 2.0]).n == 3
    with pytest.raises(ValueError, match=r"All 3 classes have the same overlap, 0\.2"):
        regression.fit([0.2, 0.2, 0.2], [1.0, 2.0, 3.0])


def test_models_that_find_nothing_give_a_flat_line_and_no_p() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = regression.fit([0.1, 0.2, 0.3, 0.4], [0.0] * 4)
        regression.compare([0.1, 0.2, 0.3, 0.4], [0.0] * 4, [0.0] * 4, resamples=20, seed=0)
    for ap in (0.0, 0.1, 33.3):  # exactly, so that no limit leaves zero out by rounding
        flat = regression.fit([0.1, 0.2, 0.3, 0.4], [ap] * 4)
        assert (flat.slope, flat.se, flat.low, flat.high) == (0, 0, 0, 0)
        assert flat.intercept == pytest.approx(ap)
    assert np.isnan([found.p, found.r, found.spearman]).all()


def test_the_difference_of_the_slopes_is_the_slope_of_the_difference(classes: pd.DataFrame) -> None:
    x, a, b = (classes[c] for c in ("overlap", "baseline", "opmask"))
    found = regression.compare(x, a, b, resamples=200, seed=1)
    slopes = regression.fit(x, a).slope, regression.fit(x, b).slope
    assert found.difference.slope == pytest.approx(slopes[1] - slopes[0])
    assert found.resampled.estimate == pytest.approx(slopes[1] - slopes[0])
    assert found.flatter.estimate == pytest.approx(abs(slopes[0]) - abs(slopes[1]))
    assert [line.estimate for line in found.slopes] == pytest.approx(slopes)
    assert found.flatter.interval.low > 0 and found.difference.p < 0.001


def test_as_steep_the_other_way_is_not_flatter() -> None:
    x = np.linspace(0, 0.4, 30)
    wave = np.sin(np.arange(30))
    found = regression.compare(x, 30 - 40 * x + wave, 10 + 40 * x + wave, resamples=200, seed=0)
    assert found.difference.slope == pytest.approx(80 * regression.PER)
    assert found.difference.p < 1e-6
    assert found.flatter.interval.low < 0 < found.flatter.interval.high


def test_resampled_slopes_are_those_of_the_drawn_classes(classes: pd.DataFrame) -> None:
    some = classes.head(12)
    x, a, b = (some[c].to_numpy() for c in ("overlap", "baseline", "opmask"))
    found = regression.bootstrap_slopes(x, a, b, resamples=8, seed=4)
    weights = regression.image_weights(12, resamples=8, seed=4)
    for row, weight in zip(found, weights, strict=True):
        drawn = np.repeat(np.arange(12), weight)
        expected = [np.polyfit(x[drawn] / regression.PER, y[drawn], 1)[0] for y in (a, b)]
        np.testing.assert_allclose(row, expected)


def test_resamples_of_one_class_alone_do_not_count() -> None:
    slopes = regression.bootstrap_slopes(
        np.array([0.1, 0.1, 0.3]), np.array([1.0, 2.0, 3.0]), resamples=200, seed=0
    )
    assert np.isnan(slopes).any()
    # What is left is a line through the mean of the first two (or one of them) and the third.
    rise = slopes[np.isfinite(slopes)] * 0.2 / regression.PER
    assert rise.min() >= 1 - 1e-9 and rise.max() <= 2 + 1e-9


def test_over_few_classes_the_t_interval_has_its_level_and_the_bootstrap_is_too_sure() -> None:
    """AP has nothing to do with overlap: one in twenty intervals may leave zero out."""
    rng = np.random.default_rng(3)
    by_t, by_bootstrap, cases = 0, 0, 300
    for case in range(cases):
        x, y = rng.uniform(0, 0.4, 12), rng.normal(20, 6, 12)
        line = regression.fit(x, y)
        by_t += line.low > 0 or line.high < 0
        drawn = regression.bootstrap_slopes(x, y, resamples=200, seed=case)
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        by_bootstrap += low > 0 or high < 0
    assert by_t / cases == pytest.approx(0.05, abs=0.03)
    assert by_bootstrap > 1.3 * by_t


def test_leaving_out_an_outlier_changes_the_slope_most(classes: pd.DataFrame) -> None:
    frame = classes.head(15).copy()
    frame.loc[3, ["overlap", "baseline"]] = [0.9, 90.0]
    found = regression.leave_one_out(frame, "baseline")
    largest = found.iloc[0]
    assert found["change"].abs().is_monotonic_decreasing
    assert largest["name"] == "class 3"
    rest = frame.drop(index=3)
    without = regression.fit(rest["overlap"], rest["baseline"])
    assert (largest["slope"], largest["p"]) == pytest.approx((without.slope, without.p))
    whole = regression.fit(frame["overlap"], frame["baseline"]).slope
    np.testing.assert_allclose(found["slope"] - found["change"], whole)


def test_a_control_that_explains_everything_takes_the_slope_away() -> None:
    rng = np.random.default_rng(1)
    size = rng.normal(size=50)
    frame = pd.DataFrame({"overlap": 0.2 + 0.05 * size + rng.normal(0, 0.02, 50), "size": size})
    frame["ap"] = 20 - 5 * size + rng.normal(0, 0.5, 50)
    frame["same"] = 1.0
    assert regression.fit(frame["overlap"], frame["ap"]).p < 1e-6
    found, line = regression.controlled(frame, "ap", {"size": "size of the boxes", "same": "same"})
    assert found is not None and found["low"] < 0 < found["high"]
    assert line == "Controls: size of the boxes; 50 classes."
    # By hand: the slope of what the control leaves of both (Frisch, Waugh and Lovell).
    left = [y - np.polyval(np.polyfit(size, y, 1), size) for y in (frame["overlap"], frame["ap"])]
    expected = (left[0] * left[1]).sum() / (left[0] ** 2).sum() * regression.PER
    assert found["slope"] == pytest.approx(expected)


def test_controls_that_leave_no_answer_say_why() -> None:
    few = pd.DataFrame(
        {"overlap": [0.1, 0.2, 0.3, 0.4, 0.5], "ap": [1.0, 2, 2, 3, 1], "size": [1.0, 5, 2, 4, 3]}
    )
    twice = pd.DataFrame({"overlap": np.linspace(0.1, 0.5, 9), "ap": np.arange(9.0) ** 2})
    twice["size"] = 2 * twice["overlap"]
    # The classes whose overlap differs lack a control, so the rest cannot tell a slope.
    same = pd.DataFrame({"overlap": [0.3, 0.1] + [0.2] * 8, "ap": np.arange(10.0) ** 2})
    same["size"] = [np.nan, np.nan, *np.sin(np.arange(8.0))]
    whys = ("takes more than 5", "determine one another", "have one overlap, 0.2")
    for frame, why in zip((few, twice, same), whys, strict=True):
        found, line = regression.controlled(frame, "ap", {"size": "size"})
        assert found is None and why in line
    more = pd.concat([few, few.tail(1) * 0.9])
    assert regression.controlled(more, "ap", {"size": "size"})[0] is not None

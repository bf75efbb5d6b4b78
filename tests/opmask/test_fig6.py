from typing import Any

import numpy as np
import pytest
from scipy import stats

from lib.metrics.bootstrap import Interval, percentiles, resample
from lib.metrics.coco_ap import APResult, evaluate
from lib.opmask import fig6

SUPERVISED = {
    "voc": frozenset({1}),
    "official_40": frozenset({1, 2}),
    "non_voc": frozenset({2, 3, 4}),
    "all": frozenset({1, 2, 3, 4}),
}


def scene(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return 8 images with an object of each of four classes, and jittered detections of them."""
    rng = np.random.default_rng(seed)
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    layout = np.random.default_rng(0)
    for image in range(1, 9):
        for category in (1, 2, 3, 4):
            box = np.r_[layout.uniform(0, 30, 2), layout.uniform(20, 60, 2)]
            truth.append({"id": len(truth) + 1, "image_id": image, "category_id": category,
                          "bbox": box.tolist(), "area": box[2] * box[3], "iscrowd": 0})  # fmt: skip
            moved = box + rng.normal(0, 4, 4)
            found.append({"image_id": image, "category_id": category, "bbox": moved.tolist(),
                          "score": float(rng.random())})  # fmt: skip
    labels = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100}
                   for i in range(1, 9)],
        "categories": [{"id": k, "name": f"class {k}"} for k in (1, 2, 3, 4)],
        "annotations": truth,
    }  # fmt: skip
    return labels, found


def judged(seed: int) -> APResult:
    labels, found = scene(seed)
    return evaluate(labels, found, iou_type="bbox")


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[APResult, APResult]]:
    return {split: (judged(2 * k + 1), judged(2 * k + 2)) for k, split in enumerate(fig6.SPLITS)}


@pytest.fixture(scope="module")
def ratios(results: dict[str, tuple[APResult, APResult]]) -> list[fig6.Ratio]:
    return fig6.make_ratios(results, SUPERVISED, resamples=60, seed=3)


def test_values_are_those_of_judging_each_group_of_classes_alone(
    results: dict[str, tuple[APResult, APResult]], ratios: list[fig6.Ratio]
) -> None:
    table = fig6.ratio_table(ratios).set_index(["split", "classes", "method"]).sort_index()
    every = frozenset({1, 2, 3, 4})
    for split, (baseline, opmask) in results.items():
        groups = {"unsupervised": every - SUPERVISED[split], "supervised": SUPERVISED[split]}
        for group, labels in groups.items():
            if not labels:
                assert (split, group, "opmask") not in table.index
                continue
            rows = table.loc[split, group]
            assert rows.loc["baseline", "ours"] == pytest.approx(
                100 * baseline.select(labels).summary["AP"]
            )
            ours, base = (
                resample(r.select(labels), resamples=60, seed=3).score("AP")
                for r in (opmask, baseline)
            )
            gain = (ours - base).interval
            found = rows.loc["opmask - baseline", ["ours", "ci_low", "ci_high"]]
            assert found.tolist() == pytest.approx(gain.scaled(100))
            assert set(rows["judged"]) == {len(labels)}


def test_the_paper_plots_classes_without_masks_and_all_where_none_are_left(
    ratios: list[fig6.Ratio],
) -> None:
    table = fig6.ratio_table(ratios).set_index(["split", "classes"]).sort_index()
    for ratio in ratios:
        same = "all" if ratio.split == "all" else "unsupervised"
        plotted = table.loc[(ratio.split, "plotted")].reset_index(drop=True)
        assert plotted.equals(table.loc[(ratio.split, same)].reset_index(drop=True))


def test_ratios_are_ordered_by_the_number_of_classes_with_masks(
    results: dict[str, tuple[APResult, APResult]], ratios: list[fig6.Ratio]
) -> None:
    numbers = fig6.ratio_table(ratios)["classes_with_masks"]
    assert numbers.is_monotonic_increasing and set(numbers) == {1, 2, 3, 4}
    fewer = {split: results[split] for split in ("all", "voc")}
    some = fig6.make_ratios(fewer, SUPERVISED, resamples=5, seed=0)
    assert [ratio.split for ratio in some] == ["voc", "all"]


def test_the_smallest_gain_has_the_smallest_limits_the_upper_ones_widened(
    results: dict[str, tuple[APResult, APResult]], ratios: list[fig6.Ratio]
) -> None:
    gains, lows, highs = [], [], []
    for split, (baseline, opmask) in results.items():
        labels = {1, 2, 3, 4} - SUPERVISED[split] or {1, 2, 3, 4}
        a, b = (resample(r.select(labels), resamples=60, seed=3) for r in (baseline, opmask))
        gains.append(opmask.select(labels).value("AP") - baseline.select(labels).value("AP"))
        drawn = (b.score("AP") - a.score("AP")).resampled
        lows.append(np.percentile(drawn, 2.5))
        highs.append(np.percentile(drawn, 100 - 2.5 / 4))
    found = fig6.smallest_gain(ratios)
    assert found == pytest.approx((min(gains), min(lows), min(highs)))


def verdicts(truth: list[float], *, cases: int = 600) -> tuple[float, float]:
    """Return how often independent gains of standard error 1 say "holds", and "fails"."""
    spread = stats.norm.ppf((np.arange(800) + 0.5) / 800)  # an ideal bootstrap
    seen = np.random.default_rng(11).normal(truth, 1, size=(cases, len(truth)))
    found = []
    for row in seen:
        drawn = [gain + spread for gain in row]
        gains = [percentiles(gain, of, images=50) for gain, of in zip(row, drawn, strict=True)]
        found.append(fig6.smallest(gains, drawn))
    low, high = (np.array([getattr(of, side) for of in found]) for side in ("low", "high"))
    return float(np.mean(low > 0)), float(np.mean(high < 0))


@pytest.mark.parametrize("truth", [[0.0] * 4, [0.5] * 4, [0.0, 9.0, 9.0, 9.0]])
def test_gains_on_the_border_are_rarely_decided(truth: list[float]) -> None:
    """At most 2.5 % on either side; above that only by the chance of 600 cases."""
    holds, fails = verdicts(truth)
    assert holds < 0.045 and fails < 0.045


def test_clear_gains_are_decided() -> None:
    assert verdicts([5.0] * 4)[0] > 0.95
    assert verdicts([9.0, 9.0, 9.0, -5.0])[1] > 0.95
    holds, fails = verdicts([9.0, 9.0, 9.0, 9.0])
    assert (holds, fails) == (1, 0)


def test_a_gain_without_an_interval_leaves_the_smallest_without_one() -> None:
    nan, drawn = float("nan"), np.linspace(1, 3, 50)
    known = Interval(2.0, 1.0, 3.0)
    found = fig6.smallest([known, Interval(1.0, nan, nan)], [drawn, drawn])
    assert found.estimate == 1 and np.isnan(found[1:]).all()
    empty = np.full(50, nan)
    assert np.isnan(fig6.smallest([known, Interval(nan, nan, nan)], [drawn, empty])).all()


def test_an_unknown_split_and_other_classes_are_clear_sentences(
    results: dict[str, tuple[APResult, APResult]], other_classes: tuple[APResult, APResult]
) -> None:
    with pytest.raises(ValueError, match=r"splits voc, official_40, non_voc, all, not half\."):
        fig6.make_ratios({"half": results["voc"]}, {}, resamples=5, seed=0)
    mixed = {"voc": results["voc"], "all": other_classes}
    with pytest.raises(ValueError, match="judged on different classes"):
        fig6.make_ratios(mixed, SUPERVISED, resamples=5, seed=0)
    with pytest.raises(ValueError, match="no smallest gain"):
        fig6.smallest_gain([])


@pytest.fixture
def other_classes(results: dict[str, tuple[APResult, APResult]]) -> tuple[APResult, APResult]:
    first, second = results["all"]
    return first.select({1, 2}), second.select({1, 2})

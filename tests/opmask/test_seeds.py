"""Paper B's tables over several seeds of each model, on the small made set with known masks."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.files import read_json, write_json
from lib.metrics.bootstrap import resample
from lib.metrics.claims import Observation, load_claims
from lib.metrics.coco_ap import evaluate
from lib.metrics.seeds import SeedScores
from lib.opmask import ablation, boxes, fig3, fig6, mask_iou, per_class, table1, table2, table3
from lib.opmask import predictions as models_of
from lib.opmask.fig3_regression import fit
from lib.opmask.overlap import mean_overlap
from lib.opmask.predictions import DIFFERENCE, Models
from tests.fixtures.opmask import MISSING, SHIFTS, SIDE, Made, make, one
from tests.opmask import graded

DRAWN = {"resamples": 30, "seed": 0}
HALF = stats.t.ppf(0.975, 2) / np.sqrt(3)  # of three seeds, per standard deviation


def first_alone(models: Models) -> Models:
    return {v: replace(model, runs={0: model.first}) for v, model in models.items()}


def test_runs_of_a_model_are_read_together(opmask_seeds: Made, opmask_study: Made) -> None:
    models = opmask_seeds.models
    assert set(models) == set(opmask_study.models)
    model = models["opmask.voc"]
    assert list(model.runs) == [0, 1, 2] and model.first is model.runs[0]
    assert model.runs[2].folder.name == "06_train_opmask.opmask.voc.seed2"
    assert model.first.detections == opmask_study.models["opmask.voc"].first.detections
    few = {"opmask": model, "baseline": replace(model, runs={2: model.runs[2], 1: model.runs[1]})}
    assert models_of.shared_seeds(few) == [1, 2]
    assert models_of.shared_seeds({}) == []
    few["opmask"] = replace(model, runs={0: model.runs[0]})
    with pytest.raises(ValueError, match=r"no seed in common \(opmask: 0; baseline: 1, 2\)"):
        models_of.shared_seeds(few)


def test_runs_with_other_settings_are_a_sentence(tmp_path: Path) -> None:
    study = make(tmp_path, seeds=2)
    path = study.models["opmask.voc"].runs[1].folder / "run.json"
    card = read_json(path)
    write_json(path, card | {"model": card["model"] | {"prior_fusion": "concat"}})
    with pytest.raises(ValueError, match=r"seed 1 has other .* than seed 0.*\n.*voc\.seed1"):
        models_of.read(study.workspace, study.val.categories)


def test_a_page_says_how_often_models_were_trained(opmask_seeds: Made) -> None:
    models = opmask_seeds.models
    once, thrice = models_of.seeds_line(first_alone(models)), models_of.seeds_line(models)
    assert "trained once" in once and "nothing is judged" in once
    assert "trained 3 times" in thrice and "once" not in thrice
    mixed = {**models, **first_alone({"opmask.voc": models["opmask.voc"]})}
    assert "1 to 3 times" in models_of.seeds_line(mixed)
    assert "What was trained once is not judged" in models_of.seeds_line(mixed)


def test_table_2_is_the_mean_of_the_seeds_with_their_spread(opmask_seeds: Made) -> None:
    val, models = opmask_seeds.val, models_of.main_models(opmask_seeds.models)
    results, claims = models_of.judge(val, models, "segm"), load_claims()
    table = table2.table2(results, models, claims=claims, **DRAWN)
    where = {"direction": "voc_to_nonvoc", "beside": "R50", "classes": "unsupervised"}
    of = partial(one, table, **where, metric="AP")
    labels = val.categories.split("non_voc")
    scores = {
        method: SeedScores(
            {
                seed: resample(
                    evaluate(val, run.detections, iou_type="segm", labels=labels), **DRAWN
                ).score("AP")
                for seed, run in models[f"{method}.voc"].runs.items()
            }
        )
        for method in ("opmask", "baseline")
    }
    for method, score in scores.items():
        row = of(method=method)
        assert row[["ours", "ci_low", "ci_high"]].tolist() == pytest.approx(
            score.interval.scaled(100)
        )
        assert row["seeds"] == 3
    gain = of(method=DIFFERENCE)
    paired = (scores["opmask"] - scores["baseline"]).interval.scaled(100)
    assert gain[["ours", "ci_low", "ci_high"]].tolist() == pytest.approx(paired)
    (seen,) = (
        o for o in table2.observations(table, claims=claims)
        if o.id == "B.table2.voc_to_nonvoc.AP.opmask_above_baseline"
    )  # fmt: skip
    told = gain[["ours", "ci_low", "ci_high", "seeds", "p", "detectable"]]
    assert seen == Observation(seen.id, *told)
    difference = scores["opmask"] - scores["baseline"]
    assert told[["p", "detectable"]].tolist() == pytest.approx(
        [difference.p, 100 * difference.detectable]
    )
    assert of(method="opmask")[["p", "detectable"]].isna().all()  # of no difference
    shown = table2.beside_paper(
        table, boxes.box_table(models_of.judge(val, models, "bbox"), models)
    )
    assert set(shown.loc[shown["whose"] == "ours", "seeds"]) == {3}
    classes = per_class.per_class_table(results, models)
    cup = one(classes, direction="voc_to_nonvoc", name="cup")
    each = [run.select([4]).value("AP") for run in results["opmask.voc"].values()]
    assert cup["opmask"] == pytest.approx(100 * np.mean(each)) and cup["seeds"] == 3


def test_mask_iou_over_seeds_is_as_by_hand(opmask_seeds: Made) -> None:
    val, models = opmask_seeds.val, opmask_seeds.models
    means = mask_iou.mask_iou_table(
        mask_iou.masks_on_boxes_frame(val, models, threshold=0.5), **DRAWN
    )
    where = {"direction": "voc_to_nonvoc", "classes": "unsupervised"}
    gains = [
        MISSING["baseline"] + base - MISSING["opmask"] - ours
        for base, ours in zip(SHIFTS["baseline"], SHIFTS["opmask"], strict=True)
    ]
    assert gains == [4, 5, 6]  # columns of 24; all images are alike, so seeds are all that varies
    row = one(means, method=DIFFERENCE, **where)
    expected = [100 * (5 + sign * HALF) / SIDE for sign in (0, -1, 1)]
    assert row[["ours", "ci_low", "ci_high"]].tolist() == pytest.approx(expected)
    assert row["seeds"] == 3
    seen = {o.id: o for o in mask_iou.observations(means, claims=load_claims())}
    assert set(seen) == {
        f"B.maskiou.{way}.opmask_above_baseline" for way in ("voc_to_nonvoc", "nonvoc_to_voc")
    }
    of_claim = seen["B.maskiou.voc_to_nonvoc.opmask_above_baseline"]
    assert of_claim.observed == pytest.approx(expected[0]) and of_claim.seeds == 3
    t = 5 / (1 / np.sqrt(3))  # gains 4, 5 and 6
    assert of_claim.p == pytest.approx(2 * stats.t.sf(t, 2))
    ambiguity = table1.table1(val, models, claims=load_claims(), iou_from=0.5, **DRAWN)
    of = partial(one, ambiguity, direction="voc_to_nonvoc", metric="mask_IoU", group="ambiguous")
    assert of(method=DIFFERENCE)[["ours", "ci_low"]].tolist() == pytest.approx(expected[:2])
    relative = [100 * 4 / 14, 100 * 5 / 12, 100 * 6 / 13]
    assert of(method=table1.GAIN)["ours"] == pytest.approx(np.mean(relative))
    assert of(method=table1.GAIN)["ci_high"] == pytest.approx(
        np.mean(relative) + HALF * np.std(relative, ddof=1)
    )
    choices = ablation.ablation_table(val, models, iou_from=0.5, **DRAWN)
    row = one(choices, group="method", metric="mask_IoU", is_default=False)
    assert row["difference"] == pytest.approx(-expected[0]) and row["seeds"] == 3


def test_methods_of_unequal_seeds_are_compared_in_those_that_both_have(opmask_seeds: Made) -> None:
    val, models = opmask_seeds.val, dict(opmask_seeds.models)
    base = models["baseline.voc"]
    models["baseline.voc"] = replace(base, runs={seed: base.runs[seed] for seed in (0, 1)})
    means = mask_iou.mask_iou_table(
        mask_iou.masks_on_boxes_frame(val, models, threshold=0.5), **DRAWN
    )
    of = partial(one, means, direction="voc_to_nonvoc", classes="unsupervised")
    assert of(method=DIFFERENCE)["ours"] == pytest.approx(100 * 4.5 / SIDE)
    seeds = [of(method=m)["seeds"] for m in ("opmask", "baseline", DIFFERENCE)]
    assert seeds == [3, 2, 2]


def test_a_detector_is_judged_by_the_mean_of_its_seeds(opmask_seeds: Made) -> None:
    models = {"opmask.voc": opmask_seeds.models["opmask.voc"]}
    good = models["opmask.voc"].runs
    poor = replace(good[2], detections=good[2].detections[:1])
    models["opmask.voc"] = replace(models["opmask.voc"], runs={**good, 2: poor})
    table = boxes.box_table(models_of.judge(opmask_seeds.val, models, "bbox"), models)
    found = evaluate(opmask_seeds.val, poor.detections, iou_type="bbox").value("AP50")
    assert table["box_AP50"].item() == pytest.approx(100 * (2 + found) / 3)
    assert table["seeds"].item() == 3


def test_maps_are_cut_at_one_threshold_for_all_seeds(
    opmask_seeds: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table3, "AT_ONCE", 1)
    val, models = opmask_seeds.val, opmask_seeds.models
    some = {v: models[v] for v in ("opmask.voc", "baseline.voc")}
    swept, filled = table3.sweep(val, some, [0.2, 0.5]), table3.boxes_as_masks(val, some)
    assert list(swept["opmask.voc"][0.2]) == [0, 1, 2] == list(filled["voc"])
    table = table3.table3(swept, filled, claims=load_claims(), threshold=0.5, **DRAWN)
    assert set(table["seeds"]) == {3}
    row = one(table, method="baseline", tested="all", metric="AP50")
    each = [run.value("AP50") for run in swept["baseline.voc"][0.5].values()]
    assert row["ours"] == pytest.approx(100 * np.mean(each))
    best = [[run.value("AP50") for run in runs.values()] for runs in swept["baseline.voc"].values()]
    assert row["best"] == pytest.approx(100 * max(np.mean(values) for values in best))


@pytest.fixture(scope="module")
def three() -> tuple[Models, models_of.Results, pd.DataFrame]:
    """Three seeds of each model of the graded set: of the later ones classes score less."""
    val = graded.make_set()
    models = {}
    for variant, model in graded.make_models(val, "voc", "non_voc").items():
        drop = (0, 3, 7) if model.method == "baseline" else (0, 5, 4)
        runs = {
            seed: replace(model.first, detections=model.first.detections[count:])
            for seed, count in enumerate(drop)
        }
        models[variant] = replace(model, runs=runs)
    results = models_of.judge(val, models, "segm")
    frame = fig3.class_frame(val, mean_overlap(val, "image_mean"), models, results)
    return models, results, frame


def test_a_slope_over_seeds_has_their_spread_in_its_interval(
    three: tuple[Models, models_of.Results, pd.DataFrame],
) -> None:
    models, results, frame = three
    found = fig3.compare(frame, models, results, **DRAWN)
    of_mean = fit(frame["overlap"], frame["baseline"])
    slopes = []
    for seed in range(3):
        alone = {v: replace(model, runs={seed: model.runs[seed]}) for v, model in models.items()}
        of_seed = fig3.class_frame(
            graded.make_set(), mean_overlap(graded.make_set(), "image_mean"), alone, results
        )
        slopes.append(fit(of_seed["overlap"], of_seed["baseline"]).slope)
    line = found.lines[0]
    assert line.slope == pytest.approx(of_mean.slope)
    assert line.slope == pytest.approx(np.mean(slopes))
    seeds, classes = np.var(slopes, ddof=1) / 3, of_mean.se**2
    freedom = (seeds + classes) ** 2 / (seeds**2 / 2 + classes**2 / 4)
    assert line.se == pytest.approx(np.sqrt(seeds + classes))
    assert line.high - line.slope == pytest.approx(stats.t.ppf(0.975, freedom) * line.se)
    assert line.p == pytest.approx(2 * stats.t.sf(abs(line.slope) / line.se, freedom))
    seen = fig3.observations(frame, found, models, results, **DRAWN)
    assert {o.seeds for o in seen} == {3}
    falls = next(o for o in seen if o.id == "B.fig3.baseline.slope_is_negative")
    told = fig3.missing_line(frame, found, results)
    assert "here are 6, with 8 to 8 validation objects" in told
    assert f"from {falls.detectable:.2g} points" in told
    once = fig3.missing_line(frame, replace(found, seeds=1), results)
    assert once.endswith("One training of each model decides nothing.")
    assert falls.p == line.p
    assert falls.detectable == pytest.approx(stats.t.ppf([0.975, 0.8], freedom).sum() * line.se)
    flatter = next(o for o in seen if o.id == "B.fig3.opmask_slope_is_flatter")
    assert (flatter.p, flatter.observed) == (found.flatter.p, found.flatter.estimate)


def test_fig_6_takes_all_seeds(three: tuple[Models, models_of.Results, pd.DataFrame]) -> None:
    models, results, _ = three
    made = fig6.ratios(models, results, **DRAWN)
    assert [ratio.gain.seeds for ratio in made] == [3, 3]
    table = fig6.ratio_table(made, load_claims())
    assert set(table["seeds"]) == {3} and set(fig6.side_by_side(table)["seeds"]) == {3}
    least = fig6.smallest([ratio.gain for ratio in made])
    assert least.low == min(ratio.gain.interval.low for ratio in made)
    widened = [ratio.gain.at(1 - 0.05 / 2).high for ratio in made]
    assert least.high == pytest.approx(min(widened))

"""Tables of models that were trained several times, or once."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.files import read_json, write_json
from lib.hybridnet import ablation, boxes, mask_iou, predictions, table1, table2
from lib.hybridnet.variants import COMPARED, READINGS, variants
from lib.metrics import abo
from lib.metrics.coco_ap import AREA_RANGES_64, evaluate
from lib.metrics.seeds import standard_error
from lib.metrics.voc_ap import evaluate_voc
from lib.pages.ablation import side_by_side
from lib.study import STAMP, STEP_VARIABLE
from tests.fixtures.hybridnet import (
    CLAIMS,
    DRAWN,
    FUSION,
    LARGE,
    PER_SEED,
    Made,
    make_set,
    make_study,
    make_workspace,
)

SEEDS = {"large": 3, "small": 2, "baseline": 3, "pixel": 3, "ablation.direct": 2}
REPLACED: dict[str, Any] = {"poor_below": 0.5, "shape_when_poor": "ellipse"}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_study(tmp_path_factory.mktemp("several"), seeds=SEEDS)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STEP_VARIABLE, raising=False)


def one(table: pd.DataFrame, **where: str) -> pd.Series:
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_method_has_the_seeds_that_all_its_models_have(several: Made) -> None:
    seeds = {method: list(found) for method, found in several.rows.items()}
    assert seeds["large_branch"] == [0, 1, 2]
    assert seeds["small_branch"] == seeds["hybrid"] == seeds["ellipse"] == [0, 1]
    assert seeds["small_invalid"] == seeds["hybrid_parted"] == [0]
    for table in (several.first, several.second):
        counts = table.drop_duplicates("method").set_index("method")["seeds"]
        assert (counts["baseline"], counts["hybrid"]) == (3, 2)
        assert (counts["hybrid - baseline"], counts["pixel_level - hybrid"]) == (2, 2)
    assert one(several.second, method="large_branch - baseline", metric="AP")["seeds"] == 3


def test_tables_for_people_say_how_often_each_method_was_trained(several: Made) -> None:
    first, second = table1.beside_paper(several.first), table2.beside_paper(several.second)
    for shown in (first, second):
        ours = shown[shown["whose"] == "ours"].set_index("method")["seeds"]
        assert (ours["baseline"], ours["hybrid"]) == (3, 2)
        assert shown.loc[shown["whose"] == "paper", "seeds"].isna().all()
    lines = side_by_side(several.switches, ablation.GROUPS).set_index("setting")["seeds"]
    assert (lines[ablation.FPN["direct"]], lines[ablation.FPN["plain"]]) == (2, 1)


def test_a_seed_s_hybrid_is_made_of_that_seed_s_branches(several: Made) -> None:
    alone = {v: m for v, m in several.models.items() if v in predictions.REQUIRED}
    for seed in (0, 1):
        of_seed = {
            v: predictions.Predictions(model.config, {seed: model.runs[seed]})
            for v, model in alone.items()
        }
        found = predictions.methods(several.val, of_seed, FUSION, **REPLACED)
        assert found["hybrid"] == {seed: several.found("hybrid", seed)}


@pytest.mark.parametrize("method", ["baseline", "hybrid", "large_branch"])
def test_numbers_are_means_over_the_seeds(several: Made, method: str) -> None:
    runs = several.rows[method].values()
    coco = [
        evaluate(several.val, r, iou_type="segm", area_ranges={"L": AREA_RANGES_64["large"]})
        for r in runs
    ]
    for metric in ("AP", "AP_L"):
        mean = np.mean([100 * judged.value(metric) for judged in coco])
        assert one(several.second, method=method, metric=metric)["ours"] == pytest.approx(mean)
    voc = np.mean([100 * evaluate_voc(several.val, r).value("mAP75") for r in runs])
    assert one(several.first, method=method, metric="mAP75")["ours"] == pytest.approx(voc)
    best = np.mean([100 * abo.score(abo.best_overlaps(several.val, r)).estimate for r in runs])
    assert one(several.first, method=method, metric="ABO")["ours"] == pytest.approx(best)


def test_mask_iou_and_its_interval_are_as_by_hand(several: Made) -> None:
    frame = mask_iou.masks_on_boxes_frame(several.val, several.models)
    table = mask_iou.mask_iou_table(frame, **DRAWN)
    left = [(LARGE - 30 - PER_SEED * seed) / LARGE for seed in range(3)]
    row = one(table, method="baseline", size="large")
    assert row["ours"] == pytest.approx(100 * np.mean(left)) and row["seeds"] == 3
    error, freedom = standard_error(left, 0.0, freedom=5)  # all images are alike
    half = 100 * stats.t.ppf(0.975, freedom) * error
    assert row["ci_high"] - row["ours"] == pytest.approx(half) and half > 10
    gain = one(table, method="large_branch - baseline", size="large")  # in every seed the same
    assert gain[["ours", "ci_low", "ci_high"]].to_numpy() == pytest.approx(100 * 20 / LARGE)
    assert row["instances"] == 6


def test_boxes_are_means_and_the_training_that_found_least(several: Made) -> None:
    models = dict(several.models)
    nothing = predictions.Run("", [])
    models["large"] = predictions.Predictions(
        models["large"].config, {0: models["large"].runs[0], 1: nothing}
    )
    table = boxes.box_table(several.val, models)
    row, alone = one(table, variant="large"), one(table, variant="large_drop")
    assert (row["seeds"], row["box_AP50_least"]) == (2, 0)
    assert row["box_AP"] == pytest.approx(alone["box_AP"] / 2) and row["box_AP"] > 10
    assert not boxes.reaches(table, 0.2) and "0.0 (large)" in boxes.floor_line(table, 0.2)


def test_ablations_take_all_seeds_and_judge_no_method_twice(
    several: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = several.switches
    direct = one(table, group="fpn", setting=ablation.FPN["direct"], metric="AP_L")
    plain = one(table, group="fpn", setting=ablation.FPN["plain"], metric="AP_L")
    assert (direct["seeds"], plain["seeds"]) == (2, 1)
    for group, method in (("fusion", "hybrid"), ("poor", "small_branch"), ("poor_fused", "hybrid")):
        default = table[(table["group"] == group) & table["is_default"]].set_index("metric")
        expected = several.second[several.second["method"] == method].set_index("metric")
        for column in ("ours", "ci_low", "ci_high", "seeds"):
            assert default[column].to_dict() == expected.loc[default.index, column].to_dict()
    trials = ablation.trials(several.val, several.models, several.rows, FUSION, **REPLACED)
    pd.testing.assert_frame_equal(
        ablation.ablation_table(several.val, trials, {}, **DRAWN), several.switches
    )
    monkeypatch.setattr(ablation, "evaluate", None)
    known = [trial for trial in trials if trial.method]
    assert len(ablation.ablation_table(several.val, known, several.coco, **DRAWN)) == 9


def test_the_other_reading_of_the_paper_is_beside_the_one_compared(several: Made) -> None:
    small, large, both = (
        one(several.second, method=f"{reading} - {method}", metric="AP_L")
        for reading, method in predictions.READINGS.items()
    )
    of = {m: one(several.second, method=m, metric="AP_L")["ours"] for m in table2.METHODS}
    assert of["small_invalid"] == 0 and of["large_drop"] < of["large_branch"]
    first = evaluate(
        several.val, several.found("large_branch"), iou_type="segm",
        area_ranges={"L": AREA_RANGES_64["large"]},
    )  # fmt: skip
    assert large["ours"] == pytest.approx(of["large_drop"] - 100 * first.value("AP_L"))
    assert (small["seeds"], large["seeds"], both["seeds"]) == (1, 1, 1)
    assert small["ours"] < 0 and np.isnan(small["paper"])
    trained = {v.name: v for v in variants()}
    assert all(trained[name].optional for name in READINGS)
    for name, lead in {"small_invalid": "small", "large_drop": "large"}.items():
        assert len(set(READINGS[name].items()) - set(COMPARED[lead].items())) == 1
    frame = mask_iou.masks_on_boxes_frame(several.val, several.models)
    assert "large_drop" in set(frame["method"])


def test_one_training_decides_nothing(made: Made, several: Made) -> None:
    assert set(made.second["seeds"]) == {1}
    assert "nothing is judged" in predictions.seeds_line(made.models)
    assert "trained 2 to 3 times" in predictions.seeds_line(several.models)
    assert table2.limit_line(made.second).endswith("decides nothing.")
    assert not table2.limit_line(several.second).endswith("decides nothing.")
    unknown = several.second.assign(ours=np.nan, ci_low=np.nan, ci_high=np.nan)
    assert "Too few images" in table2.limit_line(unknown)
    seen = table2.observations(several.second, claims=CLAIMS, backbone="lite0")
    assert {o.seeds for o in seen} == {2, 3}


def test_runs_that_did_not_succeed_are_left_out(tmp_path: Path, by_hand: None) -> None:
    workspace = make_workspace(make_set(tmp_path), tmp_path / "study", seeds=2)
    cache = workspace.study.step_folder("demo", "04_train_hybrid.large.seed0").parent
    for step in ("large.seed0", "large_drop.seed0", "large_drop.seed1"):
        (cache / f"04_train_hybrid.{step}" / STAMP).unlink()
    models = predictions.read(workspace)
    assert list(models["large"].runs) == [1] and "large_drop" not in models
    assert models["large"].first.step == "04_train_hybrid.large.seed1"
    model = cache / "04_train_hybrid.baseline.seed1" / "model.json"
    write_json(model, read_json(model) | {"mask_layers": 2})
    with pytest.raises(ValueError, match=r"--force 04_train_hybrid\.baseline"):
        predictions.read(workspace)


def test_branches_without_a_seed_in_common_are_a_sentence(several: Made) -> None:
    models = dict(several.models)
    large = models["large"]
    models["large"] = predictions.Predictions(large.config, {2: large.runs[2]})
    with pytest.raises(ValueError, match="Found seeds 2 of the large and 0, 1 of the small"):
        predictions.methods(several.val, models, FUSION, **REPLACED)

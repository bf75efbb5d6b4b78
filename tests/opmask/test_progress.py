"""Both methods on the way: masks that lack known columns, fewer of them the longer they train."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lib.files import write_json
from lib.metrics.coco_ap import evaluate
from lib.opmask import progress
from lib.opmask.predictions import DIFFERENCE, Models
from tests.fixtures.opmask import MISSING, SHIFTS, SIDE, Made, one, predictions

DRAWN = {"resamples": 20, "seed": 0}
LATER = {0.5: 4, 0.25: 6}
"""Share of the training -> columns that masks without labels lack then, beside those at the end."""

WHERE = {"direction": "voc_to_nonvoc", "metric": "mask_IoU"}


def watched(made: Made, folder: Path, *variants: str) -> Models:
    """Return models of the study whose runs predicted on the way."""
    models = dict(made.models)
    for variant in variants:
        model, runs = models[variant], {}
        for seed, run in model.runs.items():
            place = folder / f"{variant}.{seed}"
            place.mkdir(parents=True)
            for share, later in LATER.items():
                more = later + SHIFTS[model.method][seed]
                found, on_boxes = predictions(made.val, model.method, model.split, more)
                write_json(place / f"detections_val_at_{share:g}.json", found)
                write_json(place / f"masks_on_boxes_val_at_{share:g}.json", on_boxes)
            runs[seed] = replace(run, folder=place)
        models[variant] = replace(model, runs=runs)
    return models


def test_scores_and_gaps_on_the_way_are_as_by_hand(opmask_seeds: Made, tmp_path: Path) -> None:
    val = opmask_seeds.val
    models = watched(opmask_seeds, tmp_path, "baseline.voc", "opmask.voc")
    table = progress.progress_table(val, models, **DRAWN)
    means = table[table["seed"].isna()]
    assert set(table["direction"]) == {"voc_to_nonvoc"}  # the other did not predict on the way
    assert list(dict.fromkeys(means["share"])) == [0.25, 0.5, 1.0]
    for share, more in {**LATER, 1.0: 0}.items():
        of = partial(one, means, **WHERE, share=share)
        for method in ("baseline", "opmask"):
            missing = MISSING[method] + more + np.mean(SHIFTS[method])
            weak = 100 * (SIDE - missing) / SIDE
            assert of(method=method, classes="unsupervised")["ours"] == pytest.approx(weak)
            assert of(method=method, classes="supervised")["ours"] == pytest.approx(100)
            assert of(method=method, classes=progress.GAP)["ours"] == pytest.approx(100 - weak)
        gain = of(method=DIFFERENCE, classes="unsupervised")
        assert gain["ours"] == pytest.approx(100 * 5 / SIDE) and gain["seeds"] == 3
        assert of(method=DIFFERENCE, classes=progress.GAP)["ours"] == pytest.approx(-500 / SIDE)
        assert gain["ci_low"] < gain["ours"] < gain["ci_high"]  # seeds differ
    row = one(
        table[table["seed"] == 1], **WHERE, share=0.5, method="baseline", classes="unsupervised"
    )
    assert row["ours"] == pytest.approx(100 * (SIDE - 10 - 4 - 2) / SIDE) and row["seeds"] == 1


def test_ap_on_the_way_is_that_of_the_detections(opmask_seeds: Made, tmp_path: Path) -> None:
    val = opmask_seeds.val
    models = watched(opmask_seeds, tmp_path, "baseline.voc", "opmask.voc")
    table = progress.progress_table(val, models, **DRAWN)
    labels = val.categories.split("non_voc")
    each = [
        evaluate(val, found, iou_type="segm", labels=labels)
        for found, _ in (predictions(val, "opmask", "voc", 4 + n) for n in SHIFTS["opmask"])
    ]
    rows = table[table["seed"].isna() & (table["metric"] == "AP")]
    row = one(rows, share=0.5, method="opmask", classes="unsupervised")
    assert row["ours"] == pytest.approx(100 * np.mean([of.value("AP") for of in each]))


def test_the_figure_has_every_seed_and_the_line_both_gaps(
    opmask_seeds: Made, tmp_path: Path
) -> None:
    models = watched(opmask_seeds, tmp_path, "baseline.voc", "opmask.voc")
    table = progress.progress_table(opmask_seeds.val, models, **DRAWN)
    figure = progress.progress_figure(table)
    assert figure is not None
    assert [len(axes.lines) for axes in figure.axes] == [4 * (3 + 1)] * 2
    wide = progress.side_by_side(table)
    assert len(wide) == 2 * 3 and wide["share"].tolist() == ["25%", "50%", "100%"] * 2
    last = wide[(wide["metric"] == "mask IoU") & (wide["share"] == "100%")].iloc[0]
    assert last["baseline: gap"] == pytest.approx(100 * 11 / SIDE)
    line = progress.progress_line(table)
    gaps = [100 * (10 + 1 + 6) / SIDE, 100 * 11 / SIDE, 100 * (6 + 6) / SIDE, 100 * 6 / SIDE]
    first, end, ours, ours_end = (f"{gap:.1f}" for gap in gaps)
    assert f"since 25% of the training: baseline from {first} to {end}" in line
    assert f"OPMask from {ours} to {ours_end}." in line


def test_without_predictions_on_the_way_there_is_nothing(opmask_study: Made) -> None:
    table = progress.progress_table(opmask_study.val, opmask_study.models, **DRAWN)
    assert table.empty and list(table) == list(progress.COLUMNS)
    assert progress.progress_figure(table) is None and progress.side_by_side(table).empty
    assert "No direction" in progress.progress_line(table)


def test_only_shares_that_all_runs_have_are_compared(opmask_seeds: Made, tmp_path: Path) -> None:
    models = watched(opmask_seeds, tmp_path, "baseline.voc", "opmask.voc")
    of = {name: models[f"{name}.voc"] for name in ("baseline", "opmask")}
    (of["opmask"].runs[2].folder / "detections_val_at_0.25.json").unlink()
    assert progress.shares(of) == [0.5]

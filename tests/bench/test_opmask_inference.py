"""Time and memory of inference, from hand-made measurements."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lib.bench import opmask_inference as inference
from lib.metrics.claims import load_claims
from tests.fixtures.opmask import Made

DRAWN = {"resamples": 50, "seed": 0}


def measured(slower: float, memory: float = 1.0) -> dict[str, Any]:
    """Six images, three rounds; the slowest round of each is a hiccup."""
    rows = [
        {"model": model, "image_id": image, "round": turn,
         "seconds": 0.01 * image * factor * (5 if turn == 2 else 1)}
        for image in range(1, 7) for turn in range(3)
        for model, factor in (("baseline", 1.0), ("opmask", slower))
    ]  # fmt: skip
    fact = {"parameters": 2_000_000, "weights_mib": 8.0, "peak_mib": 30.0, "detections": 12.5}
    models = {"baseline": fact, "opmask": fact | {"peak_mib": 30.0 * memory}}
    return {"models": models, "rows": rows, "device": "CPU", "threads": 2, "images": 6, "rounds": 3}


def test_times_are_medians_and_their_ratio_is_paired() -> None:
    table = inference.inference_table(measured(1.1), **DRAWN).set_index("method")
    assert table.loc["baseline", "seconds"] == pytest.approx(0.035)
    assert table.loc["opmask", "seconds"] == pytest.approx(0.0385)
    ratio = table.loc[inference.RATIO]
    assert (ratio["seconds"], ratio["ci_low"], ratio["ci_high"]) == pytest.approx((1.1, 1.1, 1.1))
    assert ratio["parameters"] == 1


def test_the_models_are_those_of_a_direction_that_has_both(opmask_study: Made) -> None:
    runs = opmask_study.models
    files = inference.models(runs)
    assert {m: path.parent.name for m, path in files.items()} == {
        m: f"06_train_opmask.{m}.voc.seed0" for m in ("baseline", "opmask")
    }
    assert inference.options(runs)[:2] == ["--model", f"baseline={files['baseline']}"]
    few = {v: runs[v] for v in ("opmask.voc", "baseline.all", "opmask.all")}
    assert inference.models(few)["opmask"].parent.name.endswith("opmask.all.seed0")
    assert inference.options({"opmask.voc": runs["opmask.voc"]}) == []


def test_the_claim_is_observed_with_its_backbone_alone(opmask_study: Made) -> None:
    table = inference.inference_table(measured(1.1), **DRAWN)
    assert inference.observations(table, opmask_study.models) == []
    large = {
        v: replace(run, config=run.config.model_copy(update={"backbone": "resnet50"}))
        for v, run in opmask_study.models.items()
    }
    (seen,) = inference.observations(table, large)
    assert seen.id in {c.id for c in load_claims().claims}
    assert np.isclose(seen.observed or 0, 1.1)

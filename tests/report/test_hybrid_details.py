"""Which models detect well enough to be compared, and how long each learnt."""

from pathlib import Path

import pandas as pd
import pytest

from lib.engine.config import TrainConfig
from lib.files import write_json
from lib.models.config import ModelConfig
from lib.report.hybrid_details import floor_line, reaches, with_schedule
from lib.report.hybrid_runs import REQUIRED
from lib.runner.study import Study
from lib.runner.workspace import STEP_VARIABLE, Workspace


def boxes(**changed: float) -> pd.DataFrame:
    reached = dict.fromkeys(REQUIRED, 40.0) | changed
    return pd.DataFrame(
        [{"variant": v, "box_AP": a / 2, "box_AP50": a} for v, a in reached.items()]
    )


@pytest.mark.parametrize(
    ("changed", "enough", "words"),
    [
        ({"small": 20.0}, True, "yes, the lowest is 20.0 (small)"),
        ({"small": 19.9}, False, "NO, the lowest is 19.9 (small)"),
        ({"pixel": float("nan")}, False, "NO, the lowest is nan (pixel)"),
        ({"ablation.drop": 1.0}, True, "yes, the lowest is 40.0"),
    ],
)
def test_compared_models_must_all_reach_the_floor(changed, enough, words):
    assert reaches(boxes(**changed), 0.2) == enough
    assert words in floor_line(boxes(**changed), 0.2)


def test_images_seen_are_iterations_times_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(STEP_VARIABLE, raising=False)
    study = Study(tmp_path)
    config = TrainConfig(
        model=ModelConfig(method="faster_rcnn"),
        annotations="a",
        images="i",
        out="o",
        iterations=7,
        batch_size=3,
    )
    for variant in REQUIRED:
        folder = study.step_folder("demo", f"04_train_hybrid.{variant}")
        folder.mkdir(parents=True)
        write_json(folder / "config.json", config.model_dump(mode="json"))
    table = with_schedule(boxes(), Workspace("demo", "05_hybrid_results", study=study))
    assert list(table["variant"]) == list(REQUIRED)
    assert set(table["images_seen"]) == {21}
    assert set(table["box_AP50"]) == {40.0}

"""Which models detect well enough to be compared, and how long each learnt."""

from pathlib import Path

import pandas as pd
import pytest

from lib.files import write_json
from lib.hybridnet.boxes import floor_line, reaches, with_schedule
from lib.hybridnet.predictions import REQUIRED, Predictions, Run
from lib.models.config import ModelConfig
from lib.study import Study
from lib.training.config import TrainConfig
from lib.workspace import STEP_VARIABLE, Workspace


def boxes(**changed: float) -> pd.DataFrame:
    reached = dict.fromkeys(REQUIRED, 40.0) | changed
    return pd.DataFrame(
        [{"variant": v, "box_AP": a / 2, "box_AP50_least": a} for v, a in reached.items()]
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


def test_images_seen_and_masks_learnt_are_those_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(STEP_VARIABLE, raising=False)
    study = Study(tmp_path)
    masks = {"model": {"method": "mask_rcnn"}}
    changed = {
        "small": {},
        "pixel": {},
        "baseline": masks,
        "large": masks | {"invalid": "box_only"},
    }
    config = TrainConfig(
        model=ModelConfig(method="faster_rcnn"),
        annotations=str(tmp_path / "train.json"),
        images="i",
        out="o",
        iterations=7,
        batch_size=3,
    )
    square = {"segmentation": [[0, 0, 4, 0, 4, 4]], "pseudo": {"valid": True}}
    boxes_of = [square, square, {**square, "pseudo": {"valid": False}}, {"segmentation": []}]
    labels = {
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], **mask}
            for i, mask in enumerate(boxes_of)
        ],
    }
    write_json(tmp_path / "train.json", labels)
    models = {}
    for variant in REQUIRED:
        step = f"04_train_hybrid.{variant}.seed0"
        models[variant] = Predictions(config.model, {0: Run(step, [])})
        folder = study.step_folder("demo", step)
        folder.mkdir(parents=True)
        write_json(folder / "config.json", config.model_dump(mode="json") | changed[variant])
    table = with_schedule(boxes(), models, Workspace("demo", "05_hybrid_results", study=study))
    assert list(table["variant"]) == list(REQUIRED)
    assert set(table["images_seen"]) == {21}
    assert set(table["box_AP50_least"]) == {40.0}
    assert dict(zip(table["variant"], table["masks_learnt"], strict=True)) == {
        "baseline": 3, "large": 2, "small": 0, "pixel": 0
    }  # fmt: skip

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib import paths
from lib.data.prepare import find, prepare, scenes
from lib.data.scenes.settings import SceneSettings
from lib.data.sources import SetFiles, open_set
from lib.data.validation import BadLabels

Save = Callable[[Any], Path]
SMALL = SceneSettings(width=160, height=120, size_min=0.1, objects_min=1, objects_max=2)


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, the only one."""
    monkeypatch.setattr(paths, "ROOT", tmp_path / "repository")
    monkeypatch.setenv(paths.DATA_VARIABLE, str(tmp_path / "data"))
    return tmp_path / "data"


def test_scenes_are_made_once_and_each_recipe_has_its_own_folder(tmp_path: Path) -> None:
    made = scenes(tmp_path, counts={"train": 2, "val": 1}, settings=SMALL, classes=["dog"])
    assert list(made) == ["train", "val"]
    before = made["train"].annotations.stat().st_mtime_ns
    again = scenes(tmp_path, counts={"train": 2, "val": 0}, settings=SMALL, classes=["dog"])
    assert again == {"train": made["train"]}
    assert made["train"].annotations.stat().st_mtime_ns == before
    other = scenes(tmp_path, counts={"train": 2}, settings=SMALL, classes=["cat"])
    assert other["train"] != made["train"] and made["train"].annotations.exists()
    sets = prepare(made, out=tmp_path / "sets.json", check_images="decode")
    assert {name: len(s) for name, s in sets.items()} == {"train": 2, "val": 1}
    with pytest.raises(ValueError, match="scenes_train is 0"):
        scenes(tmp_path, counts={"train": 0, "val": 1}, settings=SMALL)


def test_a_custom_set_needs_annotations_and_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs both data_train_annotations"):
        find("custom")
    with pytest.raises(ValueError, match=r"needs both data_val_annotations .* found '' and 'x'"):
        here = str(tmp_path)
        find("custom", train_annotations=here, train_images=here, val_images="x")


def test_a_custom_set_may_lack_validation_and_masks(
    content: dict[str, Any], folder: Path, save: Save, tmp_path: Path
) -> None:
    for annotation in content["annotations"]:
        annotation.pop("segmentation", None)
    files = find("custom", train_annotations=str(save(content)), train_images=str(folder))
    sets = prepare(files, out=tmp_path / "sets.json")
    assert list(sets) == ["train"]
    assert open_set(tmp_path / "sets.json", "train").to_coco() == sets["train"].to_coco()


def test_usual_places_are_found_in_the_data_folders(data_folder: Path) -> None:
    (data_folder / "coco2017" / "annotations").mkdir(parents=True)
    (data_folder / "coco2017" / "train2017").mkdir()
    (data_folder / "coco2017" / "images").mkdir()
    for name in ("train", "val"):
        (data_folder / "coco2017" / "annotations" / f"instances_{name}2017.json").touch()
    found = find("coco")
    assert found["train"].images == data_folder / "coco2017" / "train2017"
    assert found["val"].images == data_folder / "coco2017" / "images"
    assert found["val"].annotations.name == "instances_val2017.json"
    named = find("coco", val_images="coco2017/train2017")
    assert named["val"].images == data_folder / "coco2017" / "train2017"


def test_absent_data_sets_are_errors_that_list_where_they_were_looked_for(
    data_folder: Path,
) -> None:
    with pytest.raises(FileNotFoundError, match=r"voc2012/annotations/train\.json"):
        find("voc")


def test_dropped_labels_stay_dropped_for_later_steps(
    content: dict[str, Any], folder: Path, save: Save, tmp_path: Path
) -> None:
    content["annotations"][1]["bbox"] = [3, 3, 0, 4]
    (folder / "c.png").unlink()
    files = {"train": SetFiles(save(content), folder)}
    with pytest.raises(BadLabels):
        prepare(files, out=tmp_path / "out" / "sets.json")
    assert not (tmp_path / "out" / "sets.json").exists()
    sets = prepare(files, out=tmp_path / "out" / "sets.json", on_bad="drop")
    assert sets["train"].dropped == {"image_missing": 1, "box_zero_area": 1}
    later = open_set(tmp_path / "out" / "sets.json", "train")
    assert later.annotations_path == tmp_path / "out" / "train.json"
    assert later.to_coco() == sets["train"].to_coco()
    assert [x.id for x in later.all_instances()] == [11, 5]


def test_sets_must_agree_on_categories(
    content: dict[str, Any], folder: Path, save: Save, tmp_path: Path
) -> None:
    other = copy.deepcopy(content)
    other["categories"].append({"id": 5, "name": "sofa"})
    (tmp_path / "other.json").write_text(json.dumps(other))
    files = {
        "train": SetFiles(save(content), folder),
        "val": SetFiles(tmp_path / "other.json", folder),
    }
    with pytest.raises(ValueError, match=r"different categories .5 'sofa'"):
        prepare(files, out=tmp_path / "sets.json")


def test_pictures_in_both_sets_are_warned_of(
    content: dict[str, Any],
    folder: Path,
    save: Save,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = {name: SetFiles(save(content), folder) for name in ("train", "val")}
    with caplog.at_level(logging.WARNING):
        prepare(files, out=tmp_path / "sets.json")
    assert "3 pictures are both in train and in val" in caplog.text


def test_unknown_sources_are_refused() -> None:
    with pytest.raises(ValueError, match="data_source is one of embedded, coco, voc, custom"):
        find("imagenet")  # type: ignore[arg-type]

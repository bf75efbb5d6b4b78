import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib import paths
from lib.data import prepare as module
from lib.data.prepare import find, prepare, scenes
from lib.data.scenes.settings import SceneSettings
from lib.data.sources import SetFiles, open_set
from lib.data.validation import BadLabels
from lib.files import read_json, write_json

Save = Callable[[Any], Path]
SMALL = SceneSettings(width=160, height=120, size_min=0.1, objects_min=1, objects_max=2)


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, the only one."""
    monkeypatch.setattr(paths, "ROOT", tmp_path / "repository")
    monkeypatch.setenv(paths.DATA_VARIABLE, str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def sound(content: dict[str, Any], folder: Path, save: Save) -> SetFiles:
    """The sound set of three pictures, on disk."""
    return SetFiles(save(content), folder)


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


@pytest.mark.parametrize("counts", [{"val": 1, "train": 0}, {"train": 1, "val": -1}])
def test_impossible_numbers_of_scenes_are_refused_before_any_is_made(
    tmp_path: Path, counts: Any
) -> None:
    with pytest.raises(ValueError, match="scenes_"):
        scenes(tmp_path, counts=counts, settings=SMALL)
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_set_is_not_taken_for_the_whole(
    sound: SetFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"train": sound}
    out = tmp_path / "sets.json"
    with pytest.raises(ValueError, match=r'has 3 usable images.* set data_source to "custom"'):
        prepare(files, out=out, source="coco")
    assert not out.exists()
    monkeypatch.setitem(module.WHOLE["coco"], "train", 3)  # type: ignore[arg-type]
    assert list(prepare(files, out=out, source="coco")) == ["train"]


@pytest.mark.parametrize("crowd", [False, True])
def test_a_set_without_objects_can_be_judged_on_but_not_learned_from(
    crowd: bool, sound: SetFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = read_json(sound.annotations)
    empty["annotations"] = [{**empty["annotations"][0], "iscrowd": 1}] if crowd else []
    write_json(tmp_path / "empty.json", empty)
    nothing = SetFiles(tmp_path / "empty.json", sound.images)
    with pytest.raises(ValueError, match=r"empty\.json has no object .* nothing to learn from"):
        prepare({"train": nothing}, out=tmp_path / "sets.json")
    with caplog.at_level(logging.WARNING):
        prepare({"train": sound, "val": nothing}, out=tmp_path / "sets.json")
    assert "empty.json has no object" in caplog.text


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
    with pytest.raises(FileNotFoundError, match=r"voc2012/annotations/train\.json"):
        find("voc")


def test_dropped_labels_stay_dropped_for_later_steps(
    content: dict[str, Any], folder: Path, save: Save, tmp_path: Path
) -> None:
    content["annotations"][1]["bbox"] = [3, 3, 0, 4]
    (folder / "c.png").unlink()
    files = {"train": SetFiles(save(content), folder)}
    with pytest.raises(BadLabels, match=r"--set data\.on_bad=repair"):
        prepare(files, out=tmp_path / "out" / "sets.json", on_bad="error")
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
    other = content | {"categories": [*content["categories"], {"id": 5, "name": "sofa"}]}
    write_json(tmp_path / "other.json", other)
    files = {
        "train": SetFiles(save(content), folder),
        "val": SetFiles(tmp_path / "other.json", folder),
    }
    with pytest.raises(ValueError, match=r"different categories .5 'sofa'"):
        prepare(files, out=tmp_path / "sets.json")


def test_a_root_that_one_set_uses_is_a_class_of_both(
    content: dict[str, Any], folder: Path, save: Save, tmp_path: Path
) -> None:
    content["categories"] = [
        {"id": 0, "name": "vehicle", "supercategory": "none"},
        *({"id": i, "name": f"{i}", "supercategory": "vehicle"} for i in (4, 90)),
    ]
    write_json(tmp_path / "val.json", content)
    content["annotations"][0]["category_id"] = 0
    files = {
        "train": SetFiles(save(content), folder),
        "val": SetFiles(tmp_path / "val.json", folder),
    }
    out = tmp_path / "out" / "sets.json"
    sets = prepare(files, out=out, on_bad="repair")
    for name in files:
        assert sets[name].categories.ids == open_set(out, name).categories.ids == (0, 4, 90)
    assert [x.label for x in open_set(out, "val").all_instances()] == [2, 3, 2]


def test_pictures_in_both_sets_are_warned_of(
    sound: SetFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        prepare({"train": sound, "val": sound}, out=tmp_path / "sets.json")
    assert "3 pictures are both in train and in val" in caplog.text


def test_several_training_files_are_opened_as_one_set(
    content: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    parts = [tmp_path / f"part{n}.json" for n in range(3)]
    for part, image in zip(parts, content["images"], strict=True):
        own = [x for x in content["annotations"] if x["image_id"] == image["id"]]
        write_json(part, content | {"images": [image], "annotations": own})
    files = find(
        "custom",
        train_annotations=[str(path) for path in parts],
        train_images=str(folder),
        merged=tmp_path / "train.json",
    )
    assert files["train"].annotations == tmp_path / "train.json"
    assert len(prepare(files, out=tmp_path / "sets.json")["train"]) == 3


def test_only_images_whose_every_object_has_a_mask_are_kept(
    content: dict[str, Any], folder: Path, save: Save, tmp_path: Path
) -> None:
    """Image 7 has a box alone, 3 a mask, 9 no object."""

    def kept() -> set[int]:
        files = dict.fromkeys(("train", "val"), SetFiles(save(content), folder))
        sets = prepare(files, out=tmp_path / "out" / "sets.json", whole_masks=["val"])
        assert len(sets["train"]) == 3
        return {image.id for image in open_set(tmp_path / "out" / "sets.json", "val").images}

    assert kept() == {3, 9}
    content["images"][2]["clean"] = False
    assert kept() == {3}
    for annotation in content["annotations"]:
        annotation["segmentation"] = []
    with pytest.raises(ValueError, match="data_val_whole_masks"):
        kept()

"""Properties of the written set: determinism, COCO format, and what a second call does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from lib.data import coco
from lib.data.categories import COCO_CLASSES
from lib.data.scenes import generate as module
from lib.data.scenes.artwork import available_classes
from lib.data.scenes.generate import generate, scene
from lib.data.scenes.settings import SceneSettings
from lib.files import read_json

SMALL = SceneSettings(width=160, height=120, size_min=0.08)
FEW = ["person", "cat", "dog", "couch", "tv"]
COUNT = 17  # more than one process is given


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    return generate(folder, split="val", count=COUNT, settings=SMALL, seed=1, workers=1)


def test_any_number_of_workers_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    generate(tmp_path, split="val", count=COUNT, settings=SMALL, seed=1, workers=2)
    assert _contents(tmp_path) == _contents(written.parent)


def test_a_scene_depends_on_its_number_alone() -> None:
    classes = tuple(available_classes())

    def draw(index: int, split: str = "train", seed: int = 0) -> np.ndarray:
        return scene(index, split=split, settings=SMALL, classes=classes, seed=seed)[0]  # type: ignore[arg-type]

    forward = [draw(i) for i in range(4)]
    backward = [draw(i) for i in reversed(range(4))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    others = [draw(1), draw(0, split="dev"), draw(0, split="val"), draw(0, seed=1)]
    assert not any(np.array_equal(forward[0], other) for other in others)


def test_annotations_are_valid_coco_with_tight_boxes(written: Path) -> None:
    content = json.loads(written.read_text())
    assert [i["id"] for i in content["images"]] == list(range(1, COUNT + 1))
    assert [a["id"] for a in content["annotations"]] == [
        n + 1 for n in range(len(content["annotations"]))
    ]
    names = dict(COCO_CLASSES)
    assert all(names[c["id"]] == c["name"] for c in content["categories"])
    seen: dict[int, np.ndarray] = {}
    for annotation in content["annotations"]:
        mask = coco_mask.decode(annotation["segmentation"]).astype(bool)
        assert mask.shape == (120, 160) and annotation["area"] == mask.sum() >= 20
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width - 1, y + height - 1) == (columns.max(), rows.max())
        assert annotation["iscrowd"] == 0 and isinstance(annotation["drawing"], str)
        before = seen.setdefault(annotation["image_id"], np.zeros_like(mask))
        assert not (before & mask).any()
        before |= mask


def test_the_set_opens_and_its_pictures_have_the_stated_size(written: Path) -> None:
    opened = coco.load(written, written.parent / "images")
    assert len(opened.images) == COUNT and not any(opened.dropped.values())
    for image in json.loads(written.read_text())["images"]:
        picture = cv2.imread(str(written.parent / "images" / image["file_name"]))
        assert picture is not None and picture.shape == (image["height"], image["width"], 3)


def test_info_states_settings_and_credits(written: Path) -> None:
    info = json.loads(written.read_text())["info"]
    assert info["settings"] == SMALL.to_dict()
    assert (info["seed"], info["split"], info["count"]) == (1, "val", COUNT)
    assert "CC BY 4.0" in info["credit"]
    used = {i["background"] for i in json.loads(written.read_text())["images"]}
    files = {name.split(":")[1] for name in used if name.startswith("photo:")}
    assert files and files <= set(info["backgrounds"])


REQUEST: dict[str, Any] = {"split": "train", "settings": SMALL, "classes": FEW, "workers": 1}


def test_a_second_call_does_nothing_and_another_one_leaves_nothing_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = generate(tmp_path, count=2, **REQUEST)
    before = _contents(tmp_path)

    def drawn_again(*_: object) -> None:
        raise RuntimeError("scenes were drawn again")

    monkeypatch.setattr(module, "_write_scenes", drawn_again)
    assert generate(tmp_path, count=2, **REQUEST) == path and _contents(tmp_path) == before
    changed = REQUEST | {"settings": replace(SMALL, noise=1.0)}
    with pytest.raises(RuntimeError, match="drawn again"):
        generate(tmp_path, count=2, **changed)
    assert not path.exists()


def test_scenes_of_other_code_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_json(generate(tmp_path, count=1, **REQUEST))["info"]
    changed = tmp_path / "seeds.py"
    changed.write_text("x = 1")
    monkeypatch.setattr(module, "_CODE", (*module._CODE[:-1], changed))
    assert read_json(generate(tmp_path, count=1, **REQUEST))["info"]["recipe"] != before["recipe"]


def test_an_interrupted_call_leaves_no_annotations_and_the_next_one_repairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _contents(generate(tmp_path / "whole", count=3, **REQUEST).parent)
    draw, cut = module.scene, tmp_path / "cut"

    def stops(index: int, **kwargs: Any) -> object:
        if index == 2:
            raise KeyboardInterrupt
        return draw(index, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "scene", stops)
        with pytest.raises(KeyboardInterrupt):
            generate(cut, count=3, **REQUEST)
    assert not (cut / "annotations.json").exists()
    generate(cut, count=3, **REQUEST)
    assert _contents(cut) == whole
    (cut / "images/000002.jpg").unlink()
    generate(cut, count=3, **REQUEST)
    assert _contents(cut) == whole


def test_a_folder_with_other_data_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/holiday.jpg").write_bytes(b"mine")
    with pytest.raises(ValueError, match="Choose another folder"):
        generate(tmp_path, split="train", count=1, settings=SMALL, classes=FEW, workers=1)
    assert (tmp_path / "images/holiday.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("field", "value"), [("split", "test"), ("count", 0), ("workers", -1), ("classes", ["bench"])]
)
def test_wrong_requests_are_refused(tmp_path: Path, field: str, value: object) -> None:
    request = {"split": "train", "count": 1, "settings": SMALL, "classes": FEW, field: value}
    with pytest.raises(ValueError, match=str(value).strip("[]")):
        generate(tmp_path / "new", **request)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()

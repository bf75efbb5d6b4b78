"""Properties of the written set: determinism, COCO format, and what a second call does."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from lib import seeds
from lib.data import categories, coco
from lib.data.categories import COCO_CLASSES
from lib.data.scenes import generate as module
from lib.data.scenes import provenance
from lib.data.scenes.artwork import available_classes
from lib.data.scenes.generate import generate, scene
from lib.data.scenes.settings import SceneSettings

SMALL = SceneSettings(width=160, height=120, size_min=0.08)
FEW = ["person", "cat", "dog", "couch", "tv"]
COUNT = 20


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _states(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return what changes when a picture or the annotations are written again."""
    files = [folder / "annotations.json", *(folder / "images").iterdir()]
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def _wrong_call(*args: object, **kwargs: object) -> None:
    raise AssertionError("scenes were drawn again")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    return generate(folder, split="val", count=COUNT, settings=SMALL, seed=1, workers=1)


def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path) -> None:
    for workers in (1, 2):
        generate(
            tmp_path / str(workers), split="train", count=20, settings=SMALL, classes=FEW, seed=5,
            workers=workers,
        )  # fmt: skip
    assert _contents(tmp_path / "1") == _contents(tmp_path / "2")


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


def test_a_second_call_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = {"split": "train", "count": 3, "settings": SMALL, "classes": FEW, "workers": 1}
    path = generate(tmp_path, **request)  # type: ignore[arg-type]
    before = _states(tmp_path)
    assert len(before) == 4
    with monkeypatch.context() as patch:
        patch.setattr(module, "_in_parallel", _wrong_call)
        assert generate(tmp_path, **request) == path  # type: ignore[arg-type]
        assert _states(tmp_path) == before
        changed = replace(SMALL, noise=1.0)
        with pytest.raises(AssertionError, match="drawn again"):
            generate(tmp_path, **{**request, "settings": changed})  # type: ignore[arg-type]
    assert not path.exists()  # the interrupted change removed the old set: nothing stale remains


@pytest.mark.parametrize("used", [seeds, categories])
def test_other_code_is_another_recipe(used: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def recipe() -> object:
        made = provenance.info(split="val", count=1, settings=SMALL, classes=(), seed=0)
        return made["recipe"]

    before, read = recipe(), Path.read_text
    changed = Path(str(used.__file__))
    monkeypatch.setattr(
        Path, "read_text", lambda p, **how: read(p, **how) + "\nx = 1" * (p == changed)
    )
    assert recipe() != before


def test_an_interrupted_call_leaves_no_annotations_and_the_next_one_repairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"split": "train", "count": 4, "settings": SMALL, "classes": FEW, "workers": 1}
    whole = _contents(generate(tmp_path / "whole", **request).parent)  # type: ignore[arg-type]
    draw, calls = module.scene, []

    def stops(index: int, **kwargs: object) -> object:
        calls.append(index)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return draw(index, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "scene", stops)
        with pytest.raises(KeyboardInterrupt):
            generate(tmp_path / "cut", **request)  # type: ignore[arg-type]
    assert not (tmp_path / "cut/annotations.json").exists()
    generate(tmp_path / "cut", **request)  # type: ignore[arg-type]
    assert _contents(tmp_path / "cut") == whole
    (tmp_path / "cut/images/000002.jpg").unlink()
    generate(tmp_path / "cut", **request)  # type: ignore[arg-type]
    assert _contents(tmp_path / "cut") == whole


def test_damaged_scenes_are_made_again(tmp_path: Path) -> None:
    request = {"split": "train", "count": 2, "settings": SMALL, "classes": FEW, "workers": 1}
    generate(tmp_path, **request)  # type: ignore[arg-type]
    whole = _contents(tmp_path)
    for name in ("annotations.json", "images/000002.jpg", provenance.DIGESTS):
        data = (tmp_path / name).read_bytes()
        for damaged in (b"[]", data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]):
            (tmp_path / name).write_bytes(damaged)
            generate(tmp_path, **request)  # type: ignore[arg-type]
            assert _contents(tmp_path) == whole, name


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

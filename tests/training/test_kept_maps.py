"""Kept maps: the same models and predictions as without, whatever happens to the files."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import pytest
import torch
import torchvision
from filelock import FileLock

from lib.data.coco import CocoSet, load
from lib.files import TEMPORARY, read_json, write_json
from lib.masks.rle import encode
from lib.models.detector import Detector
from lib.runner.fingerprint import with_effect
from lib.training import dataset, kept_maps
from lib.training.checkpoint import load_model
from lib.training.config import TrainConfig
from lib.training.predict import predict
from lib.training.train import prepare, train
from tests.fixtures.models import FROZEN, tiny_config
from tests.fixtures.training import HEIGHT, WIDTH, equal, interrupt, tiny_run, weights
from tests.training import several
from tests.training.several import Several


@pytest.fixture
def pictures(drawn: CocoSet) -> CocoSet:
    """The drawn set, with two pictures that are padded to another size than those beside them."""
    path = drawn.annotations_path
    content = read_json(path)
    for image in content["images"][3:5]:
        file = str(path.parent / "images" / image["file_name"])
        larger = cv2.copyMakeBorder(cv2.imread(file), 0, 15, 0, 0, cv2.BORDER_REFLECT)
        cv2.imwrite(file, larger)
        image["height"], image["width"] = larger.shape[:2]
    for annotation in content["annotations"]:
        if annotation["image_id"] in (4, 5):
            annotation["segmentation"] = []
    write_json(path, content)
    return load(path, path.parent / "images")


def frozen_run(folder: Path, name: str, *, maps: str = "maps", **changes: Any) -> TrainConfig:
    """A run that keeps maps in a folder, "" for none; ``parts`` are its model's frozen parts."""
    settings = {
        "model": tiny_config("opmask", **FROZEN, frozen_parts=changes.pop("parts", ())),
        "maps": str(folder / maps) if maps else "",
        "out": str(folder / name),
    }
    return tiny_run(folder, **(settings | changes))


def trained(config: TrainConfig) -> bytes:
    """Train and return the model file."""
    return train(config).read_bytes()


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "maps").glob("*.npz")}


def filled(config: TrainConfig, coco: CocoSet, **changes: Any) -> int:
    """Fill a run's folder as its training does, and return how many files were made."""
    model = prepare(config, coco)
    maps = kept_maps.kept_maps(model, config.maps, gib=config.maps_gib)
    assert maps is not None
    return maps.fill(coco.images, model.look, **({"mirrored": config.flip} | changes))


def gib(count: int) -> float:
    return count / 2**30


def test_training_from_kept_maps_and_from_pictures_gives_the_same_bytes(pictures, tmp_path):
    detector = str(train(frozen_run(tmp_path, "detector", maps="", iterations=1)))
    for name, changes in {"body": {}, "pyramid": {"parts": ("fpn", "rpn")}}.items():
        run = changes | {"init": detector, "batch_size": 3}
        plain = trained(frozen_run(tmp_path, name, maps="", **run))
        first = frozen_run(tmp_path, f"{name}-first", **run)
        interrupt(first, 3)
        assert not Path(first.out, "model.pt").exists()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(dataset, "pixels", lambda _: pytest.fail("a picture was read"))
            patched.setattr(kept_maps, "pixels", lambda _: pytest.fail("maps were made again"))
            assert trained(first) == plain
            assert trained(frozen_run(tmp_path, f"{name}-second", **run)) == plain
    assert len(kept(tmp_path)) == 2 * len(pictures.images), "mirrored or not, for both"


def test_predictions_from_kept_maps_and_from_pictures_are_the_same(pictures, tmp_path):
    model = load_model(train(frozen_run(tmp_path, "out", maps="")))
    found = [
        predict(
            model,
            pictures,
            device=torch.device("cpu"),
            batch_size=4,
            cams=True,
            maps_folder=folder,
        )
        for folder in ("", str(tmp_path / "maps"), str(tmp_path / "maps"))
    ]
    assert found[0].detections and len(kept(tmp_path)) == len(pictures.images)
    for other in found[1:]:
        for name, value in vars(found[0]).items():
            np.testing.assert_equal(getattr(other, name), value)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 15), (3, 90)])
def test_pictures_smaller_than_what_they_are_padded_to_train_and_are_kept_like_others(
    tmp_path, width, height
):
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    records, things = [], []
    for number in (1, 2):
        picture = np.full((height, width, 3), 40 * number, np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        mask = np.ones((height, width), bool)
        records.append(
            {"id": number, "file_name": f"{number}.png", "width": width, "height": height}
        )
        things.append(
            {
                "id": number, "image_id": number, "category_id": 1, "iscrowd": 0,
                "bbox": [0, 0, width, height], "area": width * height, "segmentation": encode(mask),
            }
        )  # fmt: skip
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "cup"}]
    content = {"images": records, "annotations": things, "categories": categories}
    write_json(folder / "annotations.json", content)
    plain = trained(frozen_run(tmp_path, "plain", maps="", iterations=2, steps=()))
    config = frozen_run(tmp_path, "out", iterations=2, steps=())
    assert trained(config) == plain
    coco = load(folder / "annotations.json", folder / "images")
    found = predict(load_model(Path(config.out) / "model.pt"), coco, device=torch.device("cpu"))
    assert len(found.masks_on_boxes) == 2


def cut(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def put_another_in_its_place(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def give_another_shape(path: Path, other: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"0": arrays["0"][:, :-1]}))


def leave_nothing(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def fill_with_zeros(path: Path, other: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    "damage",
    [cut, flip_a_bit, put_another_in_its_place, give_another_shape, leave_nothing, fill_with_zeros],
)
def test_damaged_or_foreign_file_is_found_and_made_again(
    drawn, tmp_path, damage: Callable[[Path, Path], None]
):
    config = frozen_run(tmp_path, "out")
    assert filled(config, drawn) == 2 * len(drawn.images)
    before = kept(tmp_path)
    one, other = sorted((tmp_path / "maps").glob("*.npz"))[:2]
    damage(one, other)
    assert kept(tmp_path) != before
    assert filled(config, drawn) == 1
    assert kept(tmp_path) == before
    assert filled(config, drawn) == 0


def test_file_that_is_damaged_in_the_course_of_a_run_changes_nothing(pictures, tmp_path):
    plain = trained(frozen_run(tmp_path, "plain", maps=""))
    config = frozen_run(tmp_path, "out")
    interrupt(config, 3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kept_maps.KeptMaps, "fill", lambda *_, **__: 0)
        for path in sorted((tmp_path / "maps").glob("*.npz"))[::2]:
            path.unlink()
        assert trained(config) == plain


def test_limit_holds_and_what_finds_no_room_is_made_each_time(pictures, tmp_path, capsys):
    plain = trained(frozen_run(tmp_path, "plain", maps=""))
    whole = frozen_run(tmp_path, "whole")
    filled(whole, pictures)
    limit = sum(map(len, kept(tmp_path).values())) * 2 // 3
    config = frozen_run(tmp_path, "little", maps_gib=gib(limit))
    for _ in range(2):  # the second finds more than it may keep
        filled(config, pictures)
        assert limit / 2 < sum(map(len, kept(tmp_path).values())) <= limit
        for path in list((tmp_path / "maps").glob("*.npz"))[:1]:
            path.unlink()
    assert trained(config) == plain
    assert sum(map(len, kept(tmp_path).values())) <= limit
    said = capsys.readouterr().out
    assert "it is full. The maps of" in said and "changes no result" in said


def test_limit_below_one_picture_keeps_none_and_says_so(drawn, tmp_path, capsys):
    config = frozen_run(tmp_path, "out", maps_gib=gib(1000))
    assert filled(config, drawn) == 0 and not kept(tmp_path)
    count = 2 * len(drawn.images)
    assert f"it is full. The maps of {count} of {count} pictures" in capsys.readouterr().out


def test_files_of_others_go_first_those_longest_unused_before_the_rest(drawn, tmp_path):
    config = frozen_run(tmp_path, "out", flip=False)
    filled(config, drawn)
    files = sorted((tmp_path / "maps").glob("*.npz"))
    theirs = [path.rename(tmp_path / "maps" / f"{n}.maps.npz") for n, path in enumerate(files)]
    (tmp_path / "maps" / "somebody's.npz").write_bytes(b"own")
    for age, path in enumerate(theirs):
        os.utime(path, (1000 - age, 1000 - age))
    size = theirs[0].stat().st_size
    room = (len(theirs) + 2) * size
    filled(config.model_copy(update={"maps_gib": gib(room)}), drawn)
    assert [path.exists() for path in theirs] == [True, True, False, False, False, False]
    assert len(kept(tmp_path)) == len(theirs) + 3, "somebody's is not counted, nor touched"


def test_folder_that_cannot_be_written_is_told_and_what_is_in_it_is_used(
    drawn, tmp_path, monkeypatch, capsys
):
    plain = trained(frozen_run(tmp_path, "plain", maps=""))
    (tmp_path / "file").write_bytes(b"own")
    assert trained(frozen_run(tmp_path, "below", maps="file/maps")) == plain
    assert "file/maps: Not a directory. Move it away" in capsys.readouterr().out
    config = frozen_run(tmp_path, "out")
    filled(config, drawn)

    class Refusing(FileLock):
        def acquire(self, *_: Any, **__: Any) -> Any:
            raise PermissionError(errno.EACCES, "Permission denied", self.lock_file)

    monkeypatch.setattr(kept_maps, "FileLock", Refusing)
    monkeypatch.setattr(dataset, "pixels", lambda _: pytest.fail("a picture was read"))
    assert trained(config) == plain
    assert "Permission denied. Set its permissions right" in capsys.readouterr().out


def test_files_of_another_user_are_used_and_make_room_where_they_may(drawn, tmp_path, monkeypatch):
    config = frozen_run(tmp_path, "out")
    filled(config, drawn)
    before = kept(tmp_path)

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "utime", refuse)
    assert filled(config, drawn) == 0
    monkeypatch.setattr(Path, "unlink", refuse)
    assert filled(config.model_copy(update={"maps_gib": gib(1000)}), drawn) == 0
    assert kept(tmp_path) == before


def test_what_killed_processes_left_goes_and_nothing_of_others(drawn, tmp_path):
    folder = tmp_path / "maps"
    (folder / "run").mkdir(parents=True)
    left = folder / f"{TEMPORARY}0.maps.npz-ab.npz"
    others = [folder / f"{TEMPORARY}model.pt-ab.pt", folder / "run" / left.name]
    for path in (left, *others):
        path.write_bytes(b"begun")
    filled(frozen_run(tmp_path, "out"), drawn)
    assert not left.exists() and all(path.exists() for path in others)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("put", "sentence"),
    [
        (lambda _: None, "There is no picture .*finds it"),
        (a_folder, "is no picture file, but a folder"),
        pytest.param(
            a_pipe,
            "is no picture file, but a folder, a pipe",
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes"),
        ),
    ],
)
def test_picture_that_cannot_be_read_is_the_sentence_that_it_is_without(
    drawn, tmp_path, put: Callable[[Path], None], sentence: str
):
    path = drawn.images[0].path
    path.unlink()
    put(path)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        train(frozen_run(tmp_path, "out"))


def test_full_disk_is_told_and_does_not_end_the_run(drawn, tmp_path, monkeypatch, capsys):
    plain = trained(frozen_run(tmp_path, "plain", maps=""))

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(kept_maps, "atomic", full)
    assert trained(frozen_run(tmp_path, "out")) == plain
    assert "No space left on device. Make room there" in capsys.readouterr().out


def test_two_trainings_at_once_make_each_file_once_and_learn_the_same(drawn, tmp_path):
    configs = [frozen_run(tmp_path, name) for name in ("one", "other")]
    for config in configs:
        write_json(Path(f"{config.out}.json"), config.model_dump(mode="json"))
    running = [Several(several.train, Path(f"{c.out}.json"), processes=1) for c in configs]
    ended = [one.end() for one in running]
    assert [codes for codes, _ in ended] == [[0], [0]], ended
    made = "maps of {0}/{0} pictures".format(2 * len(drawn.images))
    assert "".join(said for _, said in ended).count(made) == 1
    assert len({Path(config.out, "model.pt").read_bytes() for config in configs}) == 1


def test_processes_that_train_together_use_them_too(drawn, tmp_path):
    states = []
    for name, maps in (("plain", ""), ("kept", "maps")):
        config = frozen_run(tmp_path, name, maps=maps)
        write_json(tmp_path / f"{name}.json", config.model_dump(mode="json"))
        codes, said = Several(several.train, tmp_path / f"{name}.json").end()
        assert codes == [0, 0], said
        states.append(weights(tmp_path / name / "model.pt"))
    assert equal(*states) and len(kept(tmp_path)) == 2 * len(drawn.images)


def names(model: Detector, coco: CocoSet, folder: Path) -> set[str]:
    maps = kept_maps.kept_maps(model, str(folder), gib=1)
    assert maps is not None
    maps.fill(coco.images[:1], model.look, mirrored=False)
    return {path.name for path in folder.glob("*.npz")}


def test_another_trunk_size_or_picture_has_another_file(drawn, tmp_path, monkeypatch):
    config = frozen_run(tmp_path, "out")
    model = prepare(config, drawn)
    assert len(names(model, drawn, tmp_path / "maps")) == 1
    model.roi_heads.box_predictor.cls_score.weight.data.zero_()  # after the trunk
    assert len(names(model, drawn, tmp_path / "maps")) == 1
    model.backbone.body.conv1[0][1][0].weight.data.mul_(2)
    assert len(names(model, drawn, tmp_path / "maps")) == 2
    model.transform.max_size += 32
    assert len(names(model, drawn, tmp_path / "maps")) == 3
    path = drawn.images[0].path
    cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert len(names(model, drawn, tmp_path / "maps")) == 4
    monkeypatch.setattr(kept_maps, "CODE", [{"lib/models/trunk.py": "changed"}, "pixels"])
    assert len(names(model, drawn, tmp_path / "maps")) == 5
    for count, package in enumerate((torch, torchvision, PIL), start=6):
        monkeypatch.setattr(package, "__version__", "another")
        assert len(names(model, drawn, tmp_path / "maps")) == count


def test_where_maps_are_kept_and_how_many_changes_no_run_and_no_step(drawn, tmp_path):
    config = frozen_run(tmp_path, "out")
    other = config.model_copy(update={"maps": "elsewhere", "maps_gib": 0.5})
    assert other.digest() == config.digest()
    assert with_effect({"train_maps_gib": 8.0, "train_seed": 0}) == {"train_seed": 0}
    model = prepare(config, drawn)
    assert kept_maps.kept_maps(model, config.maps, gib=0) is None
    assert kept_maps.kept_maps(model, "", gib=8) is None


def test_model_that_learns_all_or_in_several_sizes_keeps_none(drawn, tmp_path):
    for changes in ({"trainable_stages": 1}, {"min_size": (48, 64)}):
        model = prepare(frozen_run(tmp_path, "out", model=tiny_config(**(FROZEN | changes))), drawn)
        assert kept_maps.kept_maps(model, str(tmp_path / "maps"), gib=1) is None


def test_parts_that_would_stay_random_are_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"frozen_parts \(rpn\) would stay random.*init"):
        frozen_run(tmp_path, "out", parts=("rpn",))
    fresh = {
        "backbone": "resnet50",
        "anchor_sizes": (8, 16, 32, 64, 128),
        "weights": "some.pth",
        "fresh_stages": ("layer3", "layer4"),
    }
    for trainable, wrong in ((0, "layer3, layer4"), (1, "layer3")):
        model = tiny_config(**fresh, trainable_stages=trainable)
        with pytest.raises(ValueError, match=rf"stages \({wrong}\) would stay random.*init"):
            frozen_run(tmp_path, "out", model=model)
        frozen_run(tmp_path, "out", model=model, init="detector/model.pt")
    frozen_run(tmp_path, "out", model=tiny_config(**fresh, trainable_stages=2))

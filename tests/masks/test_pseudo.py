import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.data.coco import CocoSet, load
from lib.data.pictures.images import read_image
from lib.files import read_json, write_json
from lib.masks import rle
from lib.masks.gather import ImageBoxes, key
from lib.masks.grabcut.exact import GrabCutSettings
from lib.masks.grabcut.segmenter import prepare
from lib.masks.pseudo import generate, seed_of
from lib.masks.quality import mask_box_iou
from lib.paths import ROOT
from lib.progress import Progress

TWO = GrabCutSettings(iterations=2)
EXACT = GrabCutSettings(iterations=2, method="exact")


def made(coco_set: CocoSet, out: Path, **changes) -> Path:
    options = {"settings": TWO, "seed": 1, "workers": 1, "shard_size": 2}
    return generate(coco_set, out=out, **(options | changes))


def test_the_file_does_not_depend_on_workers_or_shards(make_set, tmp_path: Path) -> None:
    coco_set = make_set()
    one = made(coco_set, tmp_path / "one.json").read_bytes()
    assert made(coco_set, tmp_path / "two.json", workers=2, shard_size=1).read_bytes() == one
    assert made(coco_set, tmp_path / "big.json", shard_size=99).read_bytes() == one
    assert made(coco_set, tmp_path / "one.json", seed=2).read_bytes() != one
    assert not list(tmp_path.glob("*.shards"))


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_continued_gives_the_same_file(make_set, tmp_path: Path, workers: int) -> None:
    coco_set = make_set(images=24, boxes=4, size=(160, 120))
    whole = made(coco_set, tmp_path / "whole.json", shard_size=1).read_bytes()
    out = tmp_path / "masks.json"
    command = [sys.executable, "-m", "lib.masks", "--workers", str(workers), "--shard-size", "1"]
    command += ["--annotations", str(coco_set.annotations_path), "--images"]
    command += [str(coco_set.image_root), "--out", str(out), "--iterations", "2", "--seed", "1"]
    started = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    shards = tmp_path / "masks.shards"
    while started.poll() is None and len(list(shards.glob("*/[0-9]*.json"))) < 6:
        time.sleep(0.002)
    os.killpg(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert not out.exists()
    assert 6 <= len(list(shards.glob("*/[0-9]*.json"))) < 24

    steps: list[Progress] = []
    made(coco_set, out, shard_size=1, workers=workers, on_progress=steps.append)
    assert out.read_bytes() == whole
    assert steps[-1].done == steps[-1].total == 96
    assert steps[-1].earlier >= 24
    assert not shards.exists()


def stop_early(coco_set: CocoSet, out: Path, **changes) -> None:
    """Begin to make masks, and stop after the first shard."""

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(coco_set, out, on_progress=stop, **changes)


def test_shards_of_other_settings_or_pictures_are_not_used(make_set, tmp_path: Path) -> None:
    coco_set, out = make_set(), tmp_path / "masks.json"
    fresh = made(coco_set, tmp_path / "fresh.json").read_bytes()
    one = GrabCutSettings(iterations=1)
    for changes in ({"seed": 9}, {"settings": one}, {"settings": EXACT}, {"shard_size": 1}):
        stop_early(coco_set, out, **changes)
    assert len(list((tmp_path / "masks.shards").iterdir())) == 4 + 1  # and the lock
    assert made(coco_set, out).read_bytes() == fresh

    stop_early(coco_set, out)
    first = coco_set.images[0].path
    coco_set.images[1].path.replace(first)
    coco_set.images[0].path.touch()
    moved = coco_set.subset([image.id for image in coco_set.images if image.id != 2])
    assert made(moved, out).read_bytes() == made(moved, tmp_path / "new.json").read_bytes()


def test_a_picture_changed_under_its_old_time_has_other_shards(make_set) -> None:
    (image,) = make_set(images=1).images
    path, units = image.path, [(ImageBoxes(image, ()),)]
    before, state = key(units, {}), path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert key(units, {}) != before


@pytest.mark.parametrize(
    "content",
    [b"[]", b"", b"\xff\x00", b'{"digest": "0", "result": []}', b"[" * 9000],
)
def test_a_damaged_shard_is_made_again(make_set, tmp_path: Path, caplog, content: bytes) -> None:
    coco_set = make_set()
    whole = made(coco_set, tmp_path / "whole.json").read_bytes()
    out = tmp_path / "masks.json"

    stop_early(coco_set, out, shard_size=1)
    left = sorted(out.with_suffix(".shards").glob("*/*.json"))
    left[0].write_bytes(content)
    assert made(coco_set, out, shard_size=1).read_bytes() == whole
    assert "1 of" in caplog.text


def test_interrupted_work_with_other_settings_stays(make_set, tmp_path: Path, caplog) -> None:
    coco_set, out = make_set(), tmp_path / "masks.json"
    other = out.with_suffix(".shards") / "of_other_settings"
    other.mkdir(parents=True)
    (other / "000000.json").write_text("kept")
    made(coco_set, out)
    assert [p.name for p in out.with_suffix(".shards").rglob("*.json")] == ["000000.json"]
    assert "1 interrupted" in caplog.text
    (other / "000000.json").rename(out.with_suffix(".shards") / "notes.txt")
    other.rmdir()
    made(coco_set, out)
    assert [path.name for path in out.with_suffix(".shards").iterdir()] == ["notes.txt"]


def test_a_file_in_the_place_of_the_shards_is_a_sentence(make_set, tmp_path: Path) -> None:
    out = tmp_path / "masks.json"
    out.with_suffix(".shards").write_text("kept")
    with pytest.raises(ValueError, match=r"masks\.shards is a file, .* Rename the file"):
        made(make_set(images=1), out)
    assert out.with_suffix(".shards").read_text() == "kept"


def test_a_picture_that_is_gone_is_named_with_what_to_do(make_set, tmp_path: Path) -> None:
    coco_set = make_set()
    coco_set.images[3].path.unlink()
    with pytest.raises(FileNotFoundError, match=r"näme 4\.png any more.* run 01_data again"):
        made(coco_set, tmp_path / "masks.json")


def test_the_input_is_kept_and_its_masks_are_not(make_set, tmp_path: Path) -> None:
    coco_set = make_set()
    before = coco_set.to_coco()
    after = read_json(made(coco_set, tmp_path / "masks.json", valid_from=0.7))
    assert after["images"] == before["images"]
    assert after["categories"] == before["categories"]
    assert after["info"]["description"] == "made"
    assert after["info"]["pseudo_masks"] == {
        "method": "grabcut", "variant": "fast", "iterations": 2, "seed": 1,
        "opencv": cv2.__version__, "valid_from": 0.7,
    }  # fmt: skip
    for old, new in zip(before["annotations"], after["annotations"], strict=True):
        for field in ("id", "image_id", "category_id", "bbox", "iscrowd", "difficult"):
            assert new[field] == old[field]
        assert not isinstance(new["segmentation"], list) or new["segmentation"] == []


@pytest.mark.parametrize("settings", [TWO, EXACT], ids=["fast", "exact"])
def test_masks_quality_and_seeds_are_those_of_single_calls(
    make_set, tmp_path: Path, settings: GrabCutSettings
) -> None:
    coco_set = make_set()
    out = made(coco_set, tmp_path / "masks.json", settings=settings)
    result = load(out, coco_set.image_root)
    assert result.info["pseudo_masks"]["variant"] == settings.method
    seeds = set()
    for instance in result.all_instances():
        record = result.image(instance.image_id)
        assert instance.pseudo is not None
        seed = instance.pseudo["seed"]
        expected = prepare(read_image(record), settings).mask(instance.box, seed=seed)
        mask = rle.decode_mask(instance, record.height, record.width)
        assert np.array_equal(mask, expected)
        assert instance.area == mask.sum()
        assert instance.has_mask == mask.any()
        assert instance.pseudo["box_iou"] == mask_box_iou(mask, instance.box)
        assert instance.pseudo["valid"] == (instance.pseudo["box_iou"] >= 0.5)
        seeds.add(seed)
    assert len(seeds) == len(result.all_instances())
    assert seed_of(1, 100) in seeds


def test_crowd_regions_stay_without_a_mask(make_set, tmp_path: Path) -> None:
    content = make_set().to_coco()
    content["annotations"][0]["iscrowd"] = 1
    write_json(tmp_path / "crowd.json", content)
    coco_set = load(tmp_path / "crowd.json", tmp_path / "pictures")
    first, *others = read_json(made(coco_set, tmp_path / "masks.json"))["annotations"]
    assert first["segmentation"] == []
    assert "pseudo" not in first
    assert all("pseudo" in annotation for annotation in others)


def test_a_damaged_picture_is_named_and_the_rest_is_kept(make_set, tmp_path: Path) -> None:
    coco_set = make_set()
    coco_set.images[4].path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="näme 5"):
        made(coco_set, tmp_path / "masks.json", workers=2, shard_size=1)
    assert not (tmp_path / "masks.json").exists()


@pytest.mark.parametrize("wrong", [{"shard_size": 0}, {"valid_from": 1.5}, {"workers": -2}])
def test_settings_out_of_range_are_refused_before_any_work(make_set, tmp_path, wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"expected|workers is"):
        made(make_set(images=1), tmp_path / "masks.json", **wrong)
    assert not list(tmp_path.glob("masks*"))


@pytest.mark.photos
def test_masks_of_photographs_are_those_of_opencv_on_the_file(tmp_path: Path) -> None:
    from lib.paths import find_data

    try:
        root = find_data("voc2012/annotations/train.json").parents[1]
    except FileNotFoundError as error:
        pytest.skip(str(error))
    photographs = load(root / "annotations" / "train.json", root / "images", check_images="none")
    few = photographs.subset([image.id for image in photographs.images[:2]])
    result = load(made(few, tmp_path / "masks.json", settings=EXACT), few.image_root)
    for instance in result.all_instances():
        record = result.image(instance.image_id)
        labels = np.zeros((record.height, record.width), np.uint8)
        x1, y1, x2, y2 = (int(side) for side in instance.box)
        assert instance.pseudo is not None
        cv2.setRNGSeed(instance.pseudo["seed"])
        models = np.zeros((1, 65)), np.zeros((1, 65))
        picture = cv2.imread(str(record.path))
        cv2.grabCut(picture, labels, (x1, y1, x2 - x1, y2 - y1), *models, 2, cv2.GC_INIT_WITH_RECT)
        mask = rle.decode_mask(instance, record.height, record.width)
        assert np.array_equal(mask, labels % 2 == 1)

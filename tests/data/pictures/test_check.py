"""Pictures of a set as a whole: names, turns, sizes, and what people are told."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lib.data.coco import CocoSet, load
from lib.data.pictures import headers
from lib.data.pictures.images import read_image, read_rgb
from lib.data.prepare import prepare
from lib.data.sources import SetFiles, open_set
from lib.data.validation import BadLabels
from tests.fixtures.labels import labels


def gradient(width: int, height: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, rows + columns], axis=2).astype(np.uint8)


def picture(path: Path, size: tuple[int, int] = (40, 30), orientation: int = 1) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(gradient(*size)).save(path, exif=exif)


def opened(root: Path, images: dict[str, tuple[int, int]], **choices: Any) -> CocoSet:
    """Open the set that says these sizes of these files; each has one box of 4 x 4."""
    content = labels(
        *({"image_id": i, "bbox": [2, 2, 4, 4]} for i in range(len(images))),
        images=(
            {"id": i, "file_name": name, "width": width, "height": height}
            for i, (name, (width, height)) in enumerate(images.items())
        ),
    )
    path = root.parent / "labels.json"
    path.write_text(json.dumps(content))
    return load(path, root, **choices)


def upright(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 mean nothing
@pytest.mark.parametrize("deep", [False, True])
def test_every_turn_is_undone_or_left_as_asked(
    tmp_path: Path, orientation: int, *, deep: bool
) -> None:
    stored = gradient(40, 30)[:, :, 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "plain.png", exif=exif)
    file = tmp_path / "a.png"
    Image.fromarray(stored.astype(np.uint16) * 257 if deep else stored).save(file, exif=exif)
    assert (read_rgb(file)[:, :, 0] == upright(tmp_path / "plain.png")).all()
    assert (read_rgb(file, upright=False)[:, :, 0] == stored).all()
    Image.fromarray(stored).save(tmp_path / "a.tif", exif=exif)  # Pillow turns it by itself
    assert (read_rgb(tmp_path / "a.tif")[:, :, 0] == upright(tmp_path / "plain.png")).all()


@pytest.mark.parametrize("said", ["upright", "stored", "nothing"])
def test_where_size_cannot_decide_the_rest_of_the_set_does(
    tmp_path: Path, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    names = {"square.png": (30, 30), "half.png": (40, 30)}
    picture(root / "square.png", (30, 30), 6)
    picture(root / "half.png", (40, 30), 3)
    if said != "nothing":
        for i in range(2):
            picture(root / f"{i}.png", (40, 30), 6)
            names[f"{i}.png"] = (30, 40) if said == "upright" else (40, 30)
    made = opened(root, names)
    for record in made.images:
        stored = gradient(*((30, 30) if "square" in record.file_name else (40, 30)))
        expected = stored if said == "stored" else upright(record.path)
        assert (read_image(record) == expected).all(), record.file_name
    told = [r.getMessage() for r in caplog.records if "squares" in r.getMessage()]
    assert len(told) == 1 and ": 2 pictures" in told[0] and "orientation=" in told[0]


def test_a_forced_orientation_sets_the_size_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    picture(root / "a.png", (40, 30), 6)
    for orientation, size in (("upright", (30, 40)), ("stored", (40, 30))):
        for said in ((40, 30), (30, 40)):
            (record,) = opened(root, {"a.png": said}, orientation=orientation).images
            assert (record.width, record.height) == size
            assert read_image(record).shape[1::-1] == size


def test_a_box_that_would_be_inside_the_turned_picture_is_named_as_that(tmp_path: Path) -> None:
    root = tmp_path / "root"
    picture(root / "a.png", (40, 30), 6)
    made = opened(root, {"a.png": (40, 30)})
    content = made.to_coco()
    content["annotations"][0]["bbox"] = [3, 32, 20, 7]
    made.annotations_path.write_text(json.dumps(content))
    with pytest.raises(BadLabels, match=r"30 x 40.*EXIF.*orientation"):
        load(made.annotations_path, root)
    forced = load(made.annotations_path, root, orientation="upright")
    assert forced.all_instances()[0].box == (3, 32, 23, 39)
    with pytest.raises(ValueError, match="dropped"):  # not clipped: it lies elsewhere
        load(made.annotations_path, root, on_bad="repair")


def test_how_pictures_are_read_survives_a_file_and_a_study(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    picture(root / "images/a.png", (40, 30))
    picture(root / "square.png", (30, 30), 8)
    picture(tmp_path / "away.png", (40, 30))
    (root / "link.png").symlink_to("../away.png")
    names = {"D:\\x\\a.png": (40, 30), "square.png": (30, 30), "link.png": (40, 30)}
    made = opened(root, names, orientation="stored", outside="read")
    files = {"train": SetFiles(made.annotations_path, root)}
    prepare(files, out=tmp_path / "sets.json", orientation="stored", outside="read")
    again = open_set(tmp_path / "sets.json", "train")
    assert [record.file_name for record in again.images] == list(names)
    for one, other in zip(made.images, again.images, strict=True):
        assert one.path == other.path
        assert (read_image(one) == read_image(other)).all()
    assert (read_image(again.images[1]) == gradient(30, 30)).all()
    assert sum("last parts" in r.getMessage() for r in caplog.records) == 2  # one for each look


def test_a_label_file_cannot_give_itself_permission(tmp_path: Path) -> None:
    root = tmp_path / "root"
    picture(tmp_path / "away.png")
    root.mkdir()
    made = opened(root, {"../away.png": (40, 30)}, check_images="none")
    with pytest.raises(ValueError, match="outside"):
        read_image(made.images[0])
    content = made.to_coco()
    content["images"][0]["read_as"] = {"outside": True}
    made.annotations_path.write_text(json.dumps(content))
    with pytest.raises(BadLabels, match="outside"):
        load(made.annotations_path, root)


def test_two_images_are_never_read_from_one_file_by_guessing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    picture(root / "a.png")
    with pytest.raises(BadLabels, match=r"2 images of the list .* a\.png") as caught:
        opened(root, {"/x/a.png": (40, 30), "/y/a.png": (40, 30)})
    assert caught.value.counts["image_missing"] == 2
    kept = opened(root, {"a.png": (40, 30), "/y/a.png": (40, 30)}, on_bad="drop")
    assert [record.file_name for record in kept.images] == ["a.png"]


def test_a_pipe_is_refused_and_never_opened(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    os.mkfifo(root / "a.png")
    with pytest.raises(BadLabels, match="pipe") as caught:
        opened(root, {"a.png": (40, 30)})
    assert caught.value.counts["image_not_regular"] == 1
    with pytest.raises(ValueError, match="pipe"):
        read_image(opened(root, {"a.png": (40, 30)}, check_images="none").images[0])


def test_large_pictures_are_bounded_by_memory_and_named_with_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    Image.new("1", (14_000, 13_000)).save(root / "a.png", compress_level=1)
    assert len(opened(root, {"a.png": (14_000, 13_000)})) == 1
    assert not recwarn.list
    monkeypatch.setattr(headers, "pixel_limit", lambda: 50_000_000)
    with pytest.raises(BadLabels, match=r"182 million .* 50 million") as caught:
        opened(root, {"a.png": (14_000, 13_000)})
    assert next(iter(caught.value.counts)) == "image_too_large"
    with pytest.raises(ValueError, match="50 million"):
        read_rgb(root / "a.png")


def test_what_was_done_is_told_once_for_each_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    deep = gradient(40, 30)[:, :, 1].astype(np.uint16) * 2
    frames = [Image.fromarray(gradient(40, 30)), Image.fromarray(255 - gradient(40, 30))]
    for i in range(3):
        Image.fromarray(deep).save(root / f"deep{i}.png")
        frames[0].save(root / f"film{i}.gif", save_all=True, append_images=frames[1:])
    names = {f"{kind}": (40, 30) for kind in sorted(p.name for p in root.iterdir())}
    with caplog.at_level(logging.WARNING):
        made = opened(root, names)
    assert len(caplog.records) == 2
    assert all(": 3 pictures" in r.getMessage() for r in caplog.records)
    film = read_image(made.images[3]).astype(int)
    assert abs(film - gradient(40, 30)).mean() < 10  # the first frame

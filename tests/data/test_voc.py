from pathlib import Path

import numpy as np
import pytest

from lib.data.coco import load
from lib.data.voc import convert
from lib.files import read_json
from lib.masks.rle import decode
from tests.data.voc_files import (
    Thing,
    write_lists,
    write_masks,
    write_picture,
    write_sbd,
    write_xml,
)

SHAPE = (40, 60)


def block(y1: int, x1: int, y2: int, x2: int) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[y1:y2, x1:x2] = True
    return mask


CAT = Thing("cat", (2, 3, 20, 30), block(3, 2, 30, 20))
DOG = Thing("dog", (25, 5, 50, 35), block(6, 25, 35, 49), difficult=1)
UNSEEN = Thing("tvmonitor", (52.5, 1, 59.25, 8))
VOID = block(0, 58, 40, 60)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three images: VOC's to train, VOC's to validate, and SBD's."""
    folder = tmp_path / "voc2012"
    for name in ("2007_000001", "2007_000002", "2008_000003"):
        write_picture(folder, name, SHAPE)
        write_xml(folder, name, [CAT, DOG, UNSEEN])
    for name in ("2007_000001", "2007_000002"):
        write_masks(folder, name, [CAT, DOG, UNSEEN], VOID)
    write_sbd(folder, "2008_000003", [CAT, DOG], SHAPE)
    write_lists(
        folder,
        train=["2007_000001"],
        val=["2007_000002"],
        sbd_train=["2008_000003", "2007_000001"],
        sbd_val=["2007_000002"],
    )
    return folder


def annotations(folder: Path, name: str) -> list[dict]:
    return read_json(folder / "annotations" / f"{name}.json")["annotations"]


def test_training_images_are_those_of_both_lists_without_the_validation_images(folder):
    convert(folder, workers=1, sizes={"train": 2, "val": 1})
    train, val = (read_json(folder / "annotations" / f"{n}.json") for n in ("train", "val"))
    assert [i["file_name"] for i in train["images"]] == ["2007_000001.jpg", "2008_000003.jpg"]
    assert [i["file_name"] for i in val["images"]] == ["2007_000002.jpg"]
    assert [i["source"] for i in train["images"]] == ["voc2012", "sbd"]


def test_boxes_flags_and_masks_are_those_of_the_files(folder):
    convert(folder, workers=1, sizes={"train": 2, "val": 1})
    for found in (annotations(folder, "val"), annotations(folder, "train")[3:]):  # VOC, SBD
        assert [a["category_id"] for a in found] == [8, 12, 20]
        assert [a["bbox"] for a in found] == [
            [2, 3, 18, 27], [25, 5, 25, 30], [52.5, 1, 6.75, 7]
        ]  # fmt: skip
        assert [a["difficult"] for a in found] == [0, 1, 0]
        assert [a["area"] for a in found] == [CAT.mask.sum(), DOG.mask.sum(), 6.75 * 7]
        assert found[2]["segmentation"] == []
        for annotation, thing in zip(found, [CAT, DOG], strict=False):
            assert np.array_equal(decode(annotation["segmentation"], *SHAPE), thing.mask)
    opened = load(folder / "annotations/train.json", folder / "JPEGImages")
    assert len(opened) == 2 and not opened.dropped


def test_void_is_kept_and_belongs_to_no_mask(folder):
    touching = Thing("cat", (50, 0, 60, 40), block(0, 50, 40, 60))
    write_xml(folder, "2007_000002", [touching])
    write_masks(folder, "2007_000002", [touching], VOID)
    convert(folder, workers=1, sizes={"train": 2, "val": 1})
    image = read_json(folder / "annotations/val.json")["images"][0]
    assert np.array_equal(decode(image["void"], *SHAPE), VOID)
    mask = decode(annotations(folder, "val")[0]["segmentation"], *SHAPE)
    assert np.array_equal(mask, touching.mask & ~VOID)


def test_numbers_that_contradict_the_class_mask_are_matched_by_their_boxes(folder):
    write_masks(folder, "2007_000002", [CAT, DOG], VOID, order=[2, 1])
    convert(folder, workers=1, sizes={"train": 2, "val": 1})
    found = annotations(folder, "val")
    for annotation, thing in zip(found, [CAT, DOG], strict=False):
        assert np.array_equal(decode(annotation["segmentation"], *SHAPE), thing.mask)
    assert read_json(folder / "annotations/val.json")["images"][0]["numbered"] is False


def test_instances_that_fit_no_box_of_their_class_are_left_out(folder):
    elsewhere = Thing("cat", CAT.box, block(30, 30, 40, 40))
    wrong = Thing("cow", DOG.box, DOG.mask)
    write_sbd(folder, "2008_000003", [elsewhere, wrong], SHAPE)
    convert(folder, workers=1, sizes={"train": 2, "val": 1})
    assert [a["segmentation"] for a in annotations(folder, "train")[3:]] == [[], [], []]


def test_two_of_a_class_get_the_masks_that_fit_best_together(folder):
    left = Thing("cat", (0, 0, 30, 40), block(0, 0, 40, 30))
    right = Thing("cat", (10, 0, 42, 40), block(0, 30, 40, 42) | block(0, 10, 2, 30))
    for order in ([left, right], [right, left]):
        write_xml(folder, "2008_000003", order)
        drawn = [Thing("cat", left.box, left.mask & ~right.mask), right]
        write_sbd(folder, "2008_000003", drawn, SHAPE)
        convert(folder, workers=1, sizes={"train": 2, "val": 1})
        found = annotations(folder, "train")[3:]
        for annotation, thing in zip(found, order, strict=True):
            expected = drawn[0].mask if thing is left else right.mask
            assert np.array_equal(decode(annotation["segmentation"], *SHAPE), expected)
        (folder / "annotations/train.json").unlink()


def test_without_sbd_there_is_a_validation_set_and_a_sentence(folder):
    for path in (folder / "sbd").rglob("*.mat"):
        path.unlink()
    (folder / "sbd/inst").rmdir()
    said = convert(folder, workers=1, sizes={"train": 2, "val": 1})
    assert said.endswith("train.json needs SBD: python -m lib.data.download sbd")
    assert [p.name for p in (folder / "annotations").iterdir()] == ["val.json"]


def test_without_voc_the_sentence_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lib\.data\.download voc sbd"):
        convert(tmp_path)


def test_lists_of_another_length_are_refused(folder):
    with pytest.raises(ValueError, match="lists 1 images for val, expected 1,449"):
        convert(folder, workers=1)


@pytest.mark.parametrize(
    ("broken", "content"),
    [
        ("Annotations/2008_000003.xml", "<annotation><object>"),
        ("Annotations/2008_000003.xml", "<a><object><name>unicorn</name></object></a>"),
        ("sbd/inst/2008_000003.mat", "MATLAB?"),
        ("JPEGImages/2008_000003.jpg", None),
    ],
)
def test_damaged_and_missing_files_are_named(folder, broken, content):
    (folder / broken).unlink()
    if content:
        (folder / broken).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=Path(broken).name):
        convert(folder, workers=1, sizes={"train": 2, "val": 1})
    assert not (folder / "annotations/train.json").exists()

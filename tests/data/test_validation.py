import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib.data.coco import load
from lib.data.validation import KINDS, BadLabels

Save = Callable[[Any], Path]
Bend = Callable[[dict[str, Any], Path], None]


def annotation(number: int, **fields: Any) -> Bend:
    """Return what sets fields of an annotation of the sound set."""
    return lambda content, _: content["annotations"][number].update(fields)


def image(number: int, **fields: Any) -> Bend:
    """Return what sets fields of an image of the sound set."""
    return lambda content, _: content["images"][number].update(fields)


def truncate(_: dict[str, Any], folder: Path) -> None:
    path = folder / "b.jpg"
    path.write_bytes(path.read_bytes()[:-30])


def turn_over(_: dict[str, Any], folder: Path) -> None:
    Image.new("RGB", (30, 40)).save(folder / "b.jpg")


def two_of_one_id(content: dict[str, Any], _: Path) -> None:
    content["images"][1]["id"] = content["images"][2]["id"]


NAN = float("nan")
HUGE = 10**400
RLE = {"size": [30, 40], "counts": [600, 300, 300]}
# what is done to the sound set, the kind it is, what the message names; annotations 11 and 12 stay
CASES: dict[str, tuple[Bend, str, str]] = {
    "truncated JPEG": (truncate, "image_unreadable", "b.jpg"),
    "image missing": (
        lambda _, folder: (folder / "b.jpg").unlink(), "image_missing", "b.jpg",
    ),
    "size differs": (turn_over, "image_other_size", "b.jpg, JSON: 40 x 30"),
    "repeated image id": (two_of_one_id, "image_id_repeated", "id 9"),
    "image without width": (image(1, width=None), "image_malformed", "bad width"),
    "image id is a list": (image(1, id=[3]), "image_malformed", "id [3]: bad id"),
    "NaN in a further field of an image": (image(1, gain=NAN), "image_not_finite", "b.jpg"),
    "repeated annotation id": (annotation(2, id=11), "annotation_id_repeated", "id 11"),
    "unknown image": (annotation(2, image_id=99), "annotation_of_unknown_image", "99"),
    "image id that is no key, box outside": (
        annotation(2, image_id=[3], bbox=[-5, 5, 9, 9]), "annotation_malformed", "image_id [3]",
    ),
    "unknown category": (annotation(2, category_id=5), "unknown_category", "category 5"),
    "box outside": (annotation(2, bbox=[50, 5, 9, 9]), "box_outside", "40 x 30"),
    "box partly outside": (annotation(2, bbox=[30, 5, 12, 9]), "box_outside", "40 x 30"),
    "zero width": (annotation(2, bbox=[3, 3, 0, 9]), "box_zero_area", "[3, 3, 0, 9]"),
    "NaN in a box": (annotation(2, bbox=[3, float("nan"), 4, 9]), "not_finite", "nan"),
    "box of 400 digits": (annotation(2, bbox=[3, 3, HUGE, 9]), "not_finite", "xywh [3, 3, 1000"),
    "NaN in a further field": (
        annotation(2, pseudo={"box_iou": [NAN]}), "not_finite", "in another field",
    ),
    "negative area": (annotation(2, area=-5), "area_negative", "area -5"),
    "area is text": (annotation(2, area="600"), "annotation_malformed", "area '600'"),
    "iscrowd is text": (annotation(2, iscrowd="0"), "annotation_malformed", "iscrowd '0'"),
    "no box": (annotation(2, bbox=None), "annotation_malformed", "bbox None"),
    "three numbers": (annotation(2, bbox=[1, 2, 3]), "annotation_malformed", "[1, 2, 3]"),
    "numbers as text": (
        annotation(2, bbox=["1", "1", "20", "20"]), "annotation_malformed", "['1', '1',",
    ),
    "id is text": (annotation(2, id="5"), "annotation_malformed", "'5'"),
    "RLE of wrong size": (
        annotation(2, segmentation={**RLE, "size": [40, 30]}),
        "mask_other_size", "[40, 30], its image 30 x 40",
    ),
    "runs too short": (
        annotation(2, segmentation={**RLE, "counts": [600, 300]}),
        "mask_not_filled", "cover 900 of 1200 pixels",
    ),
    "broken compressed RLE": (
        annotation(2, segmentation={"size": [30, 40], "counts": "1ab\n"}),
        "mask_not_filled", "no RLE",
    ),
    "polygon of two points": (
        annotation(2, segmentation=[[1, 2, 3, 4]]), "mask_malformed", "[[1, 2, 3, 4]]",
    ),
    "NaN in a polygon": (
        annotation(2, segmentation=[[1, 2, 3, 4, 5, float("nan")]]),
        "mask_malformed", "nan",
    ),
    "mask is a file name": (
        annotation(2, segmentation="mask.png"), "mask_malformed", "mask.png",
    ),
}  # fmt: skip
TWICE = ("repeated image id",)  # nobody knows which of the two is meant


@pytest.mark.parametrize("case", CASES)
def test_each_bad_label_is_one_clear_error_or_dropped_and_counted(
    case: str, content: dict[str, Any], folder: Path, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    bend, kind, words = CASES[case]
    bend(content, folder)
    count = 2 if case in TWICE else 1
    path = save(content)
    with pytest.raises(BadLabels) as caught:
        load(path, folder)
    message = str(caught.value)
    assert caught.value.counts[kind] == count
    assert words in message and "annotations.json" in message
    with caplog.at_level(logging.WARNING):
        opened = load(path, folder, on_bad="drop")
    if kind.startswith("mask_"):  # a bad mask costs the mask, never the box
        assert [x.id for x in opened.all_instances()] == [11, 12, 5]
        assert not opened.instances(3)[0].has_mask and opened.instances(3)[0].box == (0, 0, 40, 30)
    else:
        assert [x.id for x in opened.all_instances()] == [11, 12]
    assert opened.dropped[kind] == count
    assert f"dropped {count} {KINDS[kind]}" in caplog.text


def test_many_bad_labels_make_one_error_with_counts_and_first_ids(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    flat = {**content["annotations"][1], "bbox": [3, 3, 0, 9]}
    content["annotations"] += [{**flat, "id": 100 + i} for i in range(5)]
    (folder / "c.png").unlink()
    content["annotations"][0]["category_id"] = 1
    with pytest.raises(BadLabels) as caught:
        load(save(content), folder)
    assert caught.value.counts == {"image_missing": 1, "unknown_category": 1, "box_zero_area": 5}
    message = str(caught.value)
    assert "7 bad labels" in message and "id 102" in message and "id 103" not in message


def test_annotations_of_a_dropped_image_go_with_it(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    (folder / "ä 1.jpg").unlink()
    opened = load(save(content), folder, on_bad="drop")
    assert opened.dropped == {"image_missing": 1, "annotation_of_dropped_image": 2}
    assert [image.id for image in opened.images] == [3, 9]


def test_boxes_that_stick_out_by_rounding_are_clipped_silently(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    content["annotations"][0]["bbox"] = [-1, -0.4, 41, 31]
    opened = load(save(content), folder)
    assert opened.instances(7)[0].box == (0, 0, 40, 30)
    assert not opened.dropped


def test_without_a_folder_or_a_check_files_are_not_looked_at(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    (folder / "b.jpg").unlink()
    assert len(load(save(content), None)) == 3
    assert len(load(save(content), folder, check_images="none")) == 3


def test_what_is_left_after_dropping_opens_without_an_error(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    for number, (bend, kind, _) in enumerate(CASES.values()):
        if not kind.startswith("image_"):
            content["annotations"].append({**content["annotations"][1], "id": 100 + number})
            extra: dict[str, Any] = {"annotations": content["annotations"][-1:] * 3}
            bend(extra, folder)
    left = load(save(content), folder, on_bad="drop")
    masks = sum(kind.startswith("mask_") for _, kind, _ in CASES.values())
    again = load(save(left.to_coco()), folder)
    assert again.all_instances() == left.all_instances()
    assert len(left.all_instances()) == 3 + masks
    assert not again.dropped


@pytest.mark.parametrize("crowd", [0, True, None])
def test_zero_and_one_say_whether_a_region_is_a_crowd(
    crowd: Any, content: dict[str, Any], save: Save
) -> None:
    content["annotations"][0]["iscrowd"] = crowd
    assert load(save(content), None).instances(7)[0].iscrowd == bool(crowd)


NOT_COCO: dict[str, tuple[Any, str]] = {
    "detection results": ([{"image_id": 1}], "detection results"),
    "a number": (3, "no object"),
    "another format": ({"version": 1, "shapes": []}, "no 'images' .it has: version, shapes"),
    "no annotations": ({"images": [], "categories": []}, "no 'annotations'"),
    "images as text": (
        {"images": ["a.jpg"], "annotations": [], "categories": []}, "not a list of objects",
    ),
    "no image": ({"images": [], "annotations": [], "categories": [{}]}, "list of images .* empty"),
    "no class": ({"images": [{}], "annotations": [], "categories": []}, "list of categories .* em"),
    "category without id": (
        {"images": [{}], "annotations": [], "categories": [{"name": "a"}]}, "lacks an integer id",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_COCO)
def test_json_that_is_not_coco_is_always_an_error(case: str, save: Save) -> None:
    value, words = NOT_COCO[case]
    with pytest.raises(ValueError, match=words):
        load(save(value), None, on_bad="drop")


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"broken\.json is not valid JSON"):
        load(path, None)


def test_a_set_with_no_image_left_is_an_error(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"No usable image .*3 images whose file is missing"):
        load(save(content), folder, on_bad="drop")

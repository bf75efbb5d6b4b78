"""Labels as people have them: each form is repaired with a count, or said; never a traceback."""

import copy
import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.data.coco import CocoSet, from_coco, load
from lib.files import write_json
from lib.masks import rle
from tests.fixtures.labels import labels as made_labels

Save = Callable[[Any], Path]
NAN = float("nan")
SQUARE = [10, 5, 30, 5, 30, 25, 10, 25]
"""A polygon whose box is (10, 5, 30, 25)."""


labels = partial(made_labels, images=({"file_name": "sub/a.jpg"}, {"file_name": "sub/b.jpg"}))


def boxes(opened: CocoSet) -> list[tuple[float, ...]]:
    return [x.box for x in opened.all_instances()]


BOX = (10, 5, 30, 25)
SAME: dict[str, tuple[dict[str, Any], str]] = {
    "box as texts": ({"bbox": ["10", "5.0", "20", " 20 "]}, "number_as_text"),
    "box in a text": ({"bbox": "[10, 5, 20, 20]"}, "number_as_text"),
    "category as text": ({"category_id": "1"}, "number_as_text"),
    "category by name": ({"category_id": "cell"}, "category_by_name"),
    "image as float": ({"image_id": 1.0}, "number_as_text"),
    "image by last part": ({"image_id": "a.jpg"}, "image_by_name"),
    "image by stem": ({"image_id": "a"}, "image_by_name"),
    "no id": ({"id": None}, "annotation_id_renumbered"),
    "id of letters": ({"id": "0f8fad5b"}, "annotation_id_renumbered"),
    "id of 38 digits": ({"id": 10**37}, "annotation_id_renumbered"),
    "crowd as a word": ({"iscrowd": "false"}, "number_as_text"),
    "area as text": ({"area": "400"}, "number_as_text"),
    "area means nothing": ({"area": []}, "field_unreadable"),
    "area of 400 digits": ({"area": 10**400}, "field_unreadable"),
    "pseudo is text": ({"pseudo": "yes"}, "field_unreadable"),
    "NaN carried along": ({"depth": [NAN]}, "field_unwritable"),
    "no box beside a mask": ({"bbox": None, "segmentation": [SQUARE]}, "box_from_mask"),
    "box of zeros beside a mask": ({"bbox": [0] * 4, "segmentation": [SQUARE]}, "box_from_mask"),
    "NaN box beside a flat mask": ({"bbox": [NAN] * 4, "segmentation": SQUARE}, "box_from_mask"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_clear_in_its_meaning_is_read_and_counted(case: str, save: Save) -> None:
    bend, kind = SAME[case]
    opened = load(save(labels(bend, {"id": 7, "bbox": [1, 2, 3, 4]})), None, on_bad="repair")
    first = opened.all_instances()[0]
    assert (first.image_id, first.category_id, first.iscrowd, first.box) == (1, 1, False, BOX)
    assert first.area == pytest.approx(400, rel=0.1)
    assert len(opened.all_instances()) == 2 and opened.repaired[kind] == 1
    assert not opened.dropped
    again = load(save(opened.to_coco()), None)
    assert again.to_coco() == opened.to_coco()


def mask_of(opened: CocoSet) -> np.ndarray:
    return rle.decode(opened.all_instances()[0].segmentation, 60, 80)


RUNS = {"size": [60, 80], "counts": [605, 20, 4175]}
COLUMN = np.arange(4800).reshape(80, 60).T
WHOLE = (COLUMN >= 605) & (COLUMN < 625)
FORMS: dict[str, Any] = {
    "flat": SQUARE,
    "flat, as text": [str(v) for v in SQUARE],
    "one polygon of pairs": [[10, 5], [30, 5], [30, 25], [10, 25]],
    "a sliver beside it": [SQUARE, [12, 12, 13, 13]],
    "an empty part beside it": [[], SQUARE],
    "runs in a list": [RUNS],
    "runs as floats": {"size": [60.0, 80.0], "counts": [605.0, 20.0, 4175.0]},
    "runs as text": {"size": ["60", "80"], "counts": ["605", "20", "4175"]},
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_in_forms_of_other_tools_are_the_same_masks(form: str, save: Save) -> None:
    content = labels({"segmentation": FORMS[form]})
    opened = load(save(content), None, on_bad="drop")
    assert opened.repaired["mask_form"] == 1
    expected = WHOLE if "runs" in form else rle.decode([SQUARE], 60, 80)
    assert (mask_of(opened) == expected).all()
    with pytest.raises(ValueError, match="id 1: "):
        load(save(content), None)


UNCLEAR: dict[str, Any] = {
    "nothing in it": [[]],
    "an odd part beside a good one": [SQUARE, [7, *SQUARE]],
    "no counts": {"size": [60, 80]},
    "a number": 5,
    "NaN": [[*SQUARE[:7], NAN]],
    "words": [["ab", "cd", "ef", "g", "h", "i"]],
    "points as objects": [[{"x": 1, "y": 2}] * 6],
}


@pytest.mark.parametrize("form", UNCLEAR)
def test_a_bad_mask_costs_the_mask_and_never_the_box(
    form: str, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        opened = load(save(labels({"segmentation": UNCLEAR[form]})), None, on_bad="repair")
    assert boxes(opened) == [BOX] and not opened.all_instances()[0].has_mask
    assert sum(opened.dropped.values()) == 1 and "boxes are kept" in caplog.text


EMPTY: dict[str, Any] = {
    "runs of background": {"size": [60, 80], "counts": [4800]},
    "a line": [[20, 20, 60, 20, 20, 20]],
    "off the picture": [[200, 10, 260, 10, 260, 50]],
    "far off": [[1e9, 1e9, 1e9 + 5, 1e9, 1e9, 1e9 + 9]],
}


@pytest.mark.parametrize("case", EMPTY)
def test_a_mask_without_a_pixel_is_no_mask(case: str, save: Save) -> None:
    opened = load(save(labels({"segmentation": EMPTY[case]})), None, on_bad="repair")
    assert not opened.all_instances()[0].has_mask and opened.repaired == {"mask_empty": 1}


def test_thin_masks_with_pixels_stay(save: Save) -> None:
    rng = np.random.default_rng(0)
    thin = []
    for _ in range(200):
        x, y = rng.uniform(0, 70), rng.uniform(0, 50)
        angle, width = rng.uniform(0, 7), rng.uniform(0.1, 2)
        along = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(1, 30)
        across = np.array([-np.sin(angle), np.cos(angle)]) * width
        corners = np.array([x, y]) + np.array([0 * along, along, along + across, across])
        thin.append([corners.ravel().round(2).tolist()])
    content = labels(*({"segmentation": mask, "bbox": [0, 0, 80, 60]} for mask in thin))
    opened = load(save(content), None)
    has = [x.has_mask for x in opened.all_instances()]
    assert has == [bool(rle.decode(mask, 60, 80).any()) for mask in thin]
    assert 0 < sum(has) < 200


def test_masks_beside_their_box_are_counted_and_kept(save: Save) -> None:
    beside = {"bbox": [40, 30, 20, 20]}
    content = labels(
        {"segmentation": [SQUARE]},
        {"segmentation": [SQUARE], **beside},
        {"segmentation": RUNS, **beside},
        {"segmentation": [SQUARE], "bbox": [30.5, 5, 20, 20]},
    )
    opened = load(save(content), None)
    assert opened.repaired == {"mask_beside_box": 2}
    assert all(x.has_mask for x in opened.all_instances())


def test_boxes_are_clipped_where_they_leave_their_image_in_part(save: Save) -> None:
    rows = [[60, 40, 30, 30], [-5, -8, 30, 30], [100, 10, 20, 20], [5, 5, 0, 9], [1, 2, 3, 4]]
    opened = load(save(labels(*({"bbox": row} for row in rows))), None, on_bad="repair")
    assert boxes(opened) == [(60, 40, 80, 60), (0, 0, 25, 22), (1, 2, 4, 6)]
    assert opened.repaired == {"box_clipped": 2}
    assert opened.dropped == {"box_zero_area": 1, "box_outside": 1}


TRUE = np.array([[20, 15, 50, 40], [50, 35, 70, 55], [44, 6, 76, 56], [60, 2, 80, 60]], float)
"""True boxes, ``xyxy`` pixels."""
SCALE = np.array([80, 60, 80, 60])
FORMS_OF_BOXES: dict[str, np.ndarray] = {
    "corners": np.tile(TRUE, (2, 1)),
    "fractions": TRUE / SCALE,
    "boxes of a larger picture": np.array([[60 + i, 50 + i, 70, 40] for i in range(12)]),
}


@pytest.mark.parametrize("form", FORMS_OF_BOXES)
def test_boxes_in_another_form_are_refused_and_never_clipped(form: str, save: Save) -> None:
    rows = FORMS_OF_BOXES[form].round(6).tolist()
    content = labels(*({"bbox": row} for row in rows))
    with pytest.raises(ValueError, match="width and height in pixels"):
        load(save(content), None, on_bad="repair")


def test_a_few_boxes_outside_are_clipped(save: Save) -> None:
    opened = load(save(labels({"bbox": [20, 15, 70, 30]})), None, on_bad="repair")
    assert boxes(opened) == [(20, 15, 80, 45)] and opened.repaired == {"box_clipped": 1}


def test_annotation_ids_are_made_unique_and_the_first_keeps_its_own(save: Save) -> None:
    ids = [4, 4, None, "2", "x", 2**70, 1, True]
    opened = load(save(labels(*({"id": i} for i in ids))), None, on_bad="repair")
    given = [x.id for x in opened.all_instances()]
    assert len(set(given)) == len(ids) and (given[0], given[3], given[6]) == (4, 2, 1)
    assert np.array(given, np.int64).dtype == np.int64
    assert opened.all_instances()[4].extra["original_id"] == "x"
    assert opened.repaired["annotation_id_renumbered"] == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [("u-1", "u-2"), (10**38, 10**38 + 1), ("1", 1), (-1, 5), (None, 3)],
)
def test_image_ids_of_any_kind_are_numbered_with_what_refers_to_them(
    one: Any, other: Any, save: Save
) -> None:
    content = labels({"image_id": one}, {"image_id": other}, {"image_id": other})
    content["images"][0]["id"], content["images"][1]["id"] = one, other
    if one is None:
        content["annotations"][0]["image_id"] = "a.jpg"
    opened = load(save(content), None, on_bad="repair")
    by_file = {i.file_name: len(opened.instances(i.id)) for i in opened.images}
    assert by_file == {"sub/a.jpg": 1, "sub/b.jpg": 2}
    assert all(0 <= image.id < 2**63 for image in opened.images)


@pytest.mark.parametrize("kind", ["image", "category"])
@pytest.mark.parametrize("dangling", [1, "1"])
def test_no_id_is_made_up_that_an_annotation_names(kind: str, dangling: Any, save: Save) -> None:
    content = labels({}, {f"{kind}_id": dangling}, {f"{kind}_id": 3})
    listed = content["images" if kind == "image" else "categories"]
    listed[0]["id"], listed[1]["id"] = None, 3
    content["annotations"][0][f"{kind}_id"] = 3
    opened = load(save(content), None, on_bad="repair")
    assert [getattr(x, f"{kind}_id") for x in opened.all_instances()] == [3, 3]
    assert sum(opened.dropped.values()) == 1
    ids = {i.id for i in opened.images} if kind == "image" else set(opened.categories.ids)
    assert ids == {2, 3}


def test_sizes_and_category_ids_as_text_are_numbers(save: Save) -> None:
    content = labels({"category_id": "2"}, {"category_id": "1.0"})
    content["images"][0] |= {"width": "80", "height": 60.0}
    content["categories"] = [{"id": "1", "name": "cell"}, {"id": "2", "name": 7}]
    opened = load(save(content), None, on_bad="repair")
    assert [x.category_id for x in opened.all_instances()] == [2, 1]
    assert opened.categories.names == ("cell", "7")
    assert (opened.images[0].width, opened.images[0].height) == (80, 60)


def test_placeholders_are_left_out_and_their_image_stays(save: Save) -> None:
    empty = {"bbox": [], "area": 0, "image_id": 2}
    opened = load(save(labels({}, empty)), None, on_bad="repair")
    assert boxes(opened) == [BOX] and len(opened) == 2
    assert opened.repaired == {"placeholder": 1}


@pytest.mark.parametrize("info", ["made by convert.py", [{"year": 2021}], None])
def test_info_of_any_type_is_carried_along(info: Any, save: Save) -> None:
    content = labels({}, info=info, licenses=["mine"], note=[1, {"a": None}])
    content["categories"][0] |= {"supercategory": ["bio"], "keypoints": {"a": 1}, "color": "#f00"}
    opened = load(save(content), None)
    written = opened.to_coco()
    assert json.dumps(info) in json.dumps(written["info"]) or info is None
    assert written["licenses"] == ["mine"] and written["note"] == content["note"]
    assert written["categories"] == content["categories"]
    assert opened.repaired == ({} if info is None else {"info_no_object": 1})
    again = load(save(written), None)
    assert again.to_coco() == written and again.repaired == {}


def test_what_no_file_can_hold_is_found_before_any_work(save: Save) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    content = labels({}, licenses=[NAN], note=deep)
    content["categories"][0]["color"] = {"r": NAN}
    opened = load(save(content), None, on_bad="repair")
    json.dumps(opened.to_coco(), allow_nan=False)
    assert opened.repaired == {"field_unwritable": 3}
    with pytest.raises(ValueError, match="no JSON file"):
        load(save(content), None)


ROOT = {"id": 0, "name": "cell", "supercategory": "none"}


@pytest.mark.parametrize("name", ["cell", "project"])
def test_an_unused_root_is_no_class(name: str, save: Save) -> None:
    content = labels({}, categories=[{**ROOT, "name": name}])
    content["categories"].append({"id": 1, "name": "cell", "supercategory": name})
    opened = load(save(content), None)
    assert opened.categories.ids == (1,) and opened.repaired == {"category_root": 1}


def test_a_used_root_and_a_class_without_instances_stay_classes(save: Save) -> None:
    content = labels({"category_id": 0}, categories=[{**ROOT, "name": "animal"}])
    content["categories"] += [
        {"id": 1, "name": "dog", "supercategory": "animal"},
        {"id": 2, "name": "person", "supercategory": "person"},
    ]
    opened = load(save(content), None)
    assert opened.categories.ids == (0, 1, 2)
    assert opened.to_coco()["categories"] == content["categories"]
    part = opened.subset([2])  # no annotation is left in it, but its classes are the same
    assert load(save(part.to_coco()), None).categories == opened.categories


def test_equal_categories_count_once_and_others_are_refused_with_the_file(save: Save) -> None:
    content = labels({})
    content["categories"].append({"id": 1, "name": "cell", "color": "red"})
    assert load(save(content), None).categories.ids == (1, 2)
    for other in ({"id": 1, "name": "yeti"}, {"id": 3, "name": "cell"}):
        content["categories"][2] = other
        with pytest.raises(ValueError, match=r"annotations\.json.*repeated"):
            load(save(content), None, on_bad="repair")


def test_if_nothing_is_left_the_reasons_are_said(save: Save) -> None:
    content = labels({"bbox": [3, 3, 0, 9]}, {"bbox": [200, 3, 9, 9]})
    with pytest.raises(ValueError, match=r"All 2 annotations .* 1 boxes of zero .* 1 boxes that"):
        load(save(content), None, on_bad="repair")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_encodings_of_windows_are_read(encoding: str, tmp_path: Path) -> None:
    content = labels({}, images=[{"file_name": "ä 1.jpg"}])
    path = tmp_path / "windows.json"
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    assert load(path, None).images[0].file_name == "ä 1.jpg"


@pytest.mark.parametrize("text", ["[" * 20_000, '{"x": ' + "9" * 5000 + "}"])
def test_json_beyond_the_reader_is_a_short_sentence_with_the_file(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"large\.json") as caught:
        load(path, None)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_what_was_parsed_is_not_changed(save: Save) -> None:
    content = labels({"bbox": ["10", "5", "20", "20"], "segmentation": SQUARE, "id": "a"})
    before = copy.deepcopy(content)
    from_coco(content, Path("a.json"), None, on_bad="repair")
    assert content == before


def test_half_a_surrogate_pair_can_be_written(save: Save, tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    path.write_text(json.dumps(made_labels(note="\ud83d")))
    write_json(tmp_path / "again.json", load(path, None).to_coco())
    assert load(tmp_path / "again.json", None).extra == {"note": "\ud83d"}

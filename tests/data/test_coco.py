import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.data.coco import CocoSet, load
from lib.files import write_json
from lib.paths import find_data
from tests.data.conftest import rle_of

Save = Callable[[Any], Path]


def test_boxes_are_corners_and_labels_contiguous(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    opened = load(save(content), folder)
    assert opened.categories.names == ("motorbike", "toothbrush")
    assert [image.id for image in opened.images] == [7, 3, 9]
    first, second = opened.instances(7)
    assert (first.label, first.category_id, first.box) == (1, 4, (10, 5, 30, 15))
    assert (second.label, second.category_id, second.box) == (2, 90, (1.5, 2.25, 12, 10.25))
    assert [x.id for x in opened.all_instances()] == [11, 12, 5]
    assert opened.instances(9) == () and len(opened) == 3


def test_a_mask_is_a_property_of_the_instance(content: dict[str, Any], save: Save) -> None:
    content["annotations"][2]["segmentation"] = []
    content["annotations"].append({**content["annotations"][1], "id": 13, "segmentation": None})
    opened = load(save(content), None)
    assert {x.id: x.has_mask for x in opened.all_instances()} == {
        11: True, 12: False, 5: False, 13: False,
    }  # fmt: skip


def test_a_set_of_boxes_alone_is_the_normal_case(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    content["annotations"] = [
        {k: a[k] for k in ("id", "image_id", "category_id", "bbox")} for a in content["annotations"]
    ]
    opened = load(save(content), folder)
    assert not any(x.has_mask or x.iscrowd for x in opened.all_instances())
    assert [x.area for x in opened.all_instances()] == [200, 84, 1200]


def test_an_area_that_is_not_given_is_that_of_the_mask(content: dict[str, Any], save: Save) -> None:
    stairs = np.zeros((30, 40), bool)
    stairs[5:15, 10:20] = stairs[5:8, 20:30] = True
    runs = {"size": [30, 40], "counts": [100, 300, 800]}
    first, second, third = content["annotations"]
    first |= {"area": None, "segmentation": rle_of(stairs)}
    second |= {"segmentation": runs}
    third.pop("area")  # its polygon is half of its box
    areas = [x.area for x in load(save(content), None).all_instances()]
    assert areas[:2] == [130, 300]
    assert areas[2] == pytest.approx(600, abs=30)


def test_crowd_regions_are_kept_and_marked(content: dict[str, Any], save: Save) -> None:
    crowd = {"size": [30, 40], "counts": [100, 300, 800]}
    content["annotations"][0] |= {"iscrowd": 1, "segmentation": crowd}
    opened = load(save(content), None)
    assert [x.iscrowd for x in opened.all_instances()] == [True, False, False]
    assert opened.instances(7)[0].segmentation == crowd


def test_further_fields_are_kept(content: dict[str, Any], save: Save) -> None:
    content["annotations"][1]["pseudo"] = {"method": "grabcut", "box_iou": 0.5}
    opened = load(save(content), None)
    assert opened.instances(7)[0].extra == {"difficult": 1}
    assert opened.instances(7)[1].pseudo == {"method": "grabcut", "box_iou": 0.5}
    assert opened.image(7).extra == {"license": 1}
    assert opened.to_coco()["licenses"] == content["licenses"]


def test_opening_what_was_written_gives_an_equal_set(
    content: dict[str, Any], folder: Path, save: Save, tmp_path: Path
) -> None:
    content["annotations"][1]["bbox"] = [0.1, 0.2, 0.7, 10.3]  # not exact in binary
    opened = load(save(content), folder)
    write_json(tmp_path / "again.json", opened.to_coco())
    again = load(tmp_path / "again.json", folder)
    for one, other in zip(opened.all_instances(), again.all_instances(), strict=True):
        assert one.box == pytest.approx(other.box, abs=2e-6)
    assert again.to_coco() == opened.to_coco() and again.images == opened.images


def test_a_subset_is_the_same_set_of_fewer_images(
    content: dict[str, Any], folder: Path, save: Save
) -> None:
    opened = load(save(content), folder)
    few = opened.subset([9, 7])
    assert [image.id for image in few.images] == [7, 9]
    assert few.all_instances() == opened.instances(7)
    assert few.categories == opened.categories
    with pytest.raises(ValueError, match="no image with id 3"):
        few.instances(3)
    with pytest.raises(ValueError, match="no image with id 8"):
        opened.subset([7, 8])


def test_sets_travel_between_processes(content: dict[str, Any], folder: Path, save: Save) -> None:
    opened = load(save(content), folder)
    again: CocoSet = pickle.loads(pickle.dumps(opened))
    assert again.to_coco() == opened.to_coco() and again.images == opened.images


def test_absent_files_and_folders_are_named(
    content: dict[str, Any], save: Save, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"annotation file .*absent\.json"):
        load(tmp_path / "absent.json", None)
    with pytest.raises(FileNotFoundError, match=r"image folder .*absent"):
        load(save(content), tmp_path / "absent")


REAL = [
    ("voc2012", "train"),
    ("voc2012", "val"),
    ("coco2017", "instances_train2017"),
    ("coco2017", "instances_val2017"),
]


@pytest.mark.photos
@pytest.mark.parametrize(("folder_name", "name"), REAL)
def test_real_sets_open_without_a_bad_label(folder_name: str, name: str) -> None:
    try:
        path = find_data(f"{folder_name}/annotations/{name}.json")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    opened = load(path, path.parents[1] / "images", check_images="decode")
    assert opened.all_instances()
    assert not opened.dropped
    if folder_name == "voc2012":
        assert {"difficult", "truncated", "mask_status"} <= set(opened.all_instances()[0].extra)
        assert "clean" in opened.images[0].extra

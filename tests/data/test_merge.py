"""Several COCO files as one set."""

import copy
from pathlib import Path
from typing import Any

import pytest

from lib.data.coco import load
from lib.data.merge import merge
from lib.data.validation import BadLabels
from lib.files import read_json, write_json


@pytest.fixture
def files(content: dict[str, Any], tmp_path: Path) -> list[Path]:
    """The sound set of three pictures, parted after its first one."""
    first, rest = copy.deepcopy(content), copy.deepcopy(content)
    chosen = content["images"][0]["id"]
    for part, keep in ((first, lambda i: i == chosen), (rest, lambda i: i != chosen)):
        part["images"] = [x for x in part["images"] if keep(x["id"])]
        part["annotations"] = [x for x in part["annotations"] if keep(x["image_id"])]
    paths = [tmp_path / "first.json", tmp_path / "rest.json"]
    for path, part in zip(paths, (first, rest), strict=True):
        write_json(path, part)
    return paths


def test_the_parts_of_a_set_make_it_whole_again(
    files: list[Path], content: dict[str, Any], tmp_path: Path
) -> None:
    whole = read_json(merge(files, tmp_path / "whole.json"))
    assert whole["images"] == content["images"]
    key = "id"
    assert sorted(whole["annotations"], key=lambda x: x[key]) == sorted(
        content["annotations"], key=lambda x: x[key]
    )
    assert whole["categories"] == content["categories"]


def test_an_id_in_two_files_is_refused(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 values of 'id' of images are in more than one"):
        merge([files[0], files[0], files[1]], tmp_path / "whole.json")
    assert not (tmp_path / "whole.json").exists()


def test_a_picture_in_two_files_is_refused_whatever_its_ids(
    files: list[Path], tmp_path: Path
) -> None:
    other = read_json(files[1])
    other["images"][0]["file_name"] = read_json(files[0])["images"][0]["file_name"]
    write_json(files[1], other)
    with pytest.raises(ValueError, match="'file_name' of images"):
        merge(files, tmp_path / "whole.json")


def test_bad_entries_are_left_to_whoever_opens_the_merged_file(
    files: list[Path], tmp_path: Path
) -> None:
    other = read_json(files[1])
    del other["images"][0]["id"]
    other["annotations"][0]["id"] = [1]
    write_json(files[1], other)
    with pytest.raises(BadLabels):
        load(merge(files, tmp_path / "whole.json"), None, check_images="none")


def test_files_of_different_classes_are_refused(files: list[Path], tmp_path: Path) -> None:
    other = read_json(files[1])
    other["categories"][0]["name"] = "yeti"
    write_json(files[1], other)
    with pytest.raises(ValueError, match="different categories"):
        merge(files, tmp_path / "whole.json")

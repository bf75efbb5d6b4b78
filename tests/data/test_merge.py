"""Several COCO files as one set."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib.data.coco import load
from lib.data.merge import merge
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
    write_json(tmp_path / "parts.json", content)
    parts = load(tmp_path / "parts.json", None)
    whole = load(merge(files, tmp_path / "whole.json"), None)
    assert whole.images == parts.images and whole.categories == parts.categories
    assert whole.all_instances() == parts.all_instances()


def test_repairing_opens_each_file_first_and_keeps_annotation_ids_apart(
    files: list[Path], tmp_path: Path
) -> None:
    """Files that people merge number their annotations from 1 each, and some write text."""
    for path in files:
        part = read_json(path)
        for number, annotation in enumerate(part["annotations"]):
            annotation |= {"id": number, "category_id": str(annotation["category_id"])}
        write_json(path, part)
    with pytest.raises(ValueError, match="category_id '"):
        merge(files, tmp_path / "whole.json")
    merged = merge(files, tmp_path / "whole.json", on_bad="repair")
    ids = [x.id for x in load(merged, None, on_bad="repair").all_instances()]
    assert len(ids) == 3 == len(set(ids))


def same_id(first: dict[str, Any], other: dict[str, Any]) -> None:
    other["images"][1]["id"] = first["images"][0]["id"]


def same_picture(first: dict[str, Any], other: dict[str, Any]) -> None:
    other["images"][0]["file_name"] = first["images"][0]["file_name"]


def other_class(_: dict[str, Any], other: dict[str, Any]) -> None:
    other["categories"][0]["name"] = "yeti"


def bad_entry(_: dict[str, Any], other: dict[str, Any]) -> None:
    del other["images"][0]["id"]


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        (same_id, "'id' of images"),
        (same_picture, "'file_name' of images"),
        (other_class, "different categories"),
        (bad_entry, r"rest\.json"),
    ],
)
def test_files_that_contradict_each_other_are_refused(
    bend: Callable[[dict[str, Any], dict[str, Any]], None],
    words: str,
    files: list[Path],
    tmp_path: Path,
) -> None:
    other = read_json(files[1])
    bend(read_json(files[0]), other)
    write_json(files[1], other)
    with pytest.raises(ValueError, match=words):
        merge(files, tmp_path / "whole.json")
    assert not (tmp_path / "whole.json").exists()

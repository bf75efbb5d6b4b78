import argparse
import os
from pathlib import Path

import pytest

from lib.files import write_json
from lib.outputs import check_output, file_ending_in

LABELS = {"images": [], "annotations": [], "categories": []}


def test_a_new_file_in_a_new_folder_is_fine_and_nothing_is_left(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "masks.json", images=tmp_path / "images")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]


@pytest.mark.parametrize("name", ["photo.jpg", "masks", "masks.json.jpg", "folder.json"])
def test_only_files_of_the_right_ending_are_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ValueError, match=r"\.json"):
        check_output(tmp_path / name)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_what_is_read_is_not_written_under_any_name(tmp_path: Path, link) -> None:
    labels = tmp_path / "labels.json"
    write_json(labels, LABELS)
    link(labels, tmp_path / "other.json")
    for out in (labels, tmp_path / "other.json", tmp_path / "x" / ".." / "labels.json"):
        with pytest.raises(ValueError, match="is read"):
            check_output(out, inputs=[labels])


def test_nothing_is_written_among_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    for folder in ("images", "images/deeper", "link"):
        with pytest.raises(ValueError, match="below the pictures"):
            check_output(tmp_path / folder / "masks.json", images=tmp_path / "images")


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "masks.json", Path("/proc/1/masks.json")):
        with pytest.raises(ValueError, match="nothing can be written"):
            check_output(out)


def test_no_numbers_replace_labels(tmp_path: Path) -> None:
    write_json(tmp_path / "labels.json", LABELS)
    write_json(tmp_path / "numbers.json", {"seconds": 1})
    given = file_ending_in(".json")
    assert given(str(tmp_path / "numbers.json")) == tmp_path / "numbers.json"
    with pytest.raises(argparse.ArgumentTypeError, match=r"labels\.json"):
        given(str(tmp_path / "labels.json"))

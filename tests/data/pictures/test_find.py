"""File names as tools write them, and files that no picture should be read from."""

import os
from pathlib import Path

import pytest

from lib.data.pictures.find import PictureFiles


def found(root: Path, name: str, *, outside: bool = False) -> tuple[str, str]:
    """Return where a name is found, or nothing, and what was said."""
    files = PictureFiles(root, all_allowed=outside)
    at = files.as_written(name)
    at = files.otherwise(name) if at.kind == "image_missing" else at
    return ("", f"{at.kind} {at.detail}") if at.kind else (at.file, at.how)


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


ACCENT = "images/d\u00e9 1.jpg"


@pytest.mark.parametrize(
    ("name", "file", "how"),
    [
        ("images\\a.jpg", "images/a.jpg", "spelling"),
        ("images/d%C3%A9%201.jpg", ACCENT, "spelling"),
        ("images/de\u0301 1.jpg", ACCENT, "spelling"),
        ("Images/A.jpg", "images/a.jpg", "spelling"),
        ("IMAGES\\de\u0301%201.jpg", ACCENT, "spelling"),
        ("images\\1/a.jpg", "images/a.jpg", "last parts"),
        ("/home/someone/images/a.jpg", "images/a.jpg", "last parts"),
        ("..\\..\\media\\4\\a.jpg", "images/a.jpg", "last parts"),
        ("https://example.org/b/a.jpg?sig=1#x", "images/a.jpg", "last parts"),
        ("/data/local-files/?d=images%2Fa.jpg", "images/a.jpg", "last parts"),
        ("set/images/a.jpg", "images/a.jpg", "last parts"),
    ],
)
def test_a_file_is_found_by_another_spelling_or_its_last_parts(
    tmp_path: Path, name: str, file: str, how: str
) -> None:
    at, said = found(put(tmp_path, "images/a.jpg", ACCENT), name)
    assert at == file and how in said


def test_a_name_that_is_there_as_written_is_never_read_otherwise(tmp_path: Path) -> None:
    names = ["a b.jpg", "a%20b.jpg", "A b.jpg", "x?d=a b.jpg", "sub\\a b.jpg", "\u00fc #1.jpg"]
    put(tmp_path, *names)
    assert [found(tmp_path, name) for name in names] == [(name, "") for name in names]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/home/a.jpg", "2 files fit: one/a.jpg, two/a.jpg"),
        ("val/b.jpg", "there is a file one/b.jpg"),
        ("x\0.jpg", "image_missing"),
        ("long" * 2000, "image_missing"),
    ],
)
def test_nothing_is_guessed_where_no_single_file_fits(tmp_path: Path, name: str, said: str) -> None:
    at, why = found(put(tmp_path, "one/a.jpg", "two/a.jpg", "one/b.jpg"), name)
    assert not at and said in why


def test_of_several_files_of_one_name_the_folder_decides(tmp_path: Path) -> None:
    put(tmp_path, "one/a.jpg", "two/a.jpg")
    assert found(tmp_path, "/home/one/a.jpg")[0] == "one/a.jpg"


def test_files_outside_the_folder_need_permission(tmp_path: Path) -> None:
    root = put(tmp_path / "root", "in.jpg")
    put(tmp_path, "away/out.jpg")
    (root / "link.jpg").symlink_to("../away/out.jpg")
    (root / "folder").symlink_to("../away")
    (root / "within.jpg").symlink_to("in.jpg")
    absolute = str(tmp_path / "away/out.jpg")
    for name in ("../away/out.jpg", absolute, "link.jpg", "folder/out.jpg"):
        at, why = found(root, name)
        assert not at and "image_outside" in why and "--outside" in why, name
        assert found(root, name, outside=True) == (name, "")
    assert found(root, "/elsewhere/out.jpg")[0] == ""  # no guess leads out either
    (tmp_path / "alias").symlink_to("root")
    for folder in (root, tmp_path / "alias"):
        assert found(folder, "within.jpg") == ("within.jpg", "")


def test_only_plain_files_are_pictures(tmp_path: Path) -> None:
    put(tmp_path, "sub/a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    for name in ("pipe.jpg", "sub", "."):
        assert "image_not_regular" in found(tmp_path, name)[1]
    for name in ("gone.jpg", "self.jpg"):
        assert "image_missing" in found(tmp_path, name)[1]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path, "x/a.jpg")
    (tmp_path / "x" / "loop").symlink_to("..")
    assert found(tmp_path, "/home/a.jpg")[0] == "x/a.jpg"

import argparse
import errno
import importlib
import os
from pathlib import Path

import pytest

from lib import paths
from lib.files import read_json, write_json
from lib.masks.__main__ import main
from lib.outputs import check_output, file_ending_in, written_by

LABELS = {"images": [], "annotations": [], "categories": []}


def test_a_new_file_in_a_new_folder_is_fine_and_nothing_is_left(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "masks.json", images=tmp_path / "images")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]


@pytest.mark.parametrize("name", ["photo.jpg", "masks", "folder.json"])
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


def test_a_program_replaces_what_it_wrote_alone(tmp_path: Path) -> None:
    given = file_ending_in(".json", written_by("lib.a"), place=lambda name: tmp_path / name)
    write_json(tmp_path / "numbers.json", {"written_by": "lib.a", "rows": []})
    assert given("numbers.json") == tmp_path / "numbers.json"
    others = {"labels": LABELS, "results": [{"score": 1}], "other": {"written_by": "lib.b"}}
    for name, content in others.items():
        write_json(tmp_path / f"{name}.json", content)
        with pytest.raises(argparse.ArgumentTypeError, match=name):
            given(f"{name}.json")


OUTPUTS = {
    "lib.bench.inference": "x.json",
    "lib.bench.models": "x.json",
    "lib.bench.masks": "x.json",
    "lib.opmask.overlap": "x.csv",
}


@pytest.mark.parametrize("module", OUTPUTS)
def test_no_program_replaces_a_file_of_somebody_else(tmp_path: Path, module: str, capsys) -> None:
    out = tmp_path / OUTPUTS[module]
    for content in (b'[{"image_id": 1}]', b'{"written_by": "me"}', b"id,name\n1,x\n", b"PK"):
        out.write_bytes(content)
        with pytest.raises(SystemExit) as end:
            importlib.import_module(module).main(["--out", str(out)])
        assert end.value.code == 2
        assert "argument --out" in (said := capsys.readouterr().err)
        assert out.name in said
        assert out.read_bytes() == content


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link, target = tmp_path / "link.json", tmp_path / "folder" / "target.json"
    link.symlink_to(target)
    for number in range(2):  # the target is made, then replaced
        check_output(link)
        write_json(link, [number])
        assert link.is_symlink()
        assert read_json(target) == [number]


def test_a_full_disk_is_said_with_the_file_and_what_to_do(
    tmp_path: Path, make_set, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    labels = make_set(images=1)
    given = ["--annotations", str(labels.annotations_path), "--images", str(labels.image_root)]
    monkeypatch.setattr(os, "fsync", full)
    assert main([*given, "--iterations", "1", "--out", str(tmp_path / "masks.json")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert str(tmp_path) in said
    assert "No space left on device. Make room there" in said


def test_the_place_that_is_checked_is_the_place_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(paths, "ROOT", tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "elsewhere")
    theirs = tmp_path / "repository" / "x.json"
    write_json(theirs, LABELS)
    with pytest.raises(SystemExit):
        importlib.import_module("lib.bench.models").main(["--out", "x.json"])
    assert read_json(theirs) == LABELS

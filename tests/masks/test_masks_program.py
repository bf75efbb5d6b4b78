import json
import sys
from pathlib import Path

import pytest

from lib.files import read_json, write_json
from lib.masks import __main__ as program
from lib.masks.__main__ import main
from lib.workers import WorkerLostError


def arguments(coco_set, out: Path, *more: str) -> list[str]:
    files = ["--annotations", str(coco_set.annotations_path), "--images", str(coco_set.image_root)]
    return [*files, "--out", str(out), "--iterations", "1", *more]


def test_the_program_writes_masks_and_says_what_it_found(make_set, tmp_path, capsys) -> None:
    out = tmp_path / "new folder" / "masks.json"
    assert main(arguments(make_set(), out)) == 0
    assert len(read_json(out)["annotations"]) == 15
    assert "15 boxes. Invalid:" in capsys.readouterr().out


def test_without_the_package_for_clusters_its_command_is_named(
    make_set, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    there = ["--dask", "tcp://127.0.0.1:8786"]
    assert main(arguments(make_set(images=1), tmp_path / "masks.json", *there)) == 2
    assert "pip install -e '.[cluster]'" in capsys.readouterr().err


def test_a_killed_worker_is_a_sentence(make_set, tmp_path, monkeypatch, capsys) -> None:
    def lost(*_: object, **__: object) -> None:
        raise WorkerLostError("A worker process was killed")

    monkeypatch.setattr(program, "generate", lost)
    assert main(arguments(make_set(images=1), tmp_path / "masks.json")) == 1
    assert capsys.readouterr().err.startswith("Stopped: A worker process was killed")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--annotations", "nowhere.json"], "nowhere.json"),
        (["--images", "nowhere"], "no image folder nowhere"),
        (["--iterations", "0"], "at least 1"),
        (["--out", "folder"], "expected a file name"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(make_set, tmp_path, capsys, more, text) -> None:
    assert main(arguments(make_set(), tmp_path / "masks.json", *more)) == 2
    said = capsys.readouterr().err
    assert text in said
    assert "Traceback" not in said


def test_only_masks_that_the_program_wrote_are_replaced_without_force(
    make_set, tmp_path: Path, capsys
) -> None:
    coco_set, out = make_set(images=1), tmp_path / "masks.json"
    for _ in range(2):
        assert main(arguments(coco_set, out)) == 0
    write_json(out, coco_set.to_coco())
    before = out.read_bytes()
    assert main(arguments(coco_set, out)) == 2
    assert out.read_bytes() == before
    assert "--force" in capsys.readouterr().err
    assert main(arguments(coco_set, out, "--force")) == 0
    assert out.read_bytes() != before
    picture = coco_set.images[0].path
    for given in (picture, picture.with_suffix(".json"), coco_set.annotations_path):
        assert main(arguments(coco_set, given, "--force")) == 2
    assert not picture.with_suffix(".json").exists()
    assert read_json(coco_set.annotations_path) == coco_set.to_coco()


def test_bad_labels_are_repaired_or_dropped_or_stop_the_program(make_set, tmp_path, capsys) -> None:
    coco_set = make_set()
    content = coco_set.to_coco()
    content["annotations"][0]["bbox"] = [500, 500, 10, 10]
    content["annotations"][1]["id"] = str(content["annotations"][1]["id"])
    content["annotations"][2]["segmentation"] = [[1, 2, 3, 4]]  # not used, so no reason to stop
    write_json(coco_set.annotations_path, content)
    damaged = coco_set.images[4].path
    damaged.write_bytes(damaged.read_bytes()[:200])
    out = tmp_path / "masks.json"
    assert main(arguments(coco_set, out, "--on-bad", "error")) == 2
    assert "--on-bad repair" in capsys.readouterr().err
    assert not out.exists()
    assert main(arguments(coco_set, out)) == 0
    assert len(read_json(out)["annotations"]) == 11
    assert "1 numbers written as text" in capsys.readouterr().out
    assert main(arguments(coco_set, out, "--on-bad", "drop")) == 0
    assert len(read_json(out)["annotations"]) == 10


def test_what_is_carried_along_is_in_the_output_or_said_before_any_work(
    make_set, tmp_path, monkeypatch, capsys
) -> None:
    coco_set = make_set(images=1)
    content = coco_set.to_coco() | {"info": "made by hand", "licenses": ["mine"]}
    content["categories"][0] |= {"supercategory": "bio", "color": [1, 2]}
    write_json(coco_set.annotations_path, content)
    assert main(arguments(coco_set, tmp_path / "masks.json")) == 0
    written = read_json(tmp_path / "masks.json")
    assert written["categories"] == content["categories"] and written["licenses"] == ["mine"]
    assert written["info"]["original"] == "made by hand" and "pseudo_masks" in written["info"]
    content["annotations"][0]["depth"] = float("nan")
    coco_set.annotations_path.write_text(json.dumps(content))
    monkeypatch.setattr("lib.masks.pseudo.masks_of", None)  # no work is begun
    assert main(arguments(coco_set, tmp_path / "no.json", "--on-bad", "error")) == 2
    assert "NaN" in capsys.readouterr().err

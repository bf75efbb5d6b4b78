from pathlib import Path

import pytest

from lib.files import read_json, write_json
from lib.masks.__main__ import main


def arguments(coco_set, out: Path, *more: str) -> list[str]:
    files = ["--annotations", str(coco_set.annotations_path), "--images", str(coco_set.image_root)]
    return [*files, "--out", str(out), "--iterations", "1", *more]


def test_the_program_writes_masks_and_says_what_it_found(make_set, tmp_path, capsys) -> None:
    out = tmp_path / "new folder" / "masks.json"
    assert main(arguments(make_set(), out)) == 0
    assert len(read_json(out)["annotations"]) == 15
    said = capsys.readouterr().out
    assert "15 of 15 boxes" in said
    assert "15 boxes. Invalid:" in said
    assert "small boxes" in said


def test_a_set_of_crowd_regions_alone_is_no_error(make_set, tmp_path, capsys) -> None:
    coco_set = make_set(images=1)
    content = coco_set.to_coco()
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    write_json(coco_set.annotations_path, content)
    assert main(arguments(coco_set, tmp_path / "masks.json")) == 0
    assert "No box to make a mask for. 3 crowd regions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--annotations", "nowhere.json"], "no annotation file nowhere.json"),
        (["--images", "nowhere"], "no image folder nowhere"),
        (["--iterations", "0"], "at least 1"),
        (["--workers", "-1"], "workers is -1"),
        (["--valid-from", "0"], "above 0"),
        (["--out", "folder"], "expected a file name"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(make_set, tmp_path, capsys, more, text) -> None:
    assert main(arguments(make_set(), tmp_path / "masks.json", *more)) == 2
    said = capsys.readouterr().err
    assert text in said
    assert "Traceback" not in said


def test_the_boxes_are_never_overwritten(make_set, capsys) -> None:
    coco_set = make_set()
    before = coco_set.annotations_path.read_bytes()
    assert main(arguments(coco_set, coco_set.annotations_path)) == 2
    assert coco_set.annotations_path.read_bytes() == before


def test_bad_labels_stop_the_program_or_are_dropped(make_set, tmp_path, capsys) -> None:
    coco_set = make_set()
    content = coco_set.to_coco()
    content["annotations"][0]["bbox"] = [500, 500, 10, 10]
    write_json(coco_set.annotations_path, content)
    damaged = coco_set.images[4].path
    damaged.write_bytes(damaged.read_bytes()[:200])
    out = tmp_path / "masks.json"
    assert main(arguments(coco_set, out)) == 2
    assert not out.exists()
    assert main(arguments(coco_set, out, "--on-bad", "drop")) == 0
    assert len(read_json(out)["annotations"]) == 11

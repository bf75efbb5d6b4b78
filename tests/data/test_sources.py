from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib.data.sources import SetFiles, open_set, read_sets, write_sets
from lib.files import read_json
from lib.paths import ROOT


def test_sets_come_back_as_they_were_written(tmp_path: Path) -> None:
    sets = {
        "train": SetFiles(ROOT / "cache" / "a.json", ROOT / "cache" / "pictures"),
        "val": SetFiles(tmp_path / "b.json", tmp_path),
    }
    write_sets(tmp_path / "sets.json", sets)
    assert read_sets(tmp_path / "sets.json") == sets
    written = read_json(tmp_path / "sets.json")
    assert written["train"] == {"annotations": "cache/a.json", "images": "cache/pictures"}
    assert Path(written["val"]["annotations"]).is_absolute()


def test_opening_does_not_look_at_pictures_again(
    tmp_path: Path, content: dict[str, Any], folder: Path, save: Callable[[Any], Path]
) -> None:
    write_sets(tmp_path / "sets.json", {"train": SetFiles(save(content), folder)})
    for file in folder.iterdir():
        file.unlink()
    opened = open_set(tmp_path / "sets.json", "train")
    assert len(opened) == 3 and opened.image(3).path == folder / "b.jpg"


def test_an_absent_set_is_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    write_sets(tmp_path / "sets.json", {"train": SetFiles(tmp_path / "a.json", tmp_path)})
    with pytest.raises(ValueError, match=r"no 'val' set, only 'train'.*data_val_annotations"):
        open_set(tmp_path / "sets.json", "val")

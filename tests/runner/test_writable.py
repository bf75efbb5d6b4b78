"""Places that cannot be written to are told in a sentence, and finished work is kept."""

import errno
import os

import pytest
from filelock import FileLock

from lib.runner import places
from lib.runner.jobs import Children
from tests.runner.toy import Toy


@pytest.mark.parametrize("place", ["cache", "results/toy"])
def test_what_is_no_folder_is_told_before_work(toy: Toy, place: str) -> None:
    path = toy.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    code, output = toy.run()
    assert code == 2
    assert "Nothing can be written in" in output and place in output
    assert "Traceback" not in output
    assert not list(toy.root.rglob("numbers.json"))
    assert path.read_text() == "mine"


def test_a_full_disk_is_told_and_finished_work_is_kept(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    toy.run("--only", "01_numbers")
    with monkeypatch.context() as patch:
        patch.setattr(places, "CHILDREN", Children())
        patch.setattr(os, "fsync", full)
        code, output = toy.run()
    assert code == 1
    assert "error: " in output and "No space left on device. Make room there" in output
    assert "Traceback" not in output
    assert toy.ran() == ["02_sum", "03_other", "04_report"]


def test_a_second_runner_on_one_profile_is_refused(toy: Toy) -> None:
    toy.run("--only", "01_numbers")
    with FileLock(toy.study.cache("toy") / ".lock"):
        code, output = toy.run()
    assert code == 2
    assert "Another runner is working on profile 'toy'" in output

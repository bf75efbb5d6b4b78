import os
import shutil
from pathlib import Path

import pytest

from tests.runner import toy as toys


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash of the machine is not tried here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def toy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> toys.Toy:
    """A study of four small notebooks."""
    return toys.make(tmp_path / "study", capsys)


@pytest.fixture(scope="session")
def after_first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that has run once; not to be changed."""
    root = tmp_path_factory.mktemp("finished") / "study"
    toys.write(root)
    toys.first_run(root)
    return root


@pytest.fixture
def done(tmp_path: Path, capsys: pytest.CaptureFixture[str], after_first_run: Path) -> toys.Toy:
    """A study that has run once."""
    shutil.copytree(after_first_run, tmp_path / "study")
    return toys.Toy(tmp_path / "study", capsys)

from pathlib import Path

import pytest

from tests.runner import toy as toys


@pytest.fixture
def toy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> toys.Toy:
    """A study of four small notebooks."""
    return toys.make(tmp_path / "study", capsys)

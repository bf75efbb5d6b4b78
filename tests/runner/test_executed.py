"""What is taken out of a notebook before it goes to ``results/``."""

import json
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from lib.paths import DATA_VARIABLE
from lib.runner.executed import write_executed


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository and data behind symbolic links, a home folder and two interpreters."""
    for name in ("real/repo", "real/data", "home", "tools/python", "venv"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("repo", "data"):
        (tmp_path / name).symlink_to(tmp_path / "real" / name)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "tools/python"))
    return tmp_path / "repo"


PATHS = {
    "{0}/repo/lib/a.py": "lib/a.py",
    "{0}/real/repo/lib/a.py": "lib/a.py",
    "'{0}/repo'": "'.'",
    "file://{0}/repo/lib/a.py": "file://lib/a.py",
    "{0}/data/voc/1.jpg": "data/voc/1.jpg",
    "{0}/real/data/voc/1.jpg": "data/voc/1.jpg",
    "{0}/home/.cache/x": "~/.cache/x",
    "{0}/home": "~",
    "{0}/homes/x": "{0}/homes/x",
    "{0}/venv/lib/python3.12/a.py": "python/lib/python3.12/a.py",
    "{0}/tools/python/lib/python3.12/a.py": "python/lib/python3.12/a.py",
    "{1}/ipykernel_123/456.py:3: UserWarning": "cell.py:3: UserWarning",
}


@pytest.mark.parametrize("before", ["", "a\n", "at ", "\x1b[32m", "repr: 'a\\n"])
def test_no_folder_of_this_machine_is_left(root: Path, tmp_path: Path, before: str) -> None:
    texts = [before + path.format(tmp_path, tempfile.gettempdir()) for path in PATHS]
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in texts]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])
    nbformat.write(notebook, tmp_path / "executed.ipynb")
    target = tmp_path / "page.ipynb"
    write_executed(tmp_path / "executed.ipynb", target, root=root, provenance="")
    shown = json.loads(target.read_text())["cells"][0]["outputs"]
    assert ["".join(output["text"]) for output in shown] == [
        before + short.format(tmp_path) for short in PATHS.values()
    ]


def test_an_interpreter_in_usr_leaves_the_rest_of_usr_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    cell = nbformat.v4.new_code_cell("'/usr/share/fonts', '/usr/lib/python3.11/a.py'")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "executed.ipynb")
    target = tmp_path / "page.ipynb"
    write_executed(tmp_path / "executed.ipynb", target, root=root, provenance="")
    source = "".join(json.loads(target.read_text())["cells"][0]["source"])
    assert source == "'/usr/share/fonts', 'python/lib/python3.11/a.py'"

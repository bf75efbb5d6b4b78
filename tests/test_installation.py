"""What the Makefile and the conda environment ask for can be done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lib.paths import ROOT

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def _make(*arguments: str, path: str) -> "subprocess.CompletedProcess[str]":
    # The suite itself may run under make, which hands its variables and flags on.
    of_make = {"PYTHON", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    return subprocess.run(
        [str(shutil.which("make")), *arguments],
        cwd=ROOT,
        env=environment | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_make
def test_a_python_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    (tmp_path / "python3.11").symlink_to(sys.executable)
    done = _make("-n", "-B", ".venv/installed", path=f"{tmp_path}:{os.environ['PATH']}")
    assert "python3.11 -m venv --clear .venv" in done.stdout


@needs_make
def test_no_python_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to(str(shutil.which("sh")))
    # In a copy: nothing of the real environment can be touched, whatever the Makefile does.
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = _make("-C", str(tmp_path), ".venv/installed", path=str(tmp_path))
    assert done.returncode != 0
    assert "Python 3.11 or 3.12 is needed" in done.stderr


def test_the_conda_environment_gives_pip_one_option_and_one_file_a_line() -> None:
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lines = content["dependencies"][-1]["pip"]
    assert [line.split()[0] for line in lines] == ["-r", "-e"]
    assert all(len(line.split()) == 2 and (ROOT / line.split()[1]).exists() for line in lines)

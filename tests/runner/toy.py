"""A study of four small notebooks in a temporary folder, for the tests of the runner.

``01_numbers`` and ``03_other`` need nothing, ``02_sum`` needs the first, ``04_report`` both ``02``
and ``03``. The toy's ``lib`` has copies of the modules that a notebook needs, so that its kernels
import ``lib`` from there.
"""

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

import lib
from lib.paths import ROOT
from lib.runner import cli
from lib.runner.jobs import Job, Outcome, Say, environment_of, say_here
from lib.runner.places import Run
from lib.runner.steps import Step
from lib.study import Study

STEPS = (
    Step("01_numbers"),
    Step("02_sum", needs=("01_numbers",)),
    Step("03_other"),
    Step("04_report", needs=("02_sum", "03_other")),
)

START = """\
from pathlib import Path
from lib.study import Study
from lib.workspace import Workspace
ws = Workspace(study=Study(Path.cwd()), profile=profile, step={step!r})"""

CELLS = {
    "01_numbers": (
        "numbers_count: int = 3  # how many",
        "import json\nfrom lib.toy.count import count_to\n"
        "ws.file('numbers.json').write_text(json.dumps(count_to(numbers_count)))",
    ),
    "02_sum": (
        "sum_offset: int = 0  # added to the sum\nsum_scale: float = 1.0  # times the sum",
        "import json\nnumbers = json.loads(ws.input('01_numbers', 'numbers.json').read_text())\n"
        "ws.file('sum.json').write_text(json.dumps(sum_scale * sum(numbers) + sum_offset))",
    ),
    "03_other": (
        "numbers_count: int = 3  # how many\nother_word: str = 'one'  # any word",
        "ws.file('other.txt').write_text(other_word * numbers_count)",
    ),
    "04_report": (
        "",
        "total = ws.input('02_sum', 'sum.json').read_text()\n"
        "ws.file('report.txt').write_text(total + ws.input('03_other', 'other.txt').read_text())",
    ),
}

WAITING = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if not (ws.folder / "checkpoint").exists():
    (ws.folder / "pids").write_text(f"{os.getpid()} {child.pid}")
    (ws.folder / "checkpoint").write_text("half")
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        (ws.folder / "saved").touch()
        raise
child.kill()
"""
"""Code that waits to be stopped, with a process of its own, unless it was begun before."""

LIB = ("__init__.py", "paths.py", "files.py", "study.py", "terms.py", "variant.py", "workspace.py")


@dataclass
class Toy:
    """The study, and what can be done to it.

    Args:
        root: its folder.
        capsys: pytest's capture of what is printed, if it is to be run.
        steps: its steps.
        how: executes a notebook; as a script if it is not given.
    """

    root: Path
    capsys: pytest.CaptureFixture[str] | None = None
    steps: tuple[Step, ...] = STEPS
    how: Run | None = None

    @property
    def study(self) -> Study:
        return Study(self.root)

    def run(self, *arguments: str, kernels: bool = False) -> tuple[int, str]:
        """Return exit code and everything printed by a run, with or without Jupyter kernels."""
        assert self.capsys
        self.capsys.readouterr()
        alone = not {"--jobs", "--dask"} & set(arguments)
        here = run_here if alone else run_as_script
        how: dict[str, Any] = {} if kernels else {"run": self.how or here}
        given = ["--profile", "toy", "--jobs", "1", *arguments]  # later ones count
        code = cli.main(given, study=self.study, steps=self.steps, **how)
        captured = self.capsys.readouterr()
        return code, captured.out + captured.err

    def ran(self, *arguments: str) -> list[str]:
        """Return the steps that a run executed."""
        _, output = self.run(*arguments)
        return [line.split()[1] for line in output.splitlines() if " finished in " in line]

    def planned(self, *arguments: str) -> dict[str, str]:
        """Return what a dry run says of each step."""
        found: dict[str, str] = {}
        for line in self.run(*arguments, "--dry-run")[1].splitlines():
            first = line.strip().split(" ")[0]
            if first in {step.id for step in self.steps}:
                found[first] = line
        return found

    def command(self, *arguments: str) -> list[str]:
        """Return the command of a runner in a process of its own."""
        code = (
            "import signal, sys; from pathlib import Path; from lib.runner.cli import main;"
            # one that a shell starts in the background ignores Ctrl-C
            "signal.signal(signal.SIGINT, signal.default_int_handler);"
            "from lib.study import Study; from tests.runner.toy import STEPS;"
            f"sys.exit(main({['--profile', 'toy', '--jobs', '1', *arguments]!r},"
            f" study=Study(Path({str(self.root)!r})), steps=STEPS))"
        )
        return [sys.executable, "-c", code]

    def edit(self, notebook: str, before: str, after: str) -> None:
        """Replace text in the code cells of a notebook."""
        path = self.study.notebooks / f"{notebook}.ipynb"
        content = json.loads(path.read_text())
        changed = 0
        for cell in content["cells"]:
            changed += before in cell["source"]
            cell["source"] = cell["source"].replace(before, after)
        assert changed, f"{before!r} is not in {notebook}"
        path.write_text(json.dumps(content))

    def give(self, name: str, value: object) -> None:
        """Give a parameter a value in the profile, for all steps or, as STEP:NAME, for one."""
        scope, _, parameter = name.rpartition(":")
        head = f"steps:\n  {scope}:\n    " if scope else "parameters:\n  "
        self.profile(f"description: a toy\n{head}{parameter}: {value}\n")

    def profile(self, text: str) -> None:
        """Write the profile."""
        (self.study.params / "toy.yaml").write_text(text)

    def output(self, step: str, name: str, *, run: str = "toy") -> str:
        """Return the text of an output."""
        return (self.study.step_folder(run, step) / name).read_text()


def make(root: Path, capsys: pytest.CaptureFixture[str]) -> Toy:
    """Write the study to ``root`` and return it."""
    write(root)
    return Toy(root, capsys)


def first_run(root: Path) -> None:
    """Run the study in ``root``, without Jupyter kernels."""
    command = ["--profile", "toy", "--jobs", "1"]
    assert cli.main(command, study=Study(root), steps=STEPS, run=run_here) == 0


def write(root: Path) -> None:
    """Write the study to ``root``."""
    for name in LIB:
        (root / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "lib" / name, root / "lib" / name)
    toy = root / "lib" / "toy"
    toy.mkdir()
    (toy / "__init__.py").write_text('"""Toys."""\n')
    (toy / "count.py").write_text(
        '"""Counting."""\n\nfrom lib.toy.begin import BEGIN\n\n\n'
        'def count_to(n: int) -> list[int]:\n    """Count."""\n'
        "    return list(range(BEGIN, BEGIN + n))  # all of them\n"
    )
    (toy / "begin.py").write_text('"""The beginning."""\n\nBEGIN = 0\n')
    (root / "params").mkdir()
    (root / "notebooks").mkdir()
    (root / "params" / "toy.yaml").write_text("description: a toy\n")
    for name, (parameters, code) in CELLS.items():
        write_notebook(root / "notebooks" / f"{name}.ipynb", name, parameters, code)


def write_notebook(path: Path, step: str, parameters: str, *code: str) -> None:
    """Write a notebook with a title, a parameters cell, a workspace and cells of code."""

    def cell(kind: str, source: str, at: int, tags: list[str]) -> dict[str, Any]:
        more = {"execution_count": None, "outputs": []} if kind == "code" else {}
        metadata = {"tags": tags} if tags else {}
        return {"cell_type": kind, "id": f"c{at}", "metadata": metadata, "source": source} | more

    sources = [
        ("markdown", f"# Title of {step}\n\nThe question of {step}.", []),
        ("code", f"profile: str = 'demo'  # name of the profile\n{parameters}", ["parameters"]),
        *(("code", source, []) for source in (START.format(step=step), *code)),
    ]
    content = {
        "cells": [cell(kind, source, at, tags) for at, (kind, source, tags) in enumerate(sources)],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content))


def run_here(job: Job, say: Say = say_here) -> Outcome:
    """Execute a notebook's code in this process, which takes milliseconds; one at a time."""
    began, here, printed = time.monotonic(), Path.cwd(), io.StringIO()
    path = [*lib.__path__, f"{job.root}/lib"]  # the toy's own modules, after the study's
    error, tail = None, ()
    importlib.invalidate_caches()
    try:
        os.chdir(job.root)
        with (
            mock.patch.dict(os.environ, environment_of(job), clear=True),
            mock.patch.object(lib, "__path__", path),
            mock.patch.object(sys, "dont_write_bytecode", True),
            redirect_stdout(printed),
        ):
            exec(_code(job), {"__name__": "__main__"})
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
        tail = tuple(traceback.format_exc().splitlines())
    finally:
        os.chdir(here)
        for name in [name for name in sys.modules if name.startswith("lib.toy")]:
            del sys.modules[name]
            vars(lib).pop("toy", None)
    for line in printed.getvalue().splitlines():
        say(f"  {job.step} | {line}")
    if error is None:
        shutil.copy(job.source, job.executed)
    return Outcome(time.monotonic() - began, error, tail=tail)


def _code(job: Job) -> str:
    """Return the code of a notebook's cells, with the parameters that are injected."""
    code = []
    for cell in json.loads(Path(job.source).read_text())["cells"]:
        if cell["cell_type"] == "code":
            code.append(cell["source"])
            if "parameters" in cell["metadata"].get("tags", []):
                code.append(job.injected)
    return "\n".join(code)


def run_as_script(job: Job, say: Say = say_here) -> Outcome:
    """Execute a notebook's code in a process of its own, for those that run side by side."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _code(job)],
        cwd=job.root,
        env=environment_of(job),
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        say(f"  {job.step} | {line}")
    seconds = time.monotonic() - began
    if done.returncode:
        return Outcome(seconds, done.stderr.splitlines()[-1], tail=tuple(done.stderr.splitlines()))
    shutil.copy(job.source, job.executed)
    return Outcome(seconds)


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

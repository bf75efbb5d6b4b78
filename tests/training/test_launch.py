"""Running a module in processes of its own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lib.paths import ROOT
from lib.training.launch import how_it_ended, run_module, training_processes


def test_lines_of_the_module_are_passed_on(capsys):
    run_module("platform")
    assert capsys.readouterr().out.strip()


def test_failure_says_what_the_module_said_and_how_to_repeat_it_in_a_shell():
    with pytest.raises(RuntimeError, match=r"(?s)nowhere.*python -m json.tool") as error:
        run_module("json.tool", "nowhere/it's $x.json")
    command = str(error.value).rsplit("To repeat it: ")[-1]
    assert "nowhere/it's $x.json" in shlex.split(command)


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "memory"), (signal.SIGSEGV, "Segmentation"), (64, "64")]
)
def test_a_process_that_a_signal_ended_says_which_and_the_likely_reason(number, words):
    assert f"signal {int(number)}" in how_it_ended(-number)
    assert words in how_it_ended(-number)


def test_errors_of_one_of_several_processes_are_said_once_before_the_launchers_report(
    tmp_path, monkeypatch
):
    (tmp_path / "failing.py").write_text('import sys\nsys.exit("error: there is no folder")')
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    with pytest.raises(RuntimeError) as caught:
        run_module("failing", processes=2)
    assert str(caught.value).count("error: there is no folder") == 1
    assert "torchrun --standalone --nproc-per-node 2 -m failing" in str(caught.value)


@pytest.mark.parametrize("text", ["0", "many", "-1", ""])
def test_number_of_processes_comes_from_the_environment_or_is_one(monkeypatch, text):
    monkeypatch.delenv("BOXES_TO_MASKS_PROCESSES", raising=False)
    assert training_processes() == 1
    monkeypatch.setenv("BOXES_TO_MASKS_PROCESSES", "3")
    assert training_processes() == 3
    monkeypatch.setenv("BOXES_TO_MASKS_PROCESSES", text)
    with pytest.raises(ValueError, match="expected a number of processes"):
        training_processes()


@pytest.mark.parametrize(("processes", "killed"), [(1, "caller"), (2, "caller"), (2, "launcher")])
def test_nothing_is_left_of_a_module_whose_caller_or_launcher_is_killed(
    tmp_path: Path, processes: int, killed: str
) -> None:
    call = f"run_module('tests.training.sleeper', {str(tmp_path)!r}, processes={processes})"
    program = f"from lib.training.launch import run_module; {call}"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as caller:
        until = time.monotonic() + 30
        while len(list(tmp_path.iterdir())) < processes:
            assert time.monotonic() < until
            time.sleep(0.05)
        family = psutil.Process(caller.pid).children(recursive=True)
        assert {int(path.name) for path in tmp_path.iterdir()} <= {p.pid for p in family}
        os.kill(caller.pid if killed == "caller" else family[0].pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]

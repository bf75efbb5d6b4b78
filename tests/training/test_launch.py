"""Running a module in processes of its own."""

import multiprocessing
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
from lib.training.launch import obey, run_module, training_processes


def test_lines_of_the_module_are_passed_on(capsys):
    run_module("platform")
    assert capsys.readouterr().out.strip()


def test_failure_says_what_the_module_said_and_how_to_repeat_it():
    with pytest.raises(RuntimeError, match=r"(?s)error: .*nowhere.*python -m lib.training.train"):
        run_module("lib.training.train", "nowhere/config.json")


def test_the_command_to_repeat_is_one_that_a_shell_understands():
    with pytest.raises(RuntimeError) as error:
        run_module("lib.training.train", "a folder/it's $x.json")
    command = str(error.value).rsplit("To repeat it: ")[-1]
    assert shlex.split(command)[-1] == "a folder/it's $x.json"


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "memory"), (signal.SIGSEGV, "crash"), (64, "")]
)
def test_a_module_that_a_signal_ended_says_which_and_the_likely_reason(
    tmp_path, processes, number, words
):
    if processes > 1 and number != signal.SIGKILL:
        pytest.skip("torchrun reports all alike")
    program = f"import os; os.kill(os.getpid(), {int(number)})"
    (tmp_path / "ended_by_a_signal.py").write_text(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
        with pytest.raises(RuntimeError) as error:
            run_module("ended_by_a_signal", processes=processes)
    first = str(error.value).splitlines()[0]
    assert f"signal {int(number)}" in first
    assert words in first


@pytest.mark.parametrize("text", ["0", "many", "-1", ""])
def test_number_of_processes_comes_from_the_environment_or_is_one(monkeypatch, text):
    monkeypatch.delenv("BOXES_TO_MASKS_PROCESSES", raising=False)
    assert training_processes() == 1
    monkeypatch.setenv("BOXES_TO_MASKS_PROCESSES", "3")
    assert training_processes() == 3
    monkeypatch.setenv("BOXES_TO_MASKS_PROCESSES", text)
    with pytest.raises(ValueError, match="expected a number of processes"):
        training_processes()


def wait_for(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("processes", "killed"), [(1, "caller"), (2, "caller"), (2, "launcher")])
def test_nothing_is_left_of_a_module_whose_caller_or_launcher_is_killed(
    tmp_path, processes, killed
):
    call = f"run_module('tests.training.sleeper', {str(tmp_path)!r}, processes={processes})"
    program = f"from lib.training.launch import run_module; {call}"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as caller:
        wait_for(lambda: len(list(tmp_path.iterdir())) == processes)
        family = psutil.Process(caller.pid).children(recursive=True)
        assert {int(path.name) for path in tmp_path.iterdir()} <= {p.pid for p in family}
        victim = caller.pid if killed == "caller" else family[0].pid
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in family))


def obedient(parent: int, ready: Path) -> None:
    obey(parent)
    ready.touch()
    time.sleep(60)


def test_helper_is_ended_by_its_parent_and_by_no_other(tmp_path):
    ready = tmp_path / "ready"
    arguments = (os.getpid(), ready)
    helper = multiprocessing.get_context("fork").Process(target=obedient, args=arguments)
    helper.start()
    wait_for(ready.exists)
    subprocess.run(["kill", "-TERM", str(helper.pid)], check=True)
    helper.join(0.3)
    assert helper.is_alive()
    helper.terminate()
    helper.join(10)
    assert helper.exitcode == 0


def test_error_of_one_of_several_processes_is_said_before_the_launchers_report(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        run_module("tests.training.sleeper", str(tmp_path / "nowhere"), processes=2)
    assert "error: there is no folder" in str(caught.value)
    assert "torchrun --standalone --nproc-per-node 2 -m tests.training.sleeper" in str(caught.value)

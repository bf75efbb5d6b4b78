"""Runs on this machine: failures, interruption, running side by side."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from nbclient.exceptions import DeadKernelError

from lib.paths import ROOT
from lib.runner import cli, notebook, places
from lib.runner.jobs import Children, Job, Outcome, Say
from lib.runner.machine import Gpu
from tests.runner.toy import STEPS, WAITING, Toy, is_alive, run_as_script, wait_for


def test_kernels_side_by_side_make_notebooks_pages_and_provenance(toy: Toy) -> None:
    show = "import os, sys\nprint('working in', os.getcwd() + '/here', sys.executable)\n"
    toy.edit("01_numbers", "ws.file(", show + "ws.file(")
    toy.edit("03_other", "ws.file(", "# a comment\nx = 1\nx / 0\nws.file(")
    toy.give("numbers.count", 4)
    code, output = toy.run("--jobs", "2", "--only", "01_numbers,03_other", kernels=True)
    assert code == 1
    assert not list(toy.root.glob("*ipc*")), "sockets in the working directory"
    # What a notebook prints is seen live, after the step's name; warnings of Jupyter are not.
    assert f"  01_numbers | working in {toy.root}/here {sys.executable}" in output
    assert "encryption" not in output
    # Parameters, injected parameters and the workspace come before.
    assert "Cell In [4], which begins: x = 1" in output
    assert "ZeroDivisionError: division by zero" in output
    assert "----> 3 x / 0" in output
    assert "cache/toy/03_other/failed.ipynb" in output
    failed = json.loads((toy.root / "cache/toy/03_other/failed.ipynb").read_text())
    assert any("ZeroDivisionError" in json.dumps(cell) for cell in failed["cells"])

    results = toy.root / "results/toy"
    text = (results / "notebooks/01_numbers.ipynb").read_text()
    cells = json.loads(text)["cells"]
    injected = next(c for c in cells if "injected-parameters" in c["metadata"].get("tags", []))
    lines = "".join(injected["source"]).splitlines()
    assert lines[1:] == ["profile = 'toy'  # default: 'demo'", "numbers_count = 4  # default: 3"]
    assert "Provenance" in "".join(cells[-1]["source"])
    assert "papermill" not in text
    for path in (p for p in results.rglob("*") if p.is_file()):
        assert str(toy.root) not in path.read_text(), f"{path} holds an absolute path"
    record = json.loads((results / "provenance.json").read_text())["steps"]["01_numbers"]
    assert record["not_default"] == {"profile": "toy", "numbers_count": 4}
    assert record["seconds"] > 0


def test_a_kernel_that_dies_is_a_failure_with_a_hint(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr("papermill.execute_notebook", die)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(toy.root))
    source = str(toy.study.notebooks / "03_other.ipynb")
    outcome = notebook.execute(Job("03_other", source, str(toy.root), str(toy.root), (), ""))
    assert "most often because memory ran out" in str(outcome.error)


def test_a_failure_is_reported_and_stops_only_what_needs_it(toy: Toy) -> None:
    toy.edit("02_sum", "import json\n", "1 / 0\n")
    code, output = toy.run()
    assert code == 1
    assert "ZeroDivisionError: division by zero" in output
    assert "Step 04_report did not run: it needs 02_sum." in output
    assert "To go on:" in output
    assert toy.output("03_other", "other.txt") == "oneoneone"
    assert toy.run("--only", "03_other")[1].count("Every step is up to date.") == 1


def test_a_job_that_cannot_be_started_stops_only_what_needs_it(toy: Toy) -> None:
    def run(job: Job, say: Say) -> Outcome:
        if job.step == "01_numbers":
            raise OSError("too many processes")
        return run_as_script(job, say)

    toy.how = run
    code, output = toy.run()
    assert code == 1
    assert "OSError: too many processes" in output
    assert "Step 04_report did not run: it needs 01_numbers." in output
    assert toy.output("03_other", "other.txt") == "oneoneone"


def test_what_needs_an_optional_step_does_without_if_it_fails(toy: Toy) -> None:
    toy.edit("03_other", "ws.file(", "1 / 0\nws.file(")
    toy.edit("04_report", " + ws.input('03_other', 'other.txt').read_text()", "")
    toy.steps = tuple(replace(s, optional=s.id == "03_other") for s in STEPS)
    code, output = toy.run()
    assert code != 0 and "03_other" in output
    assert toy.output("04_report", "report.txt") == toy.output("02_sum", "sum.json")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_runner_that_is_stopped_leaves_no_process_and_no_lock_and_continues(
    toy: Toy, tmp_path: Path, how: signal.Signals
) -> None:
    toy.edit("03_other", "ws.file", WAITING + "ws.file")
    temporary = tmp_path / "/".join(["temporary"] * 10)  # too long for the name of a socket
    temporary.mkdir(parents=True)
    runner = subprocess.Popen(
        toy.command("--only", "03_other"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    folder = toy.root / "cache/toy/03_other"
    wait_for((folder / "checkpoint").exists)
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]

    # A second runner does nothing.
    code, output = toy.run()
    assert code == 2
    assert "Another runner is working" in output
    assert not (toy.root / "cache/toy/01_numbers").exists()

    runner.send_signal(how)
    printed = runner.communicate(timeout=30)[0].decode()
    assert (folder / "saved").exists() == (how != signal.SIGKILL)
    if how != signal.SIGKILL:
        assert runner.returncode == 130
        assert "the same command continues" in printed
        assert "Traceback" not in printed
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    wait_for(lambda: not list(temporary.iterdir()))

    assert toy.ran("--only", "03_other") == ["03_other"]
    assert toy.output("03_other", "other.txt") == "oneoneone"


def test_the_end_that_a_queue_sets_is_like_ctrl_c(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children()
    monkeypatch.setattr(places, "CHILDREN", children)

    def run(job: Job, _: Say) -> Outcome:
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: children.ended)
        return Outcome(0.0, "interrupted")

    toy.how = run
    code, output = toy.run()
    assert code == 130
    assert "the same command continues" in output
    # What starts after the end is ended too.
    late = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    with children.holding(late):
        assert late.wait(20) is not None


@pytest.fixture
def threads(toy: Toy) -> dict[str, int]:
    """Gets how many threads each step of the toy may use, 0 for all; nothing is executed.

    The first two steps meet, and no step that measures time runs beside another.
    """
    found: dict[str, int] = {}
    both, running = threading.Barrier(2), list[str]()

    def run(job: Job, _: Say) -> Outcome:
        found[job.step] = job.threads
        running.append(job.step)
        alone = any(step.kind == "alone" for step in toy.steps)
        if alone:
            time.sleep(0.1)
            assert running == [job.step]
        elif job.step in ("01_numbers", "03_other"):
            both.wait(20)
        running.remove(job.step)
        shutil.copy(job.source, job.executed)
        return Outcome(0.1)

    toy.how = run
    return found


@pytest.mark.parametrize(
    "trains", [("01_numbers", "03_other"), ("01_numbers", "02_sum"), ("02_sum",)]
)
def test_trainings_of_a_study_share_the_cores_where_there_is_no_gpu(
    toy: Toy, threads: dict[str, int], monkeypatch: pytest.MonkeyPatch, trains: tuple[str, ...]
) -> None:
    monkeypatch.setattr(places, "usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    toy.steps = tuple(replace(s, kind="train" if s.id in trains else "cpu") for s in STEPS)
    assert len(toy.ran("--jobs", "2")) == len(STEPS)
    share = 4 if len(trains) == 2 else 0
    assert threads == {step.id: share if step.id in trains else 0 for step in STEPS}


def test_nothing_runs_beside_a_step_that_measures_time(toy: Toy, threads: dict[str, int]) -> None:
    toy.steps = tuple(replace(s, kind="alone" if s.id == "03_other" else "cpu") for s in STEPS[::2])
    assert len(toy.ran("--jobs", "2")) == len(threads) == 2


def test_two_steps_run_at_a_time_unless_a_gpu_or_one_core_speaks_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = Gpu("0", "GPU-a", 80.0, "GPU")
    for gpus, cores, expected in (((), 4, 2), ((), 1, 1), ((gpu,), 16, 1)):
        monkeypatch.setattr(cli, "usable_cores", lambda cores=cores: cores)
        assert cli.usual_jobs(gpus) == expected

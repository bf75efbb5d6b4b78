"""Runs with real kernels and real processes: failures, interruption, running side by side."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lib.paths import ROOT
from lib.runner import cli, places
from lib.runner.cli import main
from lib.runner.jobs import Children, Job, Outcome, Say
from lib.runner.machine import Gpu, describe_machine
from lib.runner.notebook import Lines
from tests.runner.toy import STEPS, Toy, run_as_script

# Each waits for the other: one after the other they would never end.
MEET = """
import pathlib, time
here, there = pathlib.Path('{0}'), pathlib.Path('{1}')
here.touch()
until = time.monotonic() + 20
while not there.exists():
    assert time.monotonic() < until
    time.sleep(0.02)
"""


def test_kernels_side_by_side_make_notebooks_pages_and_provenance(toy: Toy) -> None:
    # Each cell answers only while the other kernel is at work as well.
    show = "import os, sys\nprint('working in', os.getcwd() + '/here', sys.executable)\n"
    toy.edit("01_numbers", "ws.file(", show + MEET.format("a", "b") + "ws.file(")
    toy.edit("03_other", "ws.file(", MEET.format("b", "a") + "ws.file(")
    toy.give("sum.offset", 4)
    code, output = toy.run("--jobs", "2", "--only", "02_sum,03_other", kernels=True)
    assert code == 0, output
    assert "trying once more" not in output
    assert not list(toy.root.glob("*ipc*")), "sockets in the working directory"
    # What a notebook prints is seen live, after the step's name; warnings of Jupyter are not.
    assert f"  01_numbers | working in {toy.root}/here {sys.executable}" in output
    assert "encryption" not in output
    assert "results/toy/index.html" in output

    results = toy.root / "results/toy"
    text = (results / "notebooks/02_sum.ipynb").read_text()
    cells = json.loads(text)["cells"]
    injected = next(c for c in cells if "injected-parameters" in c["metadata"].get("tags", []))
    source = "".join(injected["source"])
    assert "profile = 'toy'" in source
    assert "sum_offset = 4  # default: 0" in source
    assert "sum_scale = 1.0\n" in source + "\n"
    assert "Provenance" in "".join(cells[-1]["source"])
    assert "papermill" not in text

    everything = [p for p in results.rglob("*") if p.is_file()]
    for path in everything:
        assert str(toy.root) not in path.read_text(), f"{path} holds an absolute path"
    record = json.loads((results / "provenance.json").read_text())["steps"]["02_sum"]
    assert record["not_default"] == {"profile": "toy", "sum_offset": 4}
    assert list(record["inputs"]) == ["cache/toy/01_numbers/numbers.json"]
    assert record["seconds"] > 0


def test_what_needs_an_optional_step_does_without_if_it_fails(toy: Toy) -> None:
    toy.edit("03_other", "ws.file(", "1 / 0\nws.file(")
    toy.edit("04_report", " + ws.input('03_other', 'other.txt').read_text()", "")
    assert toy.ran() == ["01_numbers", "02_sum"]
    toy.steps = tuple(replace(s, optional=s.id == "03_other") for s in STEPS)
    code, output = toy.run()
    assert code != 0 and "03_other" in output
    assert toy.output("04_report", "report.txt") == toy.output("02_sum", "sum.json")


def test_a_failure_is_reported_and_stops_only_what_needs_it(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy.root / "/".join(["temporary"] * 10)  # too long for the name of a socket
    folder.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    toy.edit("02_sum", "import json\n", "# a comment first\nx = 1\nx / 0\nimport json\n")
    code, output = toy.run(kernels=True)
    assert code == 1
    # Parameters, injected parameters and the workspace come before.
    assert "Cell In [4], which begins: x = 1" in output
    assert "ZeroDivisionError: division by zero" in output
    assert "----> 3 x / 0" in output
    assert "cache/toy/02_sum/failed.ipynb" in output
    assert "Step 04_report did not run: it needs 02_sum." in output
    assert "To go on:" in output
    failed = json.loads((toy.root / "cache/toy/02_sum/failed.ipynb").read_text())
    assert any("ZeroDivisionError" in json.dumps(cell) for cell in failed["cells"])
    assert toy.output("03_other", "other.txt") == "oneoneone"
    assert toy.run("--only", "03_other")[1].count("Every step is up to date.") == 1


def test_a_kernel_that_is_killed_is_a_failure_with_a_hint(toy: Toy) -> None:
    toy.edit("03_other", "ws.file", "import os\nos.kill(os.getpid(), 9)\nws.file")
    code, output = toy.run("--only", "03_other", kernels=True)
    assert code == 1
    assert "memory ran out" in output
    assert "which begins: import os" in output
    assert output.count("trying once more") == 0


def _wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


WAITING = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(ws.folder / "pids").write_text(f"{__import__('os').getpid()} {child.pid}")
if not (ws.folder / "checkpoint").exists():
    (ws.folder / "checkpoint").write_text("half")
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        (ws.folder / "saved").touch()
        raise
child.kill()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_runner_that_is_stopped_leaves_no_process_and_no_lock_and_continues(
    toy: Toy, how: signal.Signals
) -> None:
    toy.edit("03_other", "ws.file", WAITING + "ws.file")
    command = toy.command("--only", "03_other")
    with tempfile.TemporaryDirectory() as temporary:
        _stop_and_continue(toy, how, command, Path(temporary))


def _stop_and_continue(toy: Toy, how: signal.Signals, command: list[str], temporary: Path) -> None:
    runner = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    folder = toy.root / "cache/toy/03_other"
    _wait_for((folder / "checkpoint").exists)
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
    _wait_for(lambda: not any(_is_alive(pid) for pid in pids))
    _wait_for(lambda: not list(temporary.iterdir()))

    assert toy.ran("--only", "03_other") == ["03_other"]
    assert toy.output("03_other", "other.txt") == "oneoneone"


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_job_that_cannot_be_started_stops_only_what_needs_it(toy: Toy) -> None:
    def run(job: Job, say: Say) -> Outcome:
        if job.step == "03_other":
            raise OSError("too many processes")
        return run_as_script(job, say)

    assert main(["--profile", "toy"], study=toy.study, steps=toy.steps, run=run) == 1
    printed = toy.capsys.readouterr().out
    assert "OSError: too many processes" in printed
    assert "Step 04_report did not run: it needs 03_other." in printed
    assert toy.output("02_sum", "sum.json") == "3.0"


def test_training_steps_share_the_cores_where_there_is_no_gpu(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = describe_machine() | {"cores": 8}
    monkeypatch.setattr(places, "describe_machine", lambda *_: machine)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    share = "import os\nassert os.environ['OMP_NUM_THREADS'] == '4'\n"
    toy.edit("01_numbers", "import json\n", share + MEET.format("a", "b") + "import json\n")
    toy.edit("03_other", "ws.file", share + MEET.format("b", "a") + "ws.file")
    toy.steps = tuple(replace(step, kind="train") for step in STEPS)
    assert len(toy.ran("--jobs", "2")) == len(STEPS)


def test_nothing_runs_beside_a_step_that_measures_time(toy: Toy) -> None:
    busy = "import os, time\nos.mkdir('busy')\ntime.sleep(0.3)\nos.rmdir('busy')\n"
    toy.edit("01_numbers", "import json\n", busy + "import json\n")
    toy.edit("03_other", "ws.file", busy + "ws.file")
    toy.steps = tuple(replace(s, kind="alone" if s.id == "03_other" else "cpu") for s in STEPS)
    assert len(toy.ran("--jobs", "2")) == len(STEPS)


def test_a_training_that_has_no_company_may_use_every_core(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    toy.edit(
        "02_sum", "import json\n", "import json, os\nassert 'OMP_NUM_THREADS' not in os.environ\n"
    )
    toy.steps = tuple(replace(s, kind="train" if s.id == "02_sum" else "cpu") for s in STEPS)
    assert len(toy.ran("--jobs", "2")) == len(STEPS)


def test_two_steps_run_at_a_time_unless_a_gpu_or_one_core_speaks_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = Gpu("0", "GPU-a", 80.0, "GPU")
    for gpus, cores, expected in (((), 4, 2), ((), 1, 1), ((gpu,), 16, 1)):
        monkeypatch.setattr(cli, "usable_cores", lambda cores=cores: cores)
        assert cli.usual_jobs(gpus) == expected


def test_children_that_start_after_the_end_are_ended_too() -> None:
    children = Children()
    children.end()
    late = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    children.add(late)
    assert late.wait(20) is not None


def test_floods_of_lines_are_thinned_and_the_last_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines()
    lines.write("a table\nof three\nlines\n")
    for step in range(1000):
        lines.write(f"\r{step} of 1000")
    lines.write("\r\x1b[1mdone\x1b[0m\n")
    lines.show()
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == ["a table", "of three", "lines"]
    assert shown[-1] == "done"
    assert len(shown) < 30


def test_an_input_that_the_plan_does_not_know_of_is_an_error(toy: Toy) -> None:
    toy.edit("04_report", "total = ", "ws.input('01_numbers', 'numbers.json')\ntotal = ")
    code, output = toy.run()
    assert code == 1
    assert "Add '01_numbers' to its `needs`" in output

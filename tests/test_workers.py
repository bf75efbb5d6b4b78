import os
import signal
import subprocess
import sys

import joblib
import psutil
import pytest

from lib.paths import ROOT
from lib.workers import PER_CORE, worker_count


def test_all_cores_for_zero_and_no_more_processes_than_cores_can_use(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 5)
    for asked, given in ((0, 5), (3, 3), (5 * PER_CORE, 5 * PER_CORE)):
        assert worker_count(asked) == given
    assert not caplog.records
    assert worker_count(999) == 5 * PER_CORE
    assert "999" in caplog.text
    with pytest.raises(ValueError, match="workers is -1"):
        worker_count(-1)


def test_workers_end_with_a_killed_parent() -> None:
    program = """
import time, joblib
from lib.workers import worker_options
with joblib.parallel_config(**worker_options()):
    work = joblib.Parallel(n_jobs=2, return_as="generator_unordered", pre_dispatch=4)
    results = work(joblib.delayed(time.sleep)(i * 60) for i in (0, 1, 1, 1))
next(results)
print("begun", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "begun\n"
        workers = [
            child
            for child in psutil.Process(running.pid).children(recursive=True)
            if "LokyProcess" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        os.kill(running.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive

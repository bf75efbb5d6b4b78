"""One notebook execution as plain data, and the subprocess that carries it out.

``run_job`` takes and returns plain data and touches nothing but files, so it can run here or on
another machine that sees the same folders (``lib.runner.places``, ``lib.runner.remote``).
"""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lib.files import write_json
from lib.paths import ROOT
from lib.training.launch import PROCESSES_VARIABLE, how_it_ended
from lib.workspace import NEEDS_VARIABLE, STEP_VARIABLE

KEPT_LINES = 15

Say = Callable[[str], None]
"""Takes a line for whoever looks on."""


@dataclass(frozen=True)
class Job:
    """What is to be executed.

    Args:
        step: id of the step.
        source: path of the notebook.
        folder: the step's folder in the cache; the running notebook is written there.
        root: working directory of the kernel.
        needs: ids of the steps whose outputs may be read.
        injected: source of the cell that sets the parameters.
        threads: how many each library may use; 0 leaves that to them.
        gpus: those that it may use, as CUDA calls them; None leaves that to CUDA.
        processes: on how many a training runs; it counts if ``gpus`` is not None.
        images: per iteration of a training, at least one for each process; 0 if not known.
    """

    step: str
    source: str
    folder: str
    root: str
    needs: tuple[str, ...]
    injected: str
    threads: int = 0
    gpus: tuple[str, ...] | None = None
    processes: int = 1
    images: int = 0

    @property
    def executed(self) -> Path:
        """Where the notebook is written while and after it runs."""
        return Path(self.folder) / "executed.ipynb"

    @property
    def failed(self) -> Path:
        """Where it is if a cell failed."""
        return Path(self.folder) / "failed.ipynb"


@dataclass(frozen=True)
class Outcome:
    """How an execution ended.

    Args:
        seconds: wall time.
        error: None if it succeeded, else what was raised, with a name and the message.
        where: in which cell; empty if no cell failed.
        tail: last lines of the traceback, or of what the subprocess printed.
        machine: ``machine.describe_machine`` of where it was, with the GPUs that it used.
        processes: on how many GPUs a training ran, 1 for none.
    """

    seconds: float
    error: str | None = None
    where: str = ""
    tail: tuple[str, ...] = ()
    machine: dict[str, Any] | None = None
    processes: int = 1


STOP = "stop\n"
"""Said to a subprocess: end what the notebook runs, in order."""

PATIENCE = 45.0
"""Seconds that this may take: a training saves its progress first."""


class Children:
    """The subprocesses now running, so that they can be ended together or one by one."""

    def __init__(self) -> None:
        self._running: dict[subprocess.Popen[str], str] = {}
        self._lock = threading.Lock()
        self.ended = False
        """Whether all are being ended, or were."""

    @contextmanager
    def holding(self, process: subprocess.Popen[str], folder: str = "") -> Iterator[None]:
        """Have it among them inside the block; end it at once if all were ended already.

        Args:
            process: a subprocess that ends when its standard input does.
            folder: of its step.
        """
        with self._lock:
            self._running[process] = folder
            if self.ended:
                _close(process)
        try:
            yield
        finally:
            with self._lock:
                del self._running[process]

    def end(self, folder: str | None = None) -> None:
        """End all, now and later, with everything that they started; wait until they are gone.

        Args:
            folder: of the only step whose subprocess is to end, if any runs; None for all.
        """
        with self._lock:
            self.ended |= folder is None
            running = [p for p, own in self._running.items() if folder in (None, own)]
        for process in running:
            with suppress(OSError, ValueError):
                assert process.stdin
                process.stdin.write(STOP)
                process.stdin.flush()
        until = time.monotonic() + PATIENCE
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            _close(process)
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()


CHILDREN = Children()


def _close(process: subprocess.Popen[str]) -> None:
    """End what a subprocess reads, which means that the runner has gone."""
    with suppress(OSError):
        if process.stdin:
            process.stdin.close()


def say_here(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def run_job(job: Job, say: Say = say_here) -> Outcome:
    """Execute a notebook in a subprocess, passing on what it prints; return how it ended."""
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (job.executed, job.failed, folder / "outcome.json"):
        old.unlink(missing_ok=True)
    description = folder / "job.json"
    write_json(description, asdict(job))
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "lib.runner.notebook", str(description)],
        cwd=ROOT,
        env=environment_of(job),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Ctrl-C in the terminal reaches the runner alone, which then ends the others.
        start_new_session=True,
    )
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    with CHILDREN.holding(process, job.folder):
        for line in process.stdout or ():
            if line.strip():
                lines.append(line.rstrip())
                if not CHILDREN.ended:  # what is interrupted complains, which is no news
                    say(f"  {job.step} | {line.rstrip()}")
        code = process.wait()
    seconds = time.monotonic() - began
    try:
        outcome = TypeAdapter(Outcome).validate_json((folder / "outcome.json").read_bytes())
    except (FileNotFoundError, ValueError):
        said = f"The subprocess of the notebook {how_it_ended(code)}."
        return Outcome(seconds, said, tail=tuple(lines))
    return replace(outcome, seconds=seconds)


def environment_of(job: Job) -> dict[str, str]:
    """Return the variables that a kernel runs with."""
    path = os.pathsep.join(filter(None, [job.root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {
        STEP_VARIABLE: job.step,
        NEEDS_VARIABLE: ",".join(job.needs),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    if job.threads:
        environment["OMP_NUM_THREADS"] = str(job.threads)
    if job.gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(job.gpus)
        environment[PROCESSES_VARIABLE] = str(job.processes)
    return environment

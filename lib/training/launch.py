"""Run a module of ``lib`` in processes of its own and pass on what it prints, line by line.

Training runs apart from the notebook that starts it: running out of memory ends the process and
not the kernel, and the same command works in a terminal. Where the kernel is gone, what it started
ends too.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections import deque

from lib.paths import ROOT

PROCESSES_VARIABLE = "BOXES_TO_MASKS_PROCESSES"
"""Environment variable: how many processes a training step may use."""

CALLER_VARIABLE = "BOXES_TO_MASKS_CALLER"
"""Environment variable: the id of the process that called :func:`run_module`."""

LAST_LINES = 12
SECONDS_TO_STOP = 40
"""A run may save its progress first; torchrun gives its processes 30 s for that."""


def training_processes() -> int:
    """Return how many processes a training step may use: one, unless the environment says more.

    Raises:
        ValueError: if the variable is not a number from 1.
    """
    text = os.environ.get(PROCESSES_VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{PROCESSES_VARIABLE} is {text!r}: expected a number of processes, 1...")
    return int(text)


def run_module(module: str, *arguments: str, processes: int = 1) -> None:
    """Run ``python -m module arguments`` in the repository's folder and print its lines.

    Args:
        module: its name.
        arguments: of the module.
        processes: how many run it together, through ``torchrun``.

    Raises:
        RuntimeError: if it fails; the message has its last lines and the command to repeat it.
    """
    command = ["-m", module, *arguments]
    shown = ["python", *command]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", CALLER_VARIABLE: str(os.getpid())}
    if processes > 1:
        from lib.workers import worker_count

        environment.setdefault("OMP_NUM_THREADS", str(max(1, worker_count(0) // processes)))
        several = ["--standalone", "--nproc-per-node", str(processes), *command]
        shown = ["torchrun", *several]
        # a machine's own name need not lead back to it
        command = ["-m", "torch.distributed.run", "--local-addr", "localhost", *several]
    errors: list[str] = []
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                last.append(line)
                if line.startswith("error: ") and line not in errors:
                    errors.append(line)
                print(line, end="", flush=True)
        except BaseException:  # an interrupted kernel must not leave a training run behind
            _end(process)
            raise
    if process.returncode:
        said = [line for line in errors if line not in last]  # torchrun's own report is long
        raise RuntimeError(
            f"{module} {how_it_ended(process.returncode)}. Its last lines:\n"
            f"{''.join([*said, *last])}To repeat it: {shlex.join(shown)}"
        )


def end_with_caller() -> None:
    """Let this process end soon after the caller of `run_module`, or after ``torchrun``, if killed.

    Started by hand, it goes on.
    """
    if CALLER_VARIABLE in os.environ:
        from lib.workers import end_with

        end_with(int(os.environ[CALLER_VARIABLE]), os.getppid())


def how_it_ended(code: int) -> str:
    """Return how a process ended, in words.

    Args:
        code: its exit code; of one that was ended by a signal, minus the signal's number.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.strsignal(-code) or "unknown"
    likely: dict[int, str] = {  # here, since not every system has these signals
        signal.SIGKILL: ", most often because memory ran out: use fewer workers or --jobs, or a "
        "smaller batch",
        signal.SIGBUS: ", most often because shared memory (/dev/shm) or a disk is full: use fewer "
        "workers",
        signal.SIGTERM: ", which asks it to end, as a queue does at its time limit",
    }
    return f"was ended by signal {-code} ({name}){likely.get(-code, '')}"


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()

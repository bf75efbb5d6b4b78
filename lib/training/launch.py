"""Run a module of ``lib`` in processes of its own and pass on what it prints, line by line.

Training runs apart from the notebook that starts it: running out of memory ends the process and
not the kernel, and the same command works in a terminal.

``python -m lib.training.launch PARENT COMMAND...`` becomes that command, which then ends when the
process with the id ``PARENT``, its parent, does, however that came about. (On Linux; elsewhere it
notices at its next line of output.)
"""

import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque

from lib.paths import ROOT

PROCESSES_VARIABLE = "BOXES_TO_MASKS_PROCESSES"
"""Environment variable: how many processes a training step may use."""

LAUNCHER_VARIABLE = "BOXES_TO_MASKS_LAUNCHER"
"""Environment variable: the id of the process that this module became."""

LAST_LINES = 12
SECONDS_TO_STOP = 40
"""A run may save its progress first; torchrun gives its processes 30 s for that."""
PR_SET_PDEATHSIG = 1

LIKELY = {
    "SIGKILL": "most often because memory ran out: use fewer workers or --jobs, or a smaller batch",
    "SIGBUS": "most often because shared memory (/dev/shm) or a disk is full: use fewer workers",
    "SIGTERM": "which asks it to end, as a queue does at its time limit",
    "SIGINT": "as Ctrl-C does",
    "SIGXCPU": "because its time on the processor was limited",
    "SIGHUP": "because its terminal was closed",
} | dict.fromkeys(("SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE"), "a crash inside a compiled library")
"""Why a process is ended by a signal, most often."""

_OF_CHILD = re.compile(r"\bexitcode\s*: (-\d+)\b")
"""Where ``torchrun`` reports that a process of its own was ended by a signal."""


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

    It ends with the process that called this, and so does all that it started.

    Args:
        module: its name.
        arguments: of the module.
        processes: how many run it together, through ``torchrun``.

    Raises:
        RuntimeError: if it fails; the message has its last lines and the command to repeat it.
    """
    command, shown = _command(module, arguments, processes)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if processes > 1:
        from lib.workers import worker_count

        environment.setdefault("OMP_NUM_THREADS", str(max(1, worker_count(0) // processes)))
    errors: list[str] = []
    code_of_child = 0
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        [sys.executable, "-m", "lib.training.launch", str(os.getpid()), *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last.append(line)
                if line.startswith("error: "):
                    errors.append(line)
                if processes > 1 and not code_of_child and (found := _OF_CHILD.search(line)):
                    code_of_child = int(found[1])
                print(line, end="", flush=True)
        except BaseException:  # an interrupted kernel must not leave a training run behind
            _end(process)
            raise
    if process.returncode:
        said = [line for line in errors if line not in last]  # torchrun's own report is long
        raise RuntimeError(
            f"{module} {how_it_ended(code_of_child or process.returncode)}. Its last lines:\n"
            f"{''.join([*said, *last])}To repeat it: {shown}"
        )


def how_it_ended(code: int) -> str:
    """Return how a process ended, in words.

    Args:
        code: its exit code; of one that was ended by a signal, minus the signal's number.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # this system has no name for it
        return f"was ended by signal {-code}"
    likely = f", {LIKELY[name]}" if name in LIKELY else ""
    return f"was ended by signal {-code} ({name}){likely}"


def _command(module: str, arguments: tuple[str, ...], processes: int) -> tuple[list[str], str]:
    """Return the command, and as one would type it."""
    if processes == 1:
        command = ["-m", module, *arguments]
        return [sys.executable, *command], shlex.join(["python", *command])
    several = ["--standalone", "--nproc-per-node", str(processes), "-m", module, *arguments]
    # a machine's own name need not lead back to it
    torchrun = ["-m", "torch.distributed.run", "--local-addr", "localhost"]
    return [sys.executable, *torchrun, *several], shlex.join(["torchrun", *several])


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()


def end_with(parent: int) -> None:
    """Let the system kill this process as soon as its parent ends, in whatever way.

    Args:
        parent: the parent's id; if it is not the parent any more, this process ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def obey(parent: int) -> None:
    """Let this process, forked by its parent to help it, be ended by that one alone.

    It is killed when the parent ends. SIGTERM that comes from elsewhere, to all processes, is for
    the parent, which then needs its help still. (On Linux; elsewhere it ends at any.)

    Args:
        parent: the parent's id.
    """
    end_with(parent)
    if sys.platform == "linux":
        # blocked in this thread and those to come, the signal waits for the one that asks for it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_at_signal_of, args=(parent,), daemon=True).start()


def _end_at_signal_of(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def end_with_launcher() -> None:
    """Let the system kill this process as soon as the ``torchrun`` that started it ends."""
    end_with(int(os.environ.get(LAUNCHER_VARIABLE, os.getppid())))


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    os.execv(sys.argv[2], sys.argv[2:])

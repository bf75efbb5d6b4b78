"""Execute one notebook: ``python -m lib.runner.notebook JOB.json``, started by the runner.

One subprocess per notebook, because papermill changes the working directory of its process. A line
on its standard input interrupts the kernel, so that a training saves its progress. The process ends
itself, its kernel and everything that the kernel started as soon as its standard input ends, which
also happens when the runner is killed.
"""

import json
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from pydantic import TypeAdapter

from lib.files import write_json
from lib.runner.jobs import KEPT_LINES, Job, Outcome
from lib.runner.parameters import TAG

LINES_PER_SECOND, BURST = 5, 10
SOCKET_LENGTH = 95
"""A socket's name has at most about 100 bytes; in a folder with a longer name ports are used."""

INJECTED = "injected-parameters"
"""Tag and id of the cell that sets the parameters; papermill's name for it."""

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Lines:
    """A text stream that prints whole lines; of lines that come in floods, only some.

    Ten lines may come at once, later ones at five a second. Of those that come faster the last one
    is shown; the executed notebook has them all.
    """

    def __init__(self) -> None:
        self._partial, self._waiting = "", ""
        self._credit, self._last = float(BURST), time.monotonic()

    def write(self, text: str) -> int:
        """Take ``text``; a carriage return starts a line anew, as in a terminal."""
        *lines, self._partial = re.split(r"[\r\n]", self._partial + text)
        for line in lines:
            if not line.strip():
                continue
            self._waiting = line
            now = time.monotonic()
            earned = LINES_PER_SECOND * (now - self._last)
            self._credit, self._last = min(BURST, self._credit + earned), now
            if self._credit >= 1:
                self._credit -= 1
                self.show()
        return len(text)

    def show(self) -> None:
        """Print the line that waits, if one does."""
        if self._waiting:
            print(_ANSI.sub("", self._waiting), flush=True)
            self._waiting = ""

    def flush(self) -> None:
        """Do nothing: lines are shown when they are whole."""


def main(arguments: list[str]) -> int:
    """Execute the job in the file ``arguments[0]``; return 0 if every cell succeeded."""
    job = TypeAdapter(Job).validate_json(Path(arguments[0]).read_bytes())
    with tempfile.TemporaryDirectory(prefix="b2m-") as scratch:
        begun: list[psutil.Process] = []
        threading.Thread(target=_obey_runner, args=[scratch, begun], daemon=True).start()
        _use_own_kernel(Path(scratch))
        began = time.monotonic()
        outcome = _execute(job, began)
        _kill(begun)
    write_json(Path(job.folder) / "outcome.json", asdict(outcome))
    return 0 if outcome.error is None else 1


def with_parameters(notebook: Any, injected: str) -> Any:
    """Return ``notebook`` with the cell that sets the parameters after the one that declares them.

    Args:
        notebook: an nbformat notebook.
        injected: the cell's source.
    """
    import nbformat

    at = next(i for i, cell in enumerate(notebook.cells) if TAG in cell.metadata.get("tags", []))
    cell = nbformat.v4.new_code_cell(injected, metadata={"tags": [INJECTED]})
    # A fixed id instead of a random one: equal runs give equal files.
    cell.id = INJECTED
    notebook.cells.insert(at + 1, cell)
    return notebook


def _execute(job: Job, began: float) -> Outcome:
    import nbformat
    import papermill as pm
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)
    lines = Lines()
    config = Config()
    socket = str(Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "k")
    if os.name == "posix" and len(socket) < SOCKET_LENGTH:
        # Sockets in a private folder: no port can be taken by another kernel in the meantime.
        config.KernelManager.transport = "ipc"
        config.KernelManager.ip = socket
    for attempt in (1, 2):
        source = nbformat.read(job.source, as_version=4)
        try:
            pm.execute_notebook(
                with_parameters(source, job.injected),
                str(job.executed),
                kernel_name="python3",
                cwd=job.root,
                progress_bar=False,
                stdout_file=lines,
                stderr_file=lines,
                start_timeout=120,
                config=config,
            )
        except PapermillExecutionError as error:
            lines.show()
            job.executed.replace(job.failed)
            return Outcome(
                time.monotonic() - began,
                f"{error.ename}: {error.evalue}",
                cell=error.exec_count,
                first_line=_first_line(error.source),
                tail=_tail("\n".join(error.traceback)),
            )
        except Exception as error:
            lines.show()
            if attempt == 1 and not _any_cell_ran(job):
                print("The kernel did not start; trying once more.", flush=True)
                continue
            return _lost_kernel(job, error, began)
        else:
            lines.show()
            return Outcome(time.monotonic() - began)
    raise AssertionError("unreachable")


def _lost_kernel(job: Job, error: Exception, began: float) -> Outcome:
    """Return the outcome of a notebook whose kernel could not start, or died in a cell."""
    cell, first_line = _last_cell(job)
    if job.executed.exists():
        job.executed.replace(job.failed)
    hint = ""
    if type(error).__name__ == "DeadKernelError":
        hint = (
            " The kernel was ended from outside, most often because memory ran out. "
            "Try fewer workers or a smaller batch."
        )
    message = f"{type(error).__name__}: {str(error).rstrip('.')}.{hint}"
    return Outcome(time.monotonic() - began, message, cell, first_line, _tail(str(error)))


def _cells(job: Job) -> list[dict[str, Any]]:
    with suppress(OSError, ValueError, KeyError):
        cells = json.loads(job.executed.read_text(encoding="utf-8"))["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]
    return []


def _any_cell_ran(job: Job) -> bool:
    return any(cell.get("execution_count") for cell in _cells(job))


def _last_cell(job: Job) -> tuple[int | None, str]:
    """Return number and first line of the cell that was being executed."""
    begun = [
        (number, _first_line("".join(cell["source"])))
        for number, cell in enumerate(_cells(job), start=1)
        if cell.get("metadata", {}).get("papermill", {}).get("start_time")
    ]
    return begun[-1] if begun else (None, "")


def _first_line(source: str) -> str:
    lines = [line.strip() for line in source.splitlines()]
    return next((line for line in lines if line and not line.startswith("#")), "")


def _tail(traceback: str) -> tuple[str, ...]:
    lines = [line.rstrip() for line in _ANSI.sub("", traceback).splitlines() if line.strip()]
    return tuple(lines[-KEPT_LINES:])


def _use_own_kernel(scratch: Path) -> None:
    """Make ``python3`` mean this interpreter, whatever kernels the user has installed."""
    kernel = scratch / "data" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    os.environ["JUPYTER_PATH"] = str(scratch / "data")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(scratch)
    # The kernel's connection file would lie in the common temporary folder.
    tempfile.tempdir = str(scratch)
    os.environ["IPYTHONDIR"] = str(scratch / "ipython")


def _obey_runner(scratch: str, begun: list[psutil.Process]) -> None:
    """Interrupt the kernel when the runner says so, and end all when its pipe ends.

    Args:
        scratch: the folder to remove at the end.
        begun: gets what ran when the kernel was interrupted: it may leave some of it behind.
    """
    me = psutil.Process()
    with suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 1024):
            begun += me.children(recursive=True)
            for kernel in me.children():
                with suppress(psutil.Error):
                    kernel.send_signal(signal.SIGINT)
    _kill(me.children(recursive=True))
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(130)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

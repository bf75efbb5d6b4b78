"""Execute one notebook: ``python -m lib.runner.notebook JOB.json``, started by the runner.

One subprocess per notebook, because papermill changes the working directory of its process. A line
on its standard input interrupts the kernel, so that a training saves its progress. The process ends
itself, its kernel and everything that the kernel started as soon as its standard input ends, which
also happens when the runner is killed.
"""

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from pydantic import TypeAdapter

from lib.files import write_json
from lib.runner.jobs import KEPT_LINES, Job, Outcome
from lib.runner.parameters import TAG

SOCKET_LENGTH = 95
"""A socket's name has at most about 100 bytes; in a folder with a longer name ports are used."""

INJECTED = "injected-parameters"
"""Tag and id of the cell that sets the parameters; papermill's name for it."""


def main(arguments: list[str]) -> int:
    """Execute the job in the file ``arguments[0]``; return 0 if every cell succeeded."""
    job = TypeAdapter(Job).validate_json(Path(arguments[0]).read_bytes())
    with tempfile.TemporaryDirectory(prefix="b2m-") as scratch:
        begun: list[psutil.Process] = []
        threading.Thread(target=_obey_runner, args=[scratch, begun], daemon=True).start()
        _use_own_kernel(Path(scratch))
        outcome = execute(job)
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


def execute(job: Job) -> Outcome:
    """Execute the notebook and return how it ended, without the time."""
    import nbformat
    import papermill as pm
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)
    config = Config()
    socket = str(Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "k")
    if os.name == "posix" and len(socket) < SOCKET_LENGTH:
        # Sockets in a private folder: no port can be taken by another kernel in the meantime.
        config.KernelManager.transport = "ipc"
        config.KernelManager.ip = socket
    source = nbformat.read(job.source, as_version=4)
    try:
        pm.execute_notebook(
            with_parameters(source, job.injected),
            str(job.executed),
            kernel_name="python3",
            cwd=job.root,
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stdout,
            start_timeout=120,
            config=config,
        )
    except Exception as error:
        if job.executed.exists():
            job.executed.replace(job.failed)
        if isinstance(error, PapermillExecutionError):
            lines = [line.strip() for line in error.source.splitlines()]
            first = next((line for line in lines if line and not line.startswith("#")), "")
            where = f"Cell In [{error.exec_count}], which begins: {first}"
            said = f"{error.ename}: {error.evalue}"
            return Outcome(0.0, said, where, _tail("\n".join(error.traceback)))
        said = f"{type(error).__name__}: {str(error).rstrip('.')}."
        if type(error).__name__ == "DeadKernelError":
            said += (
                " The kernel was ended from outside, most often because memory ran out. "
                "Try fewer workers or a smaller batch."
            )
        return Outcome(0.0, said, tail=_tail(str(error)))
    return Outcome(0.0)


def _tail(traceback: str) -> tuple[str, ...]:
    from nbconvert.filters import strip_ansi

    lines = [line.rstrip() for line in strip_ansi(traceback).splitlines() if line.strip()]
    return tuple(lines[-KEPT_LINES:])


def _use_own_kernel(scratch: Path) -> None:
    """Make ``python3`` mean this interpreter, whatever kernels the user has installed."""
    os.environ["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(scratch)
    os.environ["IPYTHONDIR"] = str(scratch / "ipython")
    # The kernel's connection file would lie in the common temporary folder.
    tempfile.tempdir = str(scratch)


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

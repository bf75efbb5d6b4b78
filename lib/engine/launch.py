"""Run a module of ``lib`` in a process of its own and pass on what it prints, line by line.

Training runs apart from the notebook that starts it: running out of memory ends the process and
not the kernel, and the same command works in a terminal.
"""

import os
import subprocess
import sys
from collections import deque

from lib.paths import ROOT

LAST_LINES = 12


def run_module(module: str, *arguments: str) -> None:
    """Run ``python -m module arguments`` in the repository's folder and print its lines.

    Raises:
        RuntimeError: if it fails; the message has its last lines and the command to repeat it.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command,
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
                print(line, end="", flush=True)
        except BaseException:  # an interrupted kernel must not leave a training run behind
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(
            f"{module} ended with exit code {process.returncode}. Its last lines:\n"
            f"{''.join(last)}To repeat it: python -m {' '.join([module, *arguments])}"
        )

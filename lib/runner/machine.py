"""What is recorded of the machine and the sources of a run: enough to judge a number, no more.

Neither names of hosts and users nor absolute paths are recorded.
"""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.runner.gpus import Gpu, described


def describe_machine(gpus: Sequence[Gpu] = ()) -> dict[str, Any]:
    """Return the system, the Python version, the number of usable cores, and the GPUs.

    Args:
        gpus: those that are used.
    """
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": usable_cores(),
        "device": described(gpus) or "CPU",
    }


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_sources(root: Path) -> dict[str, Any]:
    """Return the commit of a repository, and whether anything but results differs from it."""
    commit = _output(["git", "rev-parse", "HEAD"], root)
    changes = _output(["git", "status", "--porcelain", "--", ".", ":!results"], root)
    return {"commit": commit or None, "dirty": bool(changes) if commit else None}


def _output(command: list[str], folder: Path) -> str:
    """Return what a command prints; nothing if it cannot be run or fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()

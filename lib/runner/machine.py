"""This machine: its cores and its GPUs, as PyTorch would use them.

GPUs have the numbers that ``nvidia-smi`` shows. Where ``CUDA_VISIBLE_DEVICES`` is set, as by a
queue, only those that it names are there.
"""

import ctypes
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lib.runner.problems import UsageError

ALL = "all"
ABSENT = "GPU that is not here"
"""In place of the model, of a GPU that is only planned with."""

_ASK_TORCH = """
import torch
for number in range(torch.cuda.device_count()):
    gpu = torch.cuda.get_device_properties(number)
    print(gpu.uuid, gpu.total_memory, gpu.name, sep=",")
"""


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Args:
        number: by which people call it here: ``nvidia-smi``'s.
        uuid: by which CUDA knows it, everywhere; empty for one that is not here.
        gigabytes: of its memory; 0 if not known.
        model: such as ``NVIDIA H200``.
    """

    number: str
    uuid: str
    gigabytes: float
    model: str


def visible_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that a process started here could use, in order."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    found: list[Gpu] = []
    for at, (uuid, size, model) in enumerate(_asked_of_torch()):
        name = named[at].strip() if at < len(named) else ""
        own = name if name.startswith("MIG-") else f"GPU-{uuid}"  # a part of a GPU has its name
        number = name if name.isdigit() else str(at)
        found.append(Gpu(number, own, round(float(size) / 1e9, 1), model))
    return tuple(found)


def choose(option: str | None, there: Sequence[Gpu], *, absent: bool = False) -> tuple[Gpu, ...]:
    """Return the GPUs that ``--gpus`` means.

    Args:
        option: numbers with commas, or ``all``; None for all that there are, if any.
        there: the GPUs of this machine.
        absent: whether numbers may be of GPUs that are not there, as in a plan for another machine.

    Raises:
        UsageError: if one is not there or named twice; the message lists them.
    """
    if option is None or (there and option.strip() == ALL):
        return tuple(there)
    names = [name.strip() for name in option.split(",")]
    known = {gpu.number: gpu for gpu in there}
    if absent:
        known = {name: Gpu(name, "", 0.0, ABSENT) for name in names if name.isdigit()} | known
    if len(set(names)) < len(names) or not known.keys() >= set(names):
        listed = ", ".join(f"{g.number} ({g.model}, {g.gigabytes:.0f} GB)" for g in there)
        raise UsageError(
            [
                f"--gpus {option}: name some of the GPUs that PyTorch shows here, each once, or "
                f"all. There are: {listed or 'none'}. Without --gpus all are used or, where there "
                "is none, the cores of the CPU."
            ]
        )
    return tuple(known[name] for name in names)


def described(gpus: Sequence[Gpu]) -> str:
    """Return how many of which model, such as ``2 x NVIDIA H200``; empty for none."""
    return ", ".join(f"{n} x {model}" for model, n in Counter(g.model for g in gpus).items())


def describe_machine(gpus: Sequence[Gpu] = ()) -> dict[str, Any]:
    """Return the system, the Python version, the number of usable cores, and the GPUs.

    Neither names of hosts and users nor absolute paths are recorded.

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


def _asked_of_torch() -> list[list[str]]:
    """Return id, bytes of memory and model of each GPU that PyTorch shows.

    It is asked in a process of its own: the runner shall not hold memory on each.
    """
    try:  # without a driver there is none, and importing PyTorch takes seconds
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return []
    command = [sys.executable, "-c", _ASK_TORCH]
    environment = os.environ | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as nvidia-smi counts
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return [line.split(",", 2) for line in done.stdout.splitlines()]

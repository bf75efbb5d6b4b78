"""This machine: its cores and its GPUs, and how trainings share these.

GPUs have the numbers that ``nvidia-smi`` shows; where that does not run, PyTorch is asked. Where
``CUDA_VISIBLE_DEVICES`` is set, as by a queue, only those that it names are there.
"""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from lib.runner.problems import UsageError
from lib.runner.steps import Kind

ALL = "all"
ABSENT = "not on this machine"
"""In place of the model, of a GPU that is only planned with."""

_FIELDS = "index,uuid,memory.total,name"

_ASK_TORCH = """
import torch
for number in range(torch.cuda.device_count()):
    gpu = torch.cuda.get_device_properties(number)
    print(number, f"GPU-{gpu.uuid}", gpu.total_memory // 2**20, gpu.name, sep=",")
"""


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Args:
        number: by which people call it here: ``nvidia-smi``'s; CUDA may count otherwise.
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
    there = _all_gpus()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return there
    found: list[Gpu] = []
    for name in (part.strip() for part in named.split(",")):
        if name.startswith("MIG-"):  # a part of a GPU, which the list does not have
            found.append(Gpu(name, name, 0.0, "part of a GPU"))
            continue
        gpu = next((g for g in there if name == g.number or _is_uuid(name, g)), None)
        if gpu is None:  # CUDA, too, ignores an unknown one and all that follow
            break
        found.append(gpu)
    return tuple(dict.fromkeys(found))


def choose(option: str | None, there: Sequence[Gpu], *, absent: bool = False) -> tuple[Gpu, ...]:
    """Return the GPUs that ``--gpus`` means.

    Args:
        option: numbers with commas, or ``all``; None for all that there are, if any.
        there: the GPUs of this machine.
        absent: whether numbers may be of GPUs that are not there, as in a plan for another machine.

    Raises:
        UsageError: if one is not there or named twice, or there is none; the message lists them.
    """
    if option is None:
        return tuple(there)
    absent = absent and option.strip() != ALL
    if not there and not absent:
        raise UsageError(
            [
                f"--gpus {option}: neither nvidia-smi nor PyTorch shows a GPU on this machine. "
                "Without --gpus, training takes the cores of the CPU."
            ]
        )
    if option.strip() == ALL:
        return tuple(there)
    names = [name.strip() for name in option.split(",")]
    by_number = {gpu.number: gpu for gpu in there}
    if absent:
        by_number = {n: Gpu(n, "", 0.0, ABSENT) for n in names if n.isdigit()} | by_number
    unknown = [name for name in names if name not in by_number]
    listed = ", ".join(f"{g.number} ({g.model}{_size(g)})" for g in there) or "none"
    if unknown:
        raise UsageError(
            [
                f"--gpus {option}: there is no GPU {' and no GPU '.join(map(repr, unknown))} here. "
                f"There are: {listed}. Name some of them with commas, or all."
            ]
        )
    if len(set(names)) < len(names):
        raise UsageError([f"--gpus {option} names a GPU twice. There are: {listed}."])
    return tuple(by_number[name] for name in names)


def shares(gpus: Sequence[Gpu], jobs: int) -> tuple[tuple[Gpu, ...], ...]:
    """Return disjoint, equally large groups of GPUs for as many trainings at a time.

    Args:
        gpus: to be shared; those that are left over belong to no group.
        jobs: greatest number of steps at a time; with more than there are GPUs, each is a group.
    """
    if not gpus:
        return ()
    count = min(jobs, len(gpus))
    size = len(gpus) // count
    return tuple(tuple(gpus[at * size : (at + 1) * size]) for at in range(count))


class Shares:
    """Hands out GPUs: a training holds its share, a step that measures time is given the first.

    Args:
        gpus: to be shared.
        jobs: greatest number of trainings at a time.
    """

    def __init__(self, gpus: Sequence[Gpu], jobs: int) -> None:
        self.gpus, self.groups = tuple(gpus), shares(gpus, jobs)
        self._free: SimpleQueue[tuple[Gpu, ...]] = SimpleQueue()
        for share in self.groups:
            self._free.put(share)

    @contextmanager
    def held(self, kind: Kind) -> Iterator[tuple[Gpu, ...]]:
        """Hold the GPUs of a step inside the block."""
        if kind != "train" or not self.gpus:
            yield self.gpus[:1] if kind == "alone" else ()
            return
        own = self._free.get()
        try:
            yield own
        finally:
            self._free.put(own)


def described(gpus: Sequence[Gpu]) -> str:
    """Return how many of which model, such as ``2 x NVIDIA H200``; empty for none."""
    names = [gpu.model for gpu in gpus]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


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


def _all_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of this machine, whatever the environment shows of them.

    A container may have GPUs and no ``nvidia-smi``. Then PyTorch, which would use them, tells of
    them, in a process of its own: the runner shall not hold memory on each.
    """
    rows = _rows(["nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"])
    if not rows and _has_driver():
        rows = _rows([sys.executable, "-c", _ASK_TORCH])
    return tuple(
        Gpu(number, uuid, _gigabytes(memory), model) for number, uuid, memory, model in rows
    )


def _rows(command: list[str]) -> list[list[str]]:
    """Return the lines of four parts that a command prints; none if it cannot be run or fails."""
    if not shutil.which(command[0]):
        return []
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi counts
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = ([part.strip() for part in row.split(",", 3)] for row in done.stdout.splitlines())
    return [row for row in rows if len(row) == 4]


def _has_driver() -> bool:
    """Return whether the library of a GPU's driver is there, without which CUDA has no GPU."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _gigabytes(mebibytes: str) -> float:
    """Return the memory as a number; some devices do not tell it."""
    return round(float(mebibytes) * 2**20 / 1e9, 1) if mebibytes.isdigit() else 0.0


def _is_uuid(name: str, gpu: Gpu) -> bool:
    """Return whether ``name`` is the GPU's id or its beginning, which CUDA takes as well."""
    return name.startswith("GPU-") and gpu.uuid.startswith(name)


def _size(gpu: Gpu) -> str:
    return f", {gpu.gigabytes:.0f} GB" if gpu.gigabytes else ""

"""What a machine lacks for a plan: data, GPUs, memory, room on disk, packages; in sentences."""

import os
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from packaging.requirements import Requirement

from lib.data.download.catalogue import CATALOGUE
from lib.paths import DATA_VARIABLE, ROOT, expanded
from lib.runner.data_needs import Data
from lib.runner.gpus import Gpu
from lib.runner.places import Room
from lib.runner.steps import Step

PACKAGE = "boxes-to-masks"
FETCH = "python -m lib.data.download"


def data_problems(data: Sequence[Data]) -> Iterator[str]:
    """Yield what is amiss with each set and file, and at the end the command that fetches them."""
    names: set[str] = set()
    for entry in data:
        if entry.problem:
            size = f" It takes {shown(entry.gigabytes)}" if entry.gigabytes else ""
            if entry.room > entry.gigabytes:
                size += f", and {shown(entry.room)} while it is fetched and unpacked"
            yield f"{entry.title}: {entry.problem}.{size}{'.' if size else ''}"
            names |= set(entry.fetch)
    if names:
        listed = " ".join(name for name in CATALOGUE if name in names)
        yield f"To fetch: {FETCH} {listed}"


def gpu_problems(
    steps: Sequence[Step], room: Room, gpus: Sequence[Gpu], *, here: bool
) -> Iterator[str]:
    """Yield what is missing of GPUs.

    Args:
        steps: those that run.
        room: how they share the GPUs.
        gpus: those of this machine that are to be used.
        here: whether the steps run on this machine, not on a cluster.
    """
    needy = [step for step in steps if step.takes.gpu]
    absent = [gpu.number for gpu in gpus if not gpu.uuid]
    if absent:
        yield f"GPUs named by --gpus that are not here: {', '.join(absent)}."
    elif needy and not room.gpus and here:
        yield (
            "A GPU: neither nvidia-smi nor PyTorch shows one. The times above are those of one; a "
            "CPU takes some hundred times as long. To plan for another machine name its GPUs: "
            "--gpus 0,1,2,3"
        )
    elif needy and not room.gpus:
        yield "GPUs: some workers of the cluster see none. The times above are those of one."
    sizes = [gpu.gigabytes for gpu in gpus if gpu.uuid and gpu.gigabytes]
    most = max(needy, key=lambda step: step.takes.gpu, default=None)
    each = most.takes.gpu / max(1, room.gpus) if most else 0.0
    if most and sizes and each > min(sizes):
        yield (
            f"Memory of GPUs: {most.id} takes about {each:.0f} GB on each GPU, and the smallest "
            f"has {min(sizes):.0f} GB. Give each training more GPUs (fewer --jobs), or lower "
            "train.batch_size."
        )


def memory_problems(steps: Sequence[Step], room: Room) -> Iterator[str]:
    """Yield what is missing of main memory: for as many trainings as run side by side here."""
    # Nothing else is as large; GPUs of one training have a process each.
    largest = sorted((step.takes.memory for step in steps), reverse=True)[: room.trainings]
    needed = sum(largest) * max(1, room.gpus)
    there = psutil.virtual_memory().total / 1e9
    if needed > there:
        yield (
            f"Main memory: about {needed:.0f} GB for what runs side by side; there are "
            f"{there:.0f} GB. Use fewer --jobs or GPUs."
        )


def disk_problems(written: float, kept: float, fetched: float, cache: Path) -> Iterator[str]:
    """Yield what is missing of room on disk.

    Args:
        written: GB that steps will write below ``cache``.
        kept: GB that the data will take that is to be fetched.
        fetched: GB that it takes meanwhile, archives included.
        cache: the folder.
    """
    data = expanded(os.environ.get(DATA_VARIABLE, ROOT / "data"))
    if _device(data) == _device(cache):
        needs = {"data and cache": (cache, max(fetched, kept + written))}
    else:
        needs = {"the cache": (cache, written), "data": (data, fetched)}
    for name, (folder, needed) in needs.items():
        free = shutil.disk_usage(_existing(folder)).free / 1e9
        if needed > free:
            yield f"Room on disk: {shown(needed)} for {name}; {shown(free)} are free."


def package_problems(*, gpu: bool) -> Iterator[str]:
    """Yield the packages that are missing or too old, and a PyTorch without GPUs if they matter."""
    try:
        asked = [Requirement(text) for text in metadata.requires(PACKAGE) or ()]
    except metadata.PackageNotFoundError:
        asked = []
    for requirement in asked:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            there = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"Package {requirement}: not installed. make .venv/installed installs all."
            continue
        if not requirement.specifier.contains(there, prereleases=True):
            yield f"Package {requirement}: {there} is installed."
        if gpu and requirement.name == "torch" and there.endswith("+cpu"):
            yield f"PyTorch for GPUs: {there} is for the CPU alone. See pytorch.org for another."


def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    """Return the folder, or the next one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def shown(gigabytes: float) -> str:
    """Return a size for people."""
    if gigabytes < 0.1:
        return f"{1000 * gigabytes:.0f} MB"
    return f"{gigabytes:.1f} GB" if gigabytes < 10 else f"{gigabytes:.0f} GB"

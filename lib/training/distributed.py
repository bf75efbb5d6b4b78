"""The processes that train one model together, started by ``torchrun``, or one on its own.

DistributedDataParallel does the gradients; here is what else they tell each other. Where one of
them cannot go on, all end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lib.training.device import pick_device

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others: longer than reading a set or saving takes."""

PROBLEMS = (ValueError, FileNotFoundError, ConnectionError, FloatingPointError)
"""Errors that a user can mend, and whose message is a sentence."""

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes that train together. All must call the same of these methods in the same order.

    Attributes:
        device: this process's device.
        rank: this process's number, from 0; number 0 reads and writes files and says what is said.
        size: how many there are.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that reads, writes and speaks."""
        return self.rank == 0

    def say(self, text: str) -> None:
        """Print a line, once."""
        if self.main and text:
            print(text, flush=True)

    def share(self, value: T) -> T:
        """Return the value that the main process has."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values, 0)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes of a tensor on the device, which may be changed."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run a block in which processes tell each other nothing; if it fails in one, end all.

        Raises:
            ValueError, FileNotFoundError, ConnectionError: what went wrong here, or elsewhere.
        """
        problem: Exception | None = None
        try:
            yield
        except PROBLEMS as error:
            problem = error
        told = self.gather(None if problem is None else str(problem))
        if problem is not None:
            raise problem
        for rank, text in enumerate(told):
            if text is not None:
                raise ValueError(f"{text} (This is process {rank} of {self.size}.)")


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that ``torchrun`` started, if it did, and yield them.

    They talk through NCCL on CUDA and through gloo on the CPU. Where the block fails they are not
    left in order: others may be waiting in the middle of something.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: if the device is not there, or the machines have different ones.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(pick_device(device))
        return
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR") if name not in os.environ]
    if missing:
        raise ValueError(
            f"WORLD_SIZE says that {size} processes train together, but {', '.join(missing)} "
            "is not set. Start them with torchrun, which sets all of it."
        )
    chosen = pick_device(device, place=int(os.environ["LOCAL_RANK"]))
    on_cuda = chosen.type == "cuda"
    if on_cuda:
        torch.cuda.set_device(chosen)
    dist.init_process_group(
        "nccl" if on_cuda else "gloo", timeout=TIMEOUT, device_id=chosen if on_cuda else None
    )
    yield World(chosen, dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()

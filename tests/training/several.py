"""Several processes that train together, within a test.

They are forked from a server that has imported what they need, which costs a fraction of what
``torchrun`` costs, and are told who they are by the variables that it sets.
"""

import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from lib.training.distributed import World, joined
from lib.training.train import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.training.several"])
PATIENCE = 100


def in_double() -> None:
    """Compute in double precision what is written for single precision.

    Which proposals survive depends on comparisons, and rounding in single precision decides one of
    them otherwise now and then.
    """
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float64
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]


def train(path: Path) -> None:
    """Run the training program."""
    sys.exit(main([str(path)]))


def train_in_double(path: Path) -> None:
    """Run the training program in double precision."""
    in_double()
    train(path)


def within(check: Callable[..., None], *arguments: Any) -> None:
    """Call a check in processes that are joined."""
    with joined("cpu") as world:
        check(world, *arguments)


def _begin(call: Sequence[Any], rank: int, size: int, port: int, said: str) -> None:
    with Path(said).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()}
    os.environ["MASTER_ADDR"] = "localhost"
    call[0](*call[1:])


class Several:
    """Processes that call a function of a module together.

    Args:
        call: the function and its arguments.
        processes: how many.
    """

    def __init__(self, *call: Any, processes: int = 2) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        with tempfile.NamedTemporaryFile(delete=False) as file:
            self.said = Path(file.name)
        self.processes: list[BaseProcess] = [
            CONTEXT.Process(target=_begin, args=(call, rank, processes, port, str(self.said)))
            for rank in range(processes)
        ]
        for process in self.processes:
            process.start()

    def end(self) -> tuple[list[int | None], str]:
        """Wait for all and return their exit codes and what they said."""
        for process in self.processes:
            process.join(PATIENCE)
        codes = [process.exitcode for process in self.processes]
        for process in self.processes:
            process.kill()
        text = self.said.read_text()
        self.said.unlink()
        return codes, text


def check_together(check: Callable[[World], None], *arguments: Any, processes: int = 2) -> None:
    """Call a check, a function of a module, in several joined processes; it must pass in all."""
    codes, said = Several(within, check, *arguments, processes=processes).end()
    assert codes == [0] * processes, said

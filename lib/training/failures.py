"""How a run ends before its last iteration: what is said, and what it leaves to continue from."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist

from lib.paths import display
from lib.training.distributed import World

STOPPED = 75
"""Exit code of a run that was asked to stop and saved its progress ("try again")."""


class RunEndedError(RuntimeError):
    """A run ended before its last iteration. The message says why, and how to continue it.

    Attributes:
        code: the program's exit code.
    """

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class RunState:
    """How far a run is.

    Attributes:
        checkpoint: the file to continue from.
        saved: the iterations that it has done; 0 if there is none.
        iteration: the iteration at hand, counted from 1; 0 before the first.
        images: this process's images of that iteration.
    """

    checkpoint: Path
    saved: int = 0
    iteration: int = 0
    images: Sequence[int] = field(default_factory=list)

    @property
    def kept(self) -> str:
        """What the run leaves, as a sentence."""
        if not self.saved:
            return "No checkpoint was written yet; the same command starts anew."
        return (
            f"The checkpoint of iteration {self.saved} is whole ({display(self.checkpoint)}); the "
            "same command continues from it."
        )


@contextmanager
def explained(progress: RunState, world: World) -> Iterator[None]:
    """Turn what can end a run at any moment into sentences.

    Raises:
        FloatingPointError: if the loss is not finite.
        RunEndedError: if memory or disk are full, or another process is gone.
    """
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"{error} {progress.kept}") from None
    except (RuntimeError, OSError) as error:
        why = _likely(error)
        if not why:
            raise
        images = ", ".join(map(str, progress.images)) or "none yet"
        raise RunEndedError(
            f"{why} This was in iteration {progress.iteration} of process {world.rank}, images "
            f"{images}, in {display(progress.checkpoint.parent)}: {error} {progress.kept}"
        ) from error


def _likely(error: Exception) -> str:
    """Return what most often leads to an error, and what to do; empty if that is not known."""
    text = str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return (
            "CUDA ran out of memory. Let more processes share the batch, which continues the run, "
            "or lower train.batch_size, model.max_size or model.rois_per_image, which makes it "
            "another one."
        )
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return "The disk is full: make room there." if full else ""
    if "DataLoader worker (pid" in text:
        return (
            "A process that loads images died. Most often memory ran out, or shared memory "
            "(/dev/shm): lower train.workers."
        )
    if isinstance(error, dist.DistError) or "gloo" in text or "NCCL" in text:
        return (
            "Another process was lost: it died, or its machine cannot be reached. What it said "
            "last, or torchrun's report, tells why."
        )
    return ""

"""What is said when a run ends before its last iteration, and what it leaves to continue from."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lib.paths import display
from lib.training.distributed import ToldElsewhereError, World, is_lost_process

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk, or of a share of one, that is full."""

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
class Progress:
    """How far a run is.

    Attributes:
        checkpoint: the file to continue from.
        saved: the iterations that it has done; 0 if there is none.
        iteration: the iteration at hand, counted from 1.
        images: this process's images of that iteration.
    """

    checkpoint: Path
    saved: int = 0
    iteration: int = 0
    images: Sequence[int] = field(default_factory=list)

    @property
    def where(self) -> str:
        """Where the run is, in words."""
        return f"in iteration {self.iteration}" if self.iteration else "before the first iteration"

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
def explained(progress: Progress, world: World) -> Iterator[None]:
    """Turn what can end a run at any moment into sentences.

    Raises:
        FloatingPointError: if the loss is not finite.
        RunEndedError: if memory or disk are full, or another process is gone.
    """
    who = f" of process {world.rank}" if world.size > 1 else ""
    try:
        yield
    except ToldElsewhereError:
        raise
    except FloatingPointError as error:
        raise FloatingPointError(f"{error} {progress.kept}") from None
    except torch.cuda.OutOfMemoryError as error:
        raise RunEndedError(_out_of_memory(progress, world)) from error
    except RuntimeError as error:
        text = str(error)
        if "DataLoader worker (pid" in text:
            raise RunEndedError(
                f"A process that loads images{who} died {progress.where} ({text.splitlines()[0]}). "
                "Most often memory ran out, or shared memory (/dev/shm): lower train.workers. "
                f"{progress.kept}"
            ) from error
        if is_lost_process(error):
            raise RunEndedError(
                f"Process {world.rank} of {world.size} lost another one {progress.where}: it died, "
                "or its machine cannot be reached. What it said last, or torchrun's report, tells "
                f"why. {progress.kept}"
            ) from error
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RunEndedError(
            f"The disk of {display(progress.checkpoint.parent)} is full, so what was to be written "
            f"{progress.where} could not be ({error.strerror}). Make room there. {progress.kept}"
        ) from error


def stopped_in_order(progress: Progress, world: World) -> RuntimeError:
    """Return what ends a run that was asked to stop and has saved its progress."""
    message = f"Stopped as asked (SIGTERM) after iteration {progress.saved}. {progress.kept}"
    if world.main:
        return RunEndedError(message, code=STOPPED)
    return ToldElsewhereError(message, code=STOPPED)


def _out_of_memory(progress: Progress, world: World) -> str:
    images = ", ".join(map(str, progress.images)) or "not loaded yet"
    free, total = (n / 2**30 for n in torch.cuda.mem_get_info(world.device))
    used = torch.cuda.max_memory_allocated(world.device) / 2**30
    return (
        f"CUDA ran out of memory {progress.where} (process {world.rank}, images {images}; it used "
        f"{used:.1f} of {total:.1f} GiB, {free:.1f} are free). Let more processes share the batch, "
        "which continues the run, or lower train.batch_size, model.max_size or "
        f"model.rois_per_image, which makes it another one. {progress.kept}"
    )

"""How a run ends before its last iteration: what is said, and what it leaves to continue from.

Asked to stop in order (SIGTERM, which Slurm sends before the time is over), it ends after the
iteration at hand and saves its progress. It may be unable to: where a process of several is gone,
others can wait for it in vain, deep in a library that returns to no signal handler. ``torchrun``
then asks them to stop, too, and kills them half a minute later. A thread sees that coming and says
what happened.
"""

import errno
import os
import signal
import sys
import threading
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


GRACE = 25.0
"""Seconds that the iteration at hand, and saving, may take; torchrun waits 30."""

STUCK = 3
"""Exit code of a process that was asked to stop and could not."""


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
def explained(progress: RunState, world: World) -> Iterator[None]:
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


def stopped_in_order(progress: RunState, world: World) -> RuntimeError:
    """Return what ends a run that was asked to stop and has saved its progress."""
    message = f"Stopped as asked (SIGTERM) after iteration {progress.saved}. {progress.kept}"
    if world.main:
        return RunEndedError(message, code=STOPPED)
    return ToldElsewhereError(message, code=STOPPED)


def _out_of_memory(progress: RunState, world: World) -> str:
    images = ", ".join(map(str, progress.images)) or "not loaded yet"
    free, total = (n / 2**30 for n in torch.cuda.mem_get_info(world.device))
    used = torch.cuda.max_memory_allocated(world.device) / 2**30
    return (
        f"CUDA ran out of memory {progress.where} (process {world.rank}, images {images}; it used "
        f"{used:.1f} of {total:.1f} GiB, {free:.1f} are free). Let more processes share the batch, "
        "which continues the run, or lower train.batch_size, model.max_size or "
        f"model.rois_per_image, which makes it another one. {progress.kept}"
    )


@contextmanager
def stop_on_sigterm(*, grace: float | None) -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets. To be used in the main thread of a program.

    Args:
        grace: the program ends itself if the block goes on for so many seconds after that; None
            lets it take its time, as one process alone may.
    """
    asked, over = threading.Event(), threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    if grace is None:
        try:
            yield asked
        finally:
            signal.signal(signal.SIGTERM, before)
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    waker = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, over, grace), daemon=True).start()
    try:
        yield asked
    finally:
        over.set()
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGTERM, before)
        os.close(writer)


def _watch(reader: int, over: threading.Event, grace: float) -> None:
    """Wait for the signal, which the system writes to a pipe whatever the main thread does."""
    while signals := os.read(reader, 64):
        if signal.SIGTERM in signals and not over.wait(grace):
            print(
                f"error: Process {os.environ.get('RANK', '0')} was asked to stop and could not "
                f"within {grace:g} s; most often it waits for another process that is gone, and "
                "that one's last words tell why. The last checkpoint is whole; the same command "
                "continues from it.",
                file=sys.stderr,
                flush=True,
            )
            os._exit(STUCK)
    os.close(reader)

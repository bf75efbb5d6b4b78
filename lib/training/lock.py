"""One run at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lib.files import TEMPORARY
from lib.paths import display
from lib.training.distributed import World

PATIENCE = 10.0
"""Seconds that a run which is just being killed has to let go."""


@contextmanager
def alone_in(folder: Path, world: World) -> Iterator[None]:
    """Hold a folder's lock while the block runs, and first remove what killed runs left half-saved.

    The operating system gives the lock back when the process ends in whatever way.

    Raises:
        ValueError: if another run has it.
    """
    lock = FileLock(folder / ".training.lock")
    with world.together():
        if world.main:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=PATIENCE)
            except Timeout:
                raise ValueError(
                    f"Another process is training in {display(folder)}. Wait until it has "
                    "finished, end it, or choose another folder (out)."
                ) from None
            for path in folder.glob(f"{TEMPORARY}*.pt"):
                path.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.release()

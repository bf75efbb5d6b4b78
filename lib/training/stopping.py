"""Stopping in order when asked to: SIGTERM, which Slurm sends before the time is over.

A run then ends after the iteration at hand and saves its progress. It may be unable to: where a
process of several is gone, others can wait for it in vain, deep in a library that returns to no
signal handler. ``torchrun`` then asks them to stop, too, and kills them half a minute later. A
thread sees that coming and says what happened.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

GRACE = 25.0
"""Seconds that the iteration at hand, and saving, may take; torchrun waits 30."""

STUCK = 3
"""Exit code of a process that was asked to stop and could not."""


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

"""Ctrl-C, heard at once: what is under way may need a while to end."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SAID = b"\nStopping: what is finished is kept.\n"


@contextmanager
def announced(*others: signal.Signals) -> Iterator[None]:
    """Say on the terminal that Ctrl-C was heard, as soon as it is, then raise KeyboardInterrupt.

    Args:
        others: further signals that mean the same inside the block.
    """
    said = False

    def heard(number: int, frame: FrameType | None) -> None:
        nonlocal said
        if not said:
            os.write(2, _SAID)  # print is not safe inside a handler
        said = True
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A shell that starts a program in the background has it ignore Ctrl-C: that stays so.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *others)}
    try:
        for number in before:
            if number != signal.SIGINT or ours:
                signal.signal(number, heard)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

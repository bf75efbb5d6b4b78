"""One runner at a time on the results of a profile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from filelock import FileLock, Timeout

from lib.files import read_json, write_json
from lib.runner.problems import UsageError
from lib.study import Study


@contextmanager
def only_runner(study: Study, profile: str) -> Iterator[None]:
    """Hold the lock of a profile while the block runs.

    The operating system gives the lock back when the process ends in whatever way, so that none
    is ever left behind.

    Raises:
        UsageError: if another runner holds it; the message says which, and since when.
    """
    folder = study.cache(profile)
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / ".lock.json"
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            other = read_json(holder)
            who = f"process {other['pid']}, started {other['started']}"
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            who = "which has only just started"
        raise UsageError(
            [
                f"Another runner ({who}) is working on profile {profile!r}. "
                "Wait until it has finished, or end it."
            ]
        ) from None
    try:
        started = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        write_json(holder, {"pid": os.getpid(), "started": started})
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()

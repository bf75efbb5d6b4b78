"""The folders of a run: whether it can write there, and one runner at a time in them."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lib.files import read_json, write_json
from lib.runner.problems import UsageError
from lib.study import Study

_BELOW_RESULTS = ("", "notebooks", "tables", "figures")


def check_writable(study: Study, profile: str, steps: Iterable[str]) -> None:
    """Make sure that all folders of a run are, or can be made, and can be written to.

    Nothing is written for that: the system is asked.

    Args:
        study: the folders.
        profile: name of the profile.
        steps: ids of the steps that may run.

    Raises:
        UsageError: otherwise; a sentence for each place.
    """
    folders = [study.cache(profile), *(study.step_folder(profile, step) for step in steps)]
    folders += [study.results(profile) / name for name in _BELOW_RESULTS]
    if problems := list(_problems(study, folders)):
        raise UsageError(problems)


def full_disk(study: Study, error: OSError) -> str:
    """Return in a sentence which folder's disk is full; empty if that is not the error."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    where = f" of {study.relative(Path(error.filename).parent)}" if error.filename else ""
    return (
        f"The disk{where} is full. Make room and give the same command again: finished steps and "
        "checkpoints are kept."
    )


def _problems(study: Study, folders: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each place; what lies below one that was told is not told again."""
    told: set[Path] = set()
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if told & {there, *there.parents}:
            continue
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            continue
        told.add(there)
        shown = study.relative(there)
        if not there.is_dir():
            yield f"{shown} has to be a folder, and is none. Move it away."
        else:
            yield (
                f"Nothing can be written to {shown}: no permission, or a disk that is mounted "
                "read-only. Make it writable, or run a copy of the study elsewhere."
            )


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

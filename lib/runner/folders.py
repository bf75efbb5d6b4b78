"""The folders of a run: whether it can write there, and one runner at a time in them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from lib.files import explain
from lib.runner.problems import UsageError
from lib.study import Study


@contextmanager
def only_runner(study: Study, profile: str) -> Iterator[None]:
    """Make the folders of a run and hold its lock while the block runs.

    The operating system gives the lock back when the process ends in whatever way, so that none
    is ever left behind.

    Raises:
        UsageError: if nothing can be written there, or if another runner holds the lock.
    """
    problems = []
    for folder in (study.cache(profile), study.results(profile)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            problems.append(f"Nothing can be written in {study.relative(folder)}. {explain(error)}")
    if problems:
        raise UsageError(problems)
    try:
        with FileLock(study.cache(profile) / ".lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(
            [
                f"Another runner is working on profile {profile!r}. "
                "Wait until it has finished, or end it."
            ]
        ) from None

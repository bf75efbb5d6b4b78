"""Whether a run can write where it has to, found before any work."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

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
    problems = list(dict.fromkeys(_problems(study, folders)))
    if problems:
        raise UsageError(problems)


def _problems(study: Study, folders: Iterable[Path]) -> Iterator[str]:
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        shown = study.relative(there)
        if not there.is_dir():
            yield f"{shown} has to be a folder, and is none. Move it away."
        elif not os.access(there, os.W_OK | os.X_OK):
            yield (
                f"Nothing can be written to {shown}: no permission, or a disk that is mounted "
                "read-only. Make it writable, or run a copy of the study elsewhere."
            )

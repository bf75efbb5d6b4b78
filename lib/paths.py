"""Where things are: the repository, its caches and the folders that may hold data sets.

Relative paths in parameters and configuration files are relative to the repository, so that a
notebook opened in JupyterLab (whose working directory is ``notebooks/``) and the runner agree.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository."""

DATA_VARIABLE = "BOXES_TO_MASKS_DATA"
"""Environment variable that names a folder of data sets, searched before the default ones."""


def expanded(path: str | Path) -> Path:
    """Return ``path`` with ``~`` as the home folder; as it is where nobody knows that folder."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path's own raises an error)


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder; no name is too long or too odd to ask."""
    return os.path.exists(path)  # noqa: PTH110 (Path's own raises errors)


def resolve(path: str | Path) -> Path:
    """Return ``path`` as an absolute path; relative ones are relative to the repository."""
    return (ROOT / expanded(path)).resolve()


def data_folders() -> list[Path]:
    """Return the folders searched for data sets, in order.

    They are the one named by ``BOXES_TO_MASKS_DATA``, ``data/`` in the repository, and
    ``../shared/data/`` beside it, which several checkouts can share.
    """
    named = os.environ.get(DATA_VARIABLE)
    defaults = [ROOT / "data", ROOT.parent / "shared" / "data"]
    return ([expanded(named)] if named else []) + defaults


def find_data(path: str | Path) -> Path:
    """Return the file or folder called ``path`` in the first data folder that has it.

    Absolute paths and paths that exist relative to the repository are taken as they are.

    Raises:
        FileNotFoundError: if no folder has it; the message lists where it was looked for.
    """
    direct = resolve(path)
    if exists(direct):
        return direct
    tried = [direct] + [folder / path for folder in data_folders()]
    for candidate in tried[1:]:
        if exists(candidate):
            return candidate.resolve()
    places = "\n  ".join(str(p) for p in tried)
    raise FileNotFoundError(
        f"{str(path)!r} was not found. Looked for:\n  {places}\n"
        f"Put it in one of these places, or set {DATA_VARIABLE} to the folder that holds it."
    )


def display(path: str | Path) -> str:
    """Return ``path`` for people and for provenance: relative to the repository where possible."""
    absolute = resolve(path)
    if absolute.is_relative_to(ROOT):
        return str(absolute.relative_to(ROOT))
    for folder in data_folders():
        if absolute.is_relative_to(folder):
            return str(Path("data") / absolute.relative_to(folder))
    return absolute.name

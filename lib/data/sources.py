"""The sets of a study: one small file says where each lies, and every later step opens it there.

``sets.json`` is ``{"train": {"annotations": path, "images": path}, "val": {...}}``; ``val`` may be
absent. ``lib.data.prepare`` writes it, after checking every label and picture once; opening a set
from it does not look at the pictures again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lib.data.coco import CocoSet, load
from lib.files import read_json, write_json
from lib.paths import ROOT, display, resolve


@dataclass(frozen=True)
class SetFiles:
    """Where a set lies: its COCO-format file and the folder of its pictures."""

    annotations: Path
    images: Path

    def shown(self) -> dict[str, str]:
        """Return both places as people like to read them: relative to the repository."""
        return {"annotations": display(self.annotations), "images": display(self.images)}


def write_sets(path: str | Path, sets: Mapping[str, SetFiles]) -> None:
    """Write ``sets.json``; paths inside the repository are written relative to it."""
    content = {
        name: {"annotations": _portable(files.annotations), "images": _portable(files.images)}
        for name, files in sets.items()
    }
    write_json(path, content, indent=1)


def read_sets(path: str | Path) -> dict[str, SetFiles]:
    """Return what ``sets.json`` says, with absolute paths."""
    return {
        name: SetFiles(resolve(files["annotations"]), resolve(files["images"]))
        for name, files in read_json(path).items()
    }


def open_set(sets_json: str | Path, name: str) -> CocoSet:
    """Open one of the prepared sets, without looking at its pictures again.

    Args:
        sets_json: the file that step ``01_data`` wrote.
        name: ``"train"`` or ``"val"``.

    Raises:
        ValueError: if there is no such set.
    """
    sets = read_sets(sets_json)
    if name not in sets:
        raise ValueError(
            f"This study has no {name!r} set, only {', '.join(map(repr, sets))}. Name one in "
            f"data_{name}_annotations and data_{name}_images and run 01_data again, or leave out "
            "the steps that need it."
        )
    return load(sets[name].annotations, sets[name].images, check_images="none")


def _portable(path: Path) -> str:
    path = resolve(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)

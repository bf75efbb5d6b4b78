"""Maps of pictures, made once and kept on disk: what a frozen network need not compute again.

Each picture, and its mirror image, has a file of arrays. Its name is a digest of all that its
content depends on: the picture's file and how it is read, and what made the maps of it. So a folder
may serve any number of runs and sets side by side, and nothing in it can be out of date.
"""

import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from lib.data.pictures.images import ImageRecord
from lib.files import TEMPORARY, atomic, digest, digest_of
from lib.training.inputs import pixels

Maps = Mapping[str, Tensor]
"""Maps of one picture by level, ``[C, h, w]`` in half precision."""

SUFFIX = ".npz"


@dataclass
class KeptMaps:
    """The maps that one frozen network makes of pictures.

    Args:
        folder: where they are kept; made if absent.
        make: from a picture, uint8 ``[3, H, W]`` RGB, to its maps.
        key: digest of all that ``make`` depends on.
        limit: most bytes that the folder may hold. Beyond it, the files that were not used for
            longest are removed.
    """

    folder: Path
    make: Callable[[Tensor], Maps]
    key: str
    limit: int
    _names: dict[tuple[ImageRecord, bool], str] = field(default_factory=dict)

    def read(self, record: ImageRecord, *, mirrored: bool = False) -> dict[str, Tensor]:
        """Return a picture's maps; those that are missing or damaged are made and kept.

        Args:
            record: the picture.
            mirrored: whether the maps of its mirror image are wanted.
        """
        path = self._path(record, mirrored)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                maps = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return self._made(record, mirrored)
        os.utime(path)
        return maps

    def fill(self, records: Iterable[ImageRecord], *, mirrored: bool) -> int:
        """Make what is missing of some pictures, and return of how many; one process at a time.

        Args:
            records: the pictures.
            mirrored: whether their mirror images are wanted too.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        ways = (False, True) if mirrored else (False,)
        made = 0
        with FileLock(self.folder / ".maps.lock"):
            for path in self.folder.glob(f"{TEMPORARY}*"):
                path.unlink(missing_ok=True)
            for record in records:
                for way in ways:
                    if not self._path(record, way).exists():
                        self._made(record, way)
                        made += 1
            self._make_room()
        return made

    def _made(self, record: ImageRecord, mirrored: bool) -> dict[str, Tensor]:
        picture = pixels(record)
        maps = dict(self.make(picture.flip(-1) if mirrored else picture))
        with atomic(self._path(record, mirrored)) as temporary, temporary.open("wb") as file:
            np.savez(file, **{name: x.cpu().numpy() for name, x in maps.items()})
        return maps

    def _path(self, record: ImageRecord, mirrored: bool) -> Path:
        name = self._names.get((record, mirrored))
        if name is None:
            said = [self.key, digest(record.path), record.read_as, record.width, record.height]
            name = self._names[record, mirrored] = digest_of([*said, mirrored])
        return self.folder / f"{name}{SUFFIX}"

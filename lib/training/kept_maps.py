"""Maps of pictures, made once by a frozen trunk and kept on disk (see :mod:`lib.models.trunk`).

Each picture, and its mirror image, has a file of its own. Its name is a digest of all that its
content depends on: the picture's file and how it is read, the trunk's weights, and the size that
pictures are given. So one folder serves any number of runs and sets, and nothing in it is ever out
of date. A file that is missing or damaged costs time and nothing else.
"""

import os
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from lib.data.pictures.images import ImageRecord
from lib.files import atomic, digest, digest_of, remove_temporaries
from lib.models.detector import Detector
from lib.models.trunk import Seen, weights_digest
from lib.paths import display, resolve
from lib.training.inputs import pixels

SUFFIX = ".npz"

LOG_EVERY = 15.0
"""Seconds between lines of progress."""


class KeptMaps:
    """What one frozen trunk sees of pictures.

    Args:
        folder: where it is kept; made if absent.
        key: digest of the trunk, see :func:`trunk_key`.
        limit: most bytes that the folder may hold.
    """

    def __init__(self, folder: Path, *, key: str, limit: int) -> None:
        self.folder = folder
        self.key = key
        self.limit = limit
        self._names: dict[tuple[Path, bool], str] = {}

    def read(self, record: ImageRecord, *, mirrored: bool = False) -> Seen | None:
        """Return what the trunk sees of a picture; None if that is not kept, or is damaged.

        Args:
            record: the picture.
            mirrored: whether its mirror image is meant.
        """
        path = self._path(record, mirrored)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
            (before, after) = found.pop("sizes").tolist()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Seen(found, tuple(before), tuple(after))

    def fill(
        self, records: Sequence[ImageRecord], look: Callable[[Tensor], Seen], *, mirrored: bool
    ) -> int:
        """Make what is missing or damaged; return of how many pictures. One process at a time.

        Beyond the limit, files of other pictures are removed, those first that were not used for
        longest. What then still finds no room is not kept.

        Args:
            records: the pictures.
            look: from a picture, uint8 ``[3, H, W]`` RGB, to what the trunk sees of it.
            mirrored: whether mirror images are wanted too.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = [(record, way) for record in records for way in ((False, True)[: 1 + mirrored])]
        with FileLock(self.folder / ".maps.lock"):
            remove_temporaries(self.folder)
            missing = []
            for record, way in wanted:
                if self.read(record, mirrored=way) is None:
                    missing.append((record, way))
                else:
                    os.utime(self._path(record, way))
            room = self.limit - sum(path.stat().st_size for path in self._files())
            own = {self._path(*one) for one in wanted}
            last = time.monotonic()
            for count, (record, way) in enumerate(missing):
                picture = pixels(record)
                room -= self._write(
                    self._path(record, way), look(picture.flip(-1) if way else picture)
                )
                if room < 0:
                    room += self._remove_oldest(-room, own)
                if room < 0:
                    print(
                        f"{display(self.folder)} is full: the maps of {len(missing) - count - 1} "
                        f"of {len(wanted)} pictures (mirror images count) are not kept but made "
                        "in every iteration. train.maps_gib gives it more room.",
                        flush=True,
                    )
                    return count + 1
                if time.monotonic() - last > LOG_EVERY:
                    last = time.monotonic()
                    print(f"maps of {count + 1} of {len(missing)} pictures made", flush=True)
        return len(missing)

    def _write(self, path: Path, seen: Seen) -> int:
        arrays: dict[str, Any] = {name: x.cpu().numpy() for name, x in seen.maps.items()}
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, sizes=np.array([seen.before, seen.after]), **arrays)
        return path.stat().st_size

    def _files(self) -> set[Path]:
        return set(self.folder.glob(f"*{SUFFIX}"))

    def _remove_oldest(self, enough: int, own: Iterable[Path]) -> int:
        """Remove files of others until so many bytes are free; return how many are."""
        others = sorted(self._files() - set(own), key=lambda path: path.stat().st_mtime)
        freed = 0
        for path in others:
            if freed >= enough:
                break
            freed += path.stat().st_size
            path.unlink()
        return freed

    def _path(self, record: ImageRecord, mirrored: bool) -> Path:
        place = (record.path, mirrored)
        if place not in self._names:
            said = [self.key, digest(record.path), record.read_as, record.width, record.height]
            self._names[place] = digest_of([*said, mirrored])
        return self.folder / f"{self._names[place]}{SUFFIX}"


def trunk_key(model: Detector) -> str:
    """Return a digest of all that a model's frozen trunk makes maps by."""
    pyramid, transform = model.backbone, model.transform
    parts = pyramid if pyramid.frozen == "pyramid" else pyramid.body
    scale = [transform.min_size, transform.max_size, transform.image_mean, transform.image_std]
    return digest_of([pyramid.frozen, weights_digest(parts), *map(list, scale[:1]), *scale[1:]])


def kept_maps(model: Detector, folder: str, *, gib: float) -> KeptMaps | None:
    """Return the maps that are kept for a model; None where none are, or none can be.

    Args:
        model: on any device.
        folder: where; "" keeps none.
        gib: most that the folder may hold.
    """
    if not folder or model.backbone.frozen == "nothing" or len(model.transform.min_size) > 1:
        return None
    return KeptMaps(resolve(folder), key=trunk_key(model), limit=int(gib * 2**30))

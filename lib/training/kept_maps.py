"""Maps of pictures, made once by a frozen trunk and kept on disk (see :mod:`lib.models.trunk`).

Each picture, and its mirror image, has a file of its own. Its name is a digest of all that its
content depends on: the picture's file and how it is read, the trunk's weights and code, the size
that pictures are given, and what kind of device computes. So one folder serves any number of runs
and sets, and nothing in it is ever out of date. A file that is missing or damaged costs time and
nothing else. (Another processor of that kind, or another number of threads, may round the last bit
of a few values otherwise, here as in any computation; the name does not tell those apart.)
"""

import hashlib
import inspect
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from filelock import FileLock
from torch import Tensor

from lib.code import code_digest, used_files
from lib.data.pictures.images import ImageRecord
from lib.files import TEMPORARY, atomic, digest, digest_of, explain
from lib.models.detector import Detector
from lib.models.trunk import Seen
from lib.paths import ROOT, display, resolve
from lib.training.inputs import pixels

SUFFIX = ".maps.npz"

CODE = [
    used_files(["import lib.models.trunk, lib.data.pictures.images"], ROOT),
    code_digest(inspect.getsource(pixels)),
]
"""What makes maps of a file, as it was when it was imported: it may be edited in the meantime."""

LOG_EVERY = 15.0
"""Seconds between lines of progress."""


class KeptMaps:
    """What one trunk sees of pictures.

    Args:
        folder: where it is kept; made if absent.
        key: digest of the trunk, see :func:`trunk_key`.
        limit: most bytes that the folder may hold.
    """

    def __init__(self, folder: Path, *, key: str, limit: int) -> None:
        self.folder = folder
        self.key = key
        self.limit = limit
        self._digests: dict[Path, str] = {}

    def read(self, record: ImageRecord, *, mirrored: bool = False) -> Seen | None:
        """Return what the trunk sees of a picture; None if that is not kept, or is damaged.

        Args:
            record: the picture.
            mirrored: whether its mirror image is meant.
        """
        path = self._path(record, mirrored)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)  # checks the sums of the archive
            if arrays.pop("seal") != _seal(path, arrays):
                return None
            before, after = map(tuple, arrays.pop("sizes").tolist())
        except Exception:  # absent, or whatever a damaged file leads to
            return None
        return Seen({name: torch.from_numpy(x) for name, x in arrays.items()}, before, after)

    def fill(
        self, records: Sequence[ImageRecord], look: Callable[[Tensor], Seen], *, mirrored: bool
    ) -> int:
        """Make what is missing or damaged; return of how many pictures (mirror images count).

        One process does so at a time; others wait, and find it made. Beyond the limit, files of
        other pictures are removed, those first that were not used for longest. What then still
        finds no room is not kept, and nothing is where the folder cannot be written.

        Args:
            records: the pictures.
            look: from a picture, uint8 ``[3, H, W]`` RGB, to what the trunk sees of it.
            mirrored: whether mirror images are wanted too.
        """
        ways = (False, True) if mirrored else (False,)
        wanted = {self._path(record, way): (record, way) for record in records for way in ways}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            taken = FileLock(self.folder / ".maps.lock").acquire()
        except OSError as error:
            print(
                f"{explain(error)} Until then maps that are not there are made each time, which "
                "is slower and changes no result.",
                flush=True,
            )
            return 0
        with taken:
            for path in self.folder.glob(f"{TEMPORARY}*{SUFFIX}-*"):
                _remove(path)  # a process that was killed has left it
            missing = []
            for path, (record, way) in wanted.items():
                if self.read(record, mirrored=way) is None:
                    _remove(path)
                    missing.append(path)
                else:
                    with suppress(OSError):  # another user's
                        os.utime(path)
            files = {path: path.stat() for path in self.folder.glob(f"*{SUFFIX}")}
            room = self.limit - sum(stat.st_size for stat in files.values())
            removable = sorted(  # the first to go is the last
                files, key=lambda path: (path in wanted, files[path].st_mtime_ns), reverse=True
            )
            while room < 0 and removable:
                room += _remove(removable.pop())
            start = last = time.monotonic()
            for count, path in enumerate(missing):
                record, way = wanted[path]
                picture = pixels(record)
                content = _packed(path, look(picture.flip(-1) if way else picture))
                room -= len(content)
                while room < 0 and removable and removable[-1] not in wanted:
                    room += _remove(removable.pop())
                if problem := self._problem(path, content) if room >= 0 else "it is full.":
                    print(
                        f"{display(self.folder)}: {problem} The maps of {len(missing) - count} of "
                        f"{len(wanted)} pictures (mirror images count) are not kept but made each "
                        "time. More room (train.maps_gib) makes that faster and changes no result.",
                        flush=True,
                    )
                    return count
                if time.monotonic() - last > LOG_EVERY or count + 1 == len(missing):
                    last = time.monotonic()
                    rate = (count + 1) / (last - start)
                    print(f"maps of {count + 1}/{len(missing)} pictures, {rate:.1f}/s", flush=True)
        return len(missing)

    def _problem(self, path: Path, content: bytes) -> str | None:
        """Write a file; return why it could not be written, in a sentence."""
        try:
            with atomic(path) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            return explain(error)
        return None

    def _path(self, record: ImageRecord, mirrored: bool) -> Path:
        if record.path not in self._digests:
            self._digests[record.path] = _digest(record)
        read = [self._digests[record.path], record.read_as, record.width, record.height]
        return self.folder / f"{digest_of([self.key, *read, mirrored])}{SUFFIX}"


def trunk_key(model: Detector) -> str:
    """Return a digest of all that a model's trunk makes maps by."""
    trunk, transform = model.backbone.body, model.transform
    weights = hashlib.sha256()
    for name, tensor in trunk.state_dict().items():
        weights.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        weights.update(tensor.cpu().contiguous().numpy().tobytes())
    sizes = [*transform.min_size, transform.max_size]
    colours = [*transform.image_mean, *transform.image_std]
    device = next(trunk.parameters()).device.type
    packages = [package.__version__ for package in (torch, torchvision, PIL)]
    made_by = [packages, device, CODE]
    return digest_of([weights.hexdigest(), sizes, colours, made_by])


def kept_maps(model: Detector, folder: str, *, gib: float) -> KeptMaps | None:
    """Return the maps that are kept for a model; None where none are, or it has no trunk.

    Args:
        model: on the device that it is used on.
        folder: where; "" keeps none.
        gib: most that the folder may hold; 0 keeps none.
    """
    if not (folder and gib and model.has_trunk):
        return None
    return KeptMaps(resolve(folder), key=trunk_key(model), limit=int(gib * 2**30))


def _packed(path: Path, seen: Seen) -> bytes:
    """Return the content of a file."""
    arrays: dict[str, Any] = {name: x.cpu().numpy() for name, x in seen.maps.items()}
    arrays["sizes"] = np.array([seen.before, seen.after])
    content = io.BytesIO()
    np.savez(content, seal=np.array(_seal(path, arrays)), **arrays)
    return content.getvalue()


def _seal(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Return what a file with another's name, or other shapes, does not have."""
    shapes = {name: [str(array.dtype), *array.shape] for name, array in arrays.items()}
    return digest_of([path.name, shapes])


def _digest(record: ImageRecord) -> str:
    """Return the digest of a picture's file.

    Raises:
        FileNotFoundError, ValueError: if there is none that can be read, as where it is read.
    """
    with suppress(OSError):
        if record.path.is_file():  # reading a pipe would never end
            return digest(record.path)
    pixels(record)
    raise ValueError(f"{record.path} cannot be read again.")


def _remove(path: Path) -> int:
    """Remove a file if it is there and may be removed; return how many bytes that frees."""
    try:
        size = path.stat().st_size
        path.unlink()
    except OSError:
        return 0
    return size

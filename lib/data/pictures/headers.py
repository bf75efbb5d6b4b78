"""What a picture file is, from its header and its last bytes, and what is wrong with it.

Damage is said of damaged files alone: pipes, folders, pictures above the limit and forms that are
not read have sentences of their own.
"""

import os
import struct
import threading
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib.data.pictures.deep_pixels import is_deep, to_8_bits

Image.MAX_IMAGE_PIXELS = None  # people's own pictures may be large; see ``pixel_limit``

warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # damaged EXIF tags

_ENDINGS: Mapping[str, bytes] = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
"""Last bytes of a whole file. One that ends otherwise may still be whole: it is decoded to see."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")

_ORIENTATION = 0x0112
_EXCHANGED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""

_BYTES_A_PIXEL = 64
"""Memory counted on for a picture: decoding takes 11 bytes a pixel, its masks 20 and more."""

_LARGE = 40_000_000
"""Pixels from which pictures are decoded one after the other, to bound memory."""

_one_large = threading.Lock()

ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, MemoryError)
"""What Pillow raises for damaged files."""


class Look(NamedTuple):
    """What a file is: a kind of ``validation.KINDS`` or empty, and its details.

    ``size`` is that of the stored pixels, ``orientation`` the EXIF tag's (1: as stored), ``deep``
    whether more than 8 bits are taken by another range than 16 bits, ``pages`` whether it has more
    than the one picture that is read.
    """

    kind: str = ""
    detail: str = ""
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    deep: bool = False
    pages: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) after the turn that the EXIF tag asks for."""
        return self.size[::-1] if self.orientation in _EXCHANGED else self.size


def pixel_limit() -> int:
    """Return the number of pixels of the largest picture that is read, by this machine's memory."""
    import psutil  # type: ignore[import-untyped]

    return int(psutil.virtual_memory().total) // _BYTES_A_PIXEL


def look_at(path: Path, *, decode: bool = False) -> Look:
    """Say what a picture file is, and what is wrong with it, from its header and its last bytes.

    This finds missing files, files that are no pictures, and truncation: a JPEG or PNG must end
    with its end marker, and one that does not is decoded to see, as are pictures of more than 8
    bits. It costs one open, a header and one seek (0.1 ms); decoding everything (2 ms for a
    photograph of 640 x 480) also finds damage inside a file. Pipes and devices are not opened.

    Args:
        path: the file.
        decode: decode every picture in full.
    """
    try:
        if path.exists() and not path.is_file():
            return Look("image_not_regular", "it is a folder, a pipe or a device")
        # By a path, Pillow maps uncompressed TIFFs into memory, and turns them wrongly.
        with path.open("rb") as file, Image.open(file) as image:
            look = header(image)
            if look.kind:
                return look
            with _one_at_a_time(image):
                if is_deep(image):
                    return look._replace(deep=to_8_bits(np.asarray(image))[1])
                if decode or not _ends_well(path, image.format):
                    image.load()
            return look
    except (FileNotFoundError, NotADirectoryError):
        return Look("image_missing")
    except ERRORS as error:
        return failed(path, error)


def header(image: Image.Image) -> Look:
    """Return what an opened picture says of itself, without decoding it."""
    width, height = image.size
    limit = pixel_limit()
    if width * height > limit:
        return Look(
            "image_too_large",
            f"{width} x {height} are {width * height / 1e6:,.0f} million pixels, the limit is "
            f"{limit / 1e6:,.0f} million, the memory of this machine over {_BYTES_A_PIXEL} bytes "
            "a pixel; cut it into tiles with labels of their own, or use a machine with more",
        )
    pages = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    orientation = _orientation(image)
    if pages:
        image.seek(0)
    return Look(size=(width, height), orientation=orientation, pages=pages)


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # Pillow turns these itself
        return 1
    try:
        # Pillow's own method for PNG would decode the picture, to look behind its pixels too.
        tags = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
        found = tags.get(_ORIENTATION, 1)
    except Exception:  # a damaged tag can raise anything, and is as good as none
        return 1
    return found if type(found) is int and 2 <= found <= 8 else 1


def failed(path: Path, error: BaseException) -> Look:
    """Say why a file could not be opened or decoded."""
    if isinstance(error, PermissionError):
        return Look("image_unreadable", "it may not be read")
    if isinstance(error, MemoryError):
        return Look("image_too_large", "memory does not suffice to decode it")
    if not isinstance(error, UnidentifiedImageError):
        return Look("image_unreadable", f"truncated or damaged ({error})")
    with path.open("rb") as file:
        start = file.read(16)
    if not start or start.startswith(_SIGNATURES):
        return Look("image_unreadable", "truncated or damaged" if start else "the file is empty")
    return Look(
        "image_unknown",
        f"it begins with {start!r}, no form that is read; convert it to PNG or JPEG of 8 bits, or "
        "to grey of 16",
    )


def _one_at_a_time(image: Image.Image) -> AbstractContextManager[object]:
    """Return what keeps the threads of this process from decoding two large pictures at once."""
    return _one_large if image.width * image.height > _LARGE else nullcontext()


def _ends_well(path: Path, format_name: str | None) -> bool:
    ending = _ENDINGS.get(format_name or "")
    if ending is None:
        return False
    with path.open("rb") as file:
        file.seek(-len(ending), os.SEEK_END)
        return file.read() == ending

"""Pictures on disk: the record a set keeps of each, its header, and its pixels as RGB.

Sizes are (width, height) in pixels, as in COCO files; arrays are [height, width, 3]. A picture
whose EXIF tag turns it is turned only if that gives the size the labels speak of: labelling tools
differ in whether they respect the tag, and the size in the JSON tells which one it was.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

_ENDINGS: Mapping[str, bytes] = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
"""Last bytes of a whole file. One that ends otherwise may still be whole: it is decoded to see."""

_TURNED = {5, 6, 7, 8}
"""EXIF orientations that exchange width and height."""

_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
_ALPHA_MODES = {"RGBA", "LA", "PA", "La", "RGBa"}


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What a set says of one picture: width and height in pixels, and where the file is.

    ``extra`` holds the further fields of the COCO image (licence, date, ...); read only.
    """

    id: int
    file_name: str
    width: int
    height: int
    root: Path | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The picture's file.

        Raises:
            FileNotFoundError: if the set was opened without an image folder.
        """
        if self.root is None:
            raise FileNotFoundError(
                f"Image {self.id} ({self.file_name}) was asked for, but the set was opened "
                "without an image folder; give the folder when opening it."
            )
        return self.root / self.file_name

    def absolute(self) -> "ImageRecord":
        """Return the record for another process, which may have another current folder."""
        return replace(self, root=self.root and self.root.absolute())


def read_image(record: ImageRecord) -> np.ndarray:
    """Return a picture as RGB.

    Args:
        record: its record; ``record.root`` must be known.

    Returns:
        uint8 array [record.height, record.width, 3]. Grey, palette, CMYK and 16-bit pictures are
        converted; transparent ones are laid on white.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, no picture, or of another size than the record says.
    """
    pixels = read_rgb(record.path, size=(record.width, record.height))
    if pixels.shape[:2] != (record.height, record.width):
        height, width = pixels.shape[:2]
        raise ValueError(
            f"{record.path} is {width} x {height} pixels, but its labels say "
            f"{record.width} x {record.height}; restore the picture or mend the labels."
        )
    return pixels


def read_rgb(path: str | Path, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return any picture file as a uint8 RGB array [H, W, 3]; see ``read_image``.

    Args:
        path: the file.
        size: the (width, height) its labels speak of, which decides whether it is turned.
    """
    try:
        with Image.open(path) as image:
            turn = size is not None and image.size != size and _upright_size(image) == size
            return _to_rgb(ImageOps.exif_transpose(image) if turn else image)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no picture {path}.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} cannot be read as a picture, it is truncated or damaged ({error}); "
            "get it again, or leave it out of the set."
        ) from error


def header_problem(path: Path, size: tuple[int, int], *, decode: bool = False) -> str | None:
    """Say what is wrong with a picture file, from its header and its last bytes.

    This finds missing files, files that are no pictures, other sizes, and truncation: a JPEG or
    PNG must end with its end marker, and one that does not is decoded to see. It costs one open,
    a header and one seek (0.1 ms); decoding everything (2 ms for a photograph of 640 x 480) also
    finds damage inside a file.

    Args:
        path: the file.
        size: expected (width, height).
        decode: decode every picture in full.

    Returns:
        ``None`` or one of ``"image_missing"``, ``"image_unreadable"``, ``"image_other_size"``.
    """
    try:
        with Image.open(path) as image:
            if size not in (image.size, _upright_size(image) if image.size != size else size):
                return "image_other_size"
            if decode or not _ends_well(path, image.format):
                image.load()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return "image_missing"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return "image_unreadable"
    return None


def _ends_well(path: Path, format_name: str | None) -> bool:
    ending = _ENDINGS.get(format_name or "")
    if ending is None:
        return False
    with path.open("rb") as file:
        file.seek(-len(ending), os.SEEK_END)
        return file.read() == ending


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
    return (image.height, image.width) if turned else image.size


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode in _DEEP_MODES:  # PIL would clip 16 bits at 255 instead of scaling them
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        grey = ((deep + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        picture = image.convert("RGBA")
        page = Image.new("RGBA", picture.size, "white")
        return np.array(Image.alpha_composite(page, picture).convert("RGB"))
    return np.array(image.convert("RGB"))

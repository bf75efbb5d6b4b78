"""Pictures on disk: the record a set keeps of each, what its file is, and its pixels as RGB.

Sizes are (width, height) in pixels, as in COCO files; arrays are [height, width, 3]. Labelling
tools differ in whether they respect the EXIF tag that turns a picture: the size in the labels tells
which it was, and where it cannot, the record does (see ``lib.data.pictures.check``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.data.pictures.deep_pixels import is_deep, to_8_bits
from lib.data.pictures.find import leads_outside
from lib.data.pictures.headers import ERRORS, failed, header

_TURNS: Mapping[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""

_FIELDS = frozenset(("id", "file_name", "width", "height", "read_as"))
_ALPHA_MODES = {"RGBA", "LA", "PA", "La", "RGBa"}


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What a set says of one picture: width and height in pixels, and how its file is read.

    Attributes:
        id: of the image in the set.
        file_name: as the set has it.
        width: pixels.
        height: pixels.
        root: folder of the pictures.
        extra: further fields of the COCO image (licence, date, ...); read only.
        file: where the file was found below the folder, if not under its name.
        upright: whether the EXIF tag turns it; ``None``: the size decides, else it does.
        outside: whether the file may lie outside the folder.
    """

    id: int
    file_name: str
    width: int
    height: int
    root: Path | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    upright: bool | None = None
    outside: bool = False

    @classmethod
    def of(cls, image: Mapping[str, Any], root: Path | None) -> "ImageRecord":
        """Return the record of an image in a COCO file, read as an earlier look at it says."""
        said = image.get("read_as")
        said = said if isinstance(said, dict) else {}
        file, upright = said.get("file"), said.get("upright")
        return cls(
            image["id"],
            image["file_name"],
            image["width"],
            image["height"],
            root,
            {key: value for key, value in image.items() if key not in _FIELDS},
            file=file if isinstance(file, str) else "",
            upright=upright if isinstance(upright, bool) else None,
            outside=said.get("outside") is True,
        )

    def to_coco(self) -> dict[str, Any]:
        """Return the image as a COCO file has it."""
        fields = {key: getattr(self, key) for key in ("id", "file_name", "width", "height")}
        return fields | ({"read_as": self.read_as} if self.read_as else {}) | dict(self.extra)

    @property
    def read_as(self) -> dict[str, Any]:
        """How the file is read where its name and size do not say it, as JSON keeps it."""
        found: dict[str, Any] = {"file": self.file} if self.file else {}
        found |= {} if self.upright is None else {"upright": self.upright}
        return found | ({"outside": True} if self.outside else {})

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
        return self.root / (self.file or self.file_name)

    def absolute(self) -> "ImageRecord":
        """Return the record for another process, which may have another current folder."""
        return replace(self, root=self.root and self.root.absolute())


class _Refused(ValueError):
    """A sound file that is not read on purpose."""


def read_image(record: ImageRecord) -> np.ndarray:
    """Return a picture as RGB.

    Args:
        record: its record; ``record.root`` must be known.

    Returns:
        uint8 array [record.height, record.width, 3]. Grey, palette and CMYK pictures are converted,
        those of more than 8 bits as in ``lib.data.pictures.deep_pixels``; transparent ones are laid
        on white. Of several pages or frames it is the first.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, no picture, too large, outside the folder without
            permission, or of another size than the record says.
    """
    path = record.path
    if record.root and not record.outside and leads_outside(path, record.root):
        raise ValueError(
            f"{path} leads outside {record.root}; open the set with outside=read "
            "(--outside read, --set data.outside=read) to allow it."
        )
    size = (record.width, record.height)
    pixels = read_rgb(path, size=size, upright=record.upright)
    if pixels.shape[:2] != size[::-1]:
        height, width = pixels.shape[:2]
        raise ValueError(
            f"{path} is {width} x {height} pixels, but its labels say {size[0]} x {size[1]}; "
            "restore the picture or mend the labels."
        )
    return pixels


def read_rgb(
    path: str | Path, *, size: tuple[int, int] | None = None, upright: bool | None = None
) -> np.ndarray:
    """Return any picture file as a uint8 RGB array [H, W, 3]; see ``read_image``.

    Args:
        path: the file.
        size: the (width, height) its labels speak of; a picture that has it only as it is stored
            is not turned.
        upright: whether the EXIF tag turns it, whatever the size.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise _Refused(f"{path} is no picture file, but a folder, a pipe or a device.")
        with path.open("rb") as file, Image.open(file) as image:
            look = header(image)
            if look.kind:
                raise _Refused(f"{path} is not read: {look.detail}.")
            if upright is None:
                upright = size is None or look.size != size or look.upright_size == size
            rgb = _to_rgb(image)
            if not upright or look.orientation == 1:
                return rgb
            return np.array(Image.fromarray(rgb).transpose(_TURNS[look.orientation]))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no picture {path}. If it is there under another spelling or in another "
            "folder, step 01_data or python -m lib.masks finds it, and says so."
        ) from None
    except _Refused:
        raise
    except ERRORS as error:
        look = failed(path, error)
        raise ValueError(
            f"{path} cannot be read as a picture: {look.detail}; get it again, or leave it out of "
            "the set."
        ) from error


def _to_rgb(image: Image.Image) -> np.ndarray:
    if is_deep(image):
        return np.repeat(to_8_bits(np.asarray(image))[0][:, :, None], 3, axis=2)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        picture = image.convert("RGBA")
        page = Image.new("RGBA", picture.size, "white")
        return np.array(Image.alpha_composite(page, picture).convert("RGB"))
    return np.array(image.convert("RGB"))

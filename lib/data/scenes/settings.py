"""The dials of the embedded scenes."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Split = Literal["train", "val", "dev"]
"""``dev`` is for choosing settings: the recipe of ``val`` on the training side's material."""

SPLITS: tuple[Split, ...] = ("train", "val", "dev")


@dataclass(frozen=True)
class SceneSettings:
    """How scenes look. Sizes of objects are relative, so one recipe serves every picture size."""

    width: int = 320
    """Width of a scene in pixels."""
    height: int = 240
    """Height of a scene in pixels."""
    objects_min: int = 4
    """Fewest objects of a scene."""
    objects_max: int = 9
    """Most objects of a scene."""
    size_min: float = 0.048
    """Smallest object: square root of its box area over that of the scene's area."""
    size_max: float = 0.46
    """Largest object, measured alike. Sizes in between are log-uniform."""
    natural_size: float = 0.3
    """How much real sizes count (0: an elephant is as large as a cup; 1: as in nature)."""
    pair_share: float = 0.3
    """Share of objects that get a companion they touch (a rider, a cup on a laptop)."""
    ambiguous_share: float = 0.06
    """Share of objects that get a double: another object with box IoU of 0.5 or more."""
    overlap_max: float = 0.25
    """Largest box IoU with an object that is neither companion nor double."""
    visible_min: float = 0.25
    """Every object shows at least this share of its area; 20 pixels at the least."""
    theme_share: float = 0.85
    """Share of objects that belong to the scene's theme (kitchen, street); others are strays."""
    held_out_share: float = 0.5
    """In ``val``: share of unseen drawings, for the classes that have any."""
    photo_share: float = 0.3
    """Share of scenes on a photograph or a photographed texture instead of a painted backdrop."""
    angle: float = 10.0
    """Largest turn of an object, in degrees."""
    hue: float = 12.0
    """Largest shift of hue in degrees, for classes that keep their colour."""
    hue_free: float = 180.0
    """Largest shift of hue in degrees, for classes that come in any colour."""
    brightness: float = 0.25
    """Largest relative change of an object's brightness."""
    saturation: float = 0.3
    """Largest relative change of an object's saturation."""
    dim_share: float = 0.4
    """Share of dim objects: their colours are drawn towards the background's. The main dial."""
    dim_min: float = 0.45
    """Least dimness of a dim object (0: its own colours; 1: the background's)."""
    dim_max: float = 0.85
    """Greatest dimness; the largest objects are at most halfway between the two."""
    dim_texture: float = 0.3
    """Share of the background's texture that dim objects take on (1: as if see-through)."""
    dim_small: float = 0.5
    """How much more often the smallest objects are dim than the largest ones (0: as often)."""
    soft_share: float = 0.25
    """Share of objects that are out of focus."""
    shade: float = 0.35
    """Strength of the uneven light and of large shadows over a scene (0: none)."""
    shadow: float = 0.35
    """Darkness of the shadows that objects cast."""
    noise: float = 7.0
    """Largest standard deviation of sensor noise, in grey levels of 255."""
    blur: float = 0.7
    """Largest standard deviation of the blur of a whole scene, in pixels."""
    jpeg_quality: int = 92
    """Quality of the stored JPEG files."""

    def __post_init__(self) -> None:
        """Check the ranges that would otherwise fail late or silently."""
        if self.width < 64 or self.height < 64:
            raise ValueError(
                f"A scene needs at least 64 x 64 pixels, not {self.width} x {self.height}."
            )
        if not 1 <= self.objects_min <= self.objects_max:
            raise ValueError(
                "The number of objects in a scene must satisfy 1 <= objects_min <= objects_max; "
                f"found {self.objects_min} and {self.objects_max}."
            )
        if not 0 < self.size_min <= self.size_max <= 0.7:
            raise ValueError(
                "Sizes of objects must satisfy 0 < size_min <= size_max <= 0.7; "
                f"found {self.size_min} and {self.size_max}."
            )
        smallest = self.size_min * (self.width * self.height) ** 0.5
        if smallest < 8:
            raise ValueError(
                f"The smallest objects would be {smallest:.1f} pixels wide; 8 is the least. "
                "Raise size_min or the size of the scenes."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return all settings by name."""
        return asdict(self)

"""The artwork of the scenes: which Twemoji drawings show which COCO class.

A drawing is named by its Twemoji code points, optionally followed by the part of it that is the
object, because some drawings hold more than one thing (a boat and the water under it):

- ``26f5:!2`` leaves out shape 2 of the SVG file (shapes are counted from 0 in drawing order);
- ``1f454:1-3`` keeps the shapes 1, 2 and 3 only;
- ``1f374:left`` keeps the left part of the picture.
"""

from typing import NamedTuple

from lib.data.categories import COCO_CLASSES

CREDIT = (
    "Graphics: Twemoji (https://github.com/jdecked/twemoji), CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/), modified: cut out, recoloured, composed."
)


class Artwork(NamedTuple):
    """The drawings of one class."""

    shared: str
    """Drawings that every split may use, separated by spaces."""
    held_out: str = ""
    """Drawings that only the validation split uses: siblings of the shared ones."""


ARTWORK: dict[str, Artwork] = {
    "person": Artwork(
        "1f9cd 1f9cd-1f3fb 1f9cd-1f3fe 1f9cd-1f3fd-200d-2642-fe0f 1f9cd-1f3fc-200d-2640-fe0f "
        "1f9cd-1f3ff-200d-2640-fe0f 1f6b6 1f6b6-1f3fb 1f6b6-1f3fe-200d-2640-fe0f "
        "1f6b6-1f3fd-200d-2640-fe0f 1f3c3-1f3fc 1f3c3-1f3fe-200d-2640-fe0f 1f483-1f3fd 1f57a-1f3fe "
        "1f57a 1f9d8-1f3fd 1f9ce-1f3fc 1f469-1f3fd 1f477-1f3fb 1f468-1f3fe-200d-1f373",
        "1f9cd-1f3fc 1f9cd-1f3fe-200d-2640-fe0f 1f6b6-1f3fd 1f6b6-1f3fb-200d-2640-fe0f 1f3c3-1f3fd "
        "1f483-1f3fb 1f57a-1f3fc 1f9ce-1f3fe 1f477-1f3fd",
    ),
    "bicycle": Artwork("1f6b2"),
    "car": Artwork("1f697 1f698 1f695 1f696 1f693 1f3ce", "1f699 1f694"),
    "motorcycle": Artwork("1f3cd 1f6f5"),
    "airplane": Artwork("2708 1f6e9 1f6eb:!0-2", "1f6ec:!0-2"),
    "bus": Artwork("1f68c 1f68d 1f690", "1f68e"),
    "train": Artwork("1f682 1f683 1f684 1f686 1f68a 1f688", "1f685 1f69e:!0"),
    "truck": Artwork("1f69a 1f6fb 1f692 1f691", "1f69b"),
    "boat": Artwork("26f5:!2 1f6a4:!2,5,9 1f6a2:!5 26f4:!23 1f6f6:!1", "1f6f3:!6 1f6e5:!6"),
    "traffic light": Artwork("1f6a5 1f6a6"),
    "stop sign": Artwork("1f6d1"),
    "bird": Artwork("1f426 1f986 1f99c 1f9a2 1f413 1f54a 1f985 1f9a9", "1f426-200d-2b1b 1fabf"),
    "cat": Artwork("1f408 1f431 1f63a", "1f408-200d-2b1b 1f638"),
    "dog": Artwork("1f415 1f415-200d-1f9ba 1f429 1f436", "1f9ae"),
    "horse": Artwork("1f40e 1f434 1f3a0:0,3-7,11,12", "1facf"),
    "sheep": Artwork("1f411 1f410", "1f40f"),
    "cow": Artwork("1f404 1f402 1f42e", "1f403"),
    "elephant": Artwork("1f418"),
    "bear": Artwork("1f43b 1f43c", "1f43b-200d-2744-fe0f"),
    "zebra": Artwork("1f993"),
    "giraffe": Artwork("1f992"),
    "backpack": Artwork("1f392"),
    "umbrella": Artwork("2602 26f1:1-4", "2614:!4"),
    "handbag": Artwork("1f45c 1f45d", "1f45b"),
    "tie": Artwork("1f454:1-3"),
    "suitcase": Artwork("1f9f3 1f4bc"),
    "frisbee": Artwork("1f94f:!5"),
    "skis": Artwork("1f3bf:1-4 26f7:2,4"),
    "snowboard": Artwork("1f3c2:2"),
    "sports ball": Artwork("26bd 1f3c0 1f3be 1f3c8 26be", "1f3d0 1f94e 1f3c9"),
    "kite": Artwork("1fa81"),
    "baseball bat": Artwork("1f3cf:0-2"),
    "skateboard": Artwork("1f6f9"),
    "surfboard": Artwork("1f3c4:1-3"),
    "tennis racket": Artwork("1f3f8:0-8"),
    "bottle": Artwork("1f37c 1f37e:5-10 1f376:0-2,6-10", "1f9f4"),
    "wine glass": Artwork("1f377 1f378 1f942:1-8", "1f942:9-16"),
    "cup": Artwork("2615 1f964 1f943 1f95b", "1f375"),
    "fork": Artwork("1f374:left"),
    "knife": Artwork("1f52a"),
    "spoon": Artwork("1f944"),
    "bowl": Artwork("1f963 1f957 1f35a", "1f35c:0-4"),
    "banana": Artwork("1f34c"),
    "apple": Artwork("1f34e 1f34f"),
    "sandwich": Artwork("1f96a 1f354"),
    "orange": Artwork("1f34a"),
    "broccoli": Artwork("1f966"),
    "carrot": Artwork("1f955"),
    "hot dog": Artwork("1f32d"),
    "pizza": Artwork("1f355"),
    "donut": Artwork("1f369"),
    "cake": Artwork("1f370 1f382 1f9c1"),
    "chair": Artwork("1fa91 1f4ba"),
    "couch": Artwork("1f6cb:3-9"),
    "potted plant": Artwork("1fab4"),
    "bed": Artwork("1f6cf"),
    "toilet": Artwork("1f6bd"),
    "tv": Artwork("1f4fa 1f5a5"),
    "laptop": Artwork("1f4bb"),
    "mouse": Artwork("1f5b1"),
    "keyboard": Artwork("2328"),
    "cell phone": Artwork("1f4f1"),
    "book": Artwork("1f4d5 1f4d7 1f4d9 1f4d6 1f4da 1f4d2", "1f4d8 1f4d3"),
    "clock": Artwork("1f550 1f556 23f0 1f570", "1f553 1f55a"),
    "vase": Artwork("1f3fa 26b1"),
    "scissors": Artwork("2702"),
    "teddy bear": Artwork("1f9f8"),
    "toothbrush": Artwork("1faa5"),
}
"""COCO name of a class -> its drawings."""

FREE_COLOUR = frozenset(
    {
        "bicycle", "car", "motorcycle", "bus", "train", "truck", "boat", "backpack", "umbrella",
        "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
        "baseball bat", "skateboard", "surfboard", "tennis racket", "bottle", "cup", "bowl",
        "chair", "couch", "bed", "book", "vase", "scissors", "toothbrush",
    }
)  # fmt: skip
"""Classes whose things come in any colour; the others keep the hue of the drawing, nearly."""


def available_classes() -> list[str]:
    """Return the COCO names of all classes with artwork, in the order of their COCO ids."""
    return [name for _, name in COCO_CLASSES if name in ARTWORK]


def drawings(name: str, *, held_out: bool) -> tuple[str, ...]:
    """Return the drawings of a class: the shared ones, or those held out for validation.

    Args:
        name: COCO name of the class.
        held_out: return the held-out drawings (possibly none) instead of the shared ones.
    """
    artwork = ARTWORK[name]
    return tuple((artwork.held_out if held_out else artwork.shared).split())

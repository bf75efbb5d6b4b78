"""What stands in what: the table of objects that touch, so that boxes hold more than one class.

Two kinds. A *pair* puts a companion somewhere in the box of a base object. A *motif* splits one
drawing into two objects that were drawn together (a rider and a horse), in their exact positions.
"""

from typing import NamedTuple


class Pair(NamedTuple):
    """A companion in the box of a base object."""

    base: str
    companion: str
    x: float
    """Centre of the companion, as a fraction of the base's box."""
    y: float
    size: float
    """Square root of the companion's box area over that of the base's."""
    in_front: bool = True


PAIRS: tuple[Pair, ...] = (
    Pair("motorcycle", "person", 0.45, 0.15, 0.95),
    Pair("person", "tie", 0.5, 0.36, 0.28),
    Pair("person", "umbrella", 0.75, 0.05, 0.75),
    Pair("person", "tennis racket", 0.95, 0.4, 0.5),
    Pair("person", "baseball bat", 0.9, 0.35, 0.5),
    Pair("person", "backpack", 0.3, 0.38, 0.4),
    Pair("person", "handbag", 0.85, 0.6, 0.35),
    Pair("person", "suitcase", 1.0, 0.78, 0.5),
    Pair("person", "cell phone", 0.75, 0.4, 0.2),
    Pair("person", "skateboard", 0.5, 0.98, 0.6, False),
    Pair("person", "frisbee", 0.95, 0.35, 0.3),
    Pair("person", "sports ball", 0.9, 0.9, 0.28),
    Pair("person", "dog", 0.95, 0.8, 0.6),
    Pair("person", "surfboard", 0.75, 0.5, 0.8, False),
    Pair("couch", "cat", 0.4, 0.35, 0.42),
    Pair("couch", "dog", 0.6, 0.35, 0.5),
    Pair("couch", "person", 0.5, 0.3, 0.75),
    Pair("couch", "teddy bear", 0.7, 0.4, 0.35),
    Pair("couch", "book", 0.3, 0.55, 0.25),
    Pair("bed", "cat", 0.6, 0.35, 0.4),
    Pair("bed", "teddy bear", 0.35, 0.35, 0.38),
    Pair("chair", "cat", 0.5, 0.45, 0.55),
    Pair("chair", "teddy bear", 0.5, 0.45, 0.5),
    Pair("cow", "bird", 0.45, 0.05, 0.38),
    Pair("elephant", "bird", 0.4, 0.03, 0.3),
    Pair("zebra", "bird", 0.5, 0.2, 0.3),
    Pair("horse", "bird", 0.5, 0.15, 0.3),
    Pair("boat", "bird", 0.5, 0.15, 0.3),
    Pair("boat", "person", 0.5, 0.3, 0.6, False),
    Pair("car", "dog", 0.2, 0.8, 0.45),
    Pair("car", "surfboard", 0.5, 0.05, 0.6),
    Pair("truck", "bicycle", 0.35, 0.7, 0.5),
    Pair("laptop", "mouse", 0.98, 0.85, 0.28),
    Pair("laptop", "cup", 0.95, 0.65, 0.42),
    Pair("laptop", "cell phone", 0.1, 0.85, 0.32),
    Pair("laptop", "book", 0.3, 0.9, 0.5),
    Pair("keyboard", "mouse", 0.97, 0.6, 0.4),
    Pair("tv", "keyboard", 0.5, 1.0, 0.6),
    Pair("tv", "cat", 0.3, 0.1, 0.45),
    Pair("book", "cup", 0.6, 0.4, 0.55),
    Pair("book", "scissors", 0.5, 0.5, 0.55),
    Pair("book", "cell phone", 0.5, 0.45, 0.5),
    Pair("pizza", "fork", 0.7, 0.5, 0.55),
    Pair("cake", "fork", 0.85, 0.55, 0.6),
    Pair("cake", "spoon", 0.2, 0.6, 0.5),
    Pair("bowl", "spoon", 0.75, 0.3, 0.6),
    Pair("bowl", "apple", 0.45, 0.15, 0.45, False),
    Pair("bowl", "orange", 0.6, 0.15, 0.45, False),
    Pair("bowl", "banana", 0.4, 0.15, 0.6, False),
    Pair("bowl", "broccoli", 0.5, 0.2, 0.45),
    Pair("bowl", "carrot", 0.6, 0.2, 0.5, False),
    Pair("sandwich", "knife", 0.8, 0.5, 0.6),
    Pair("cup", "spoon", 0.75, 0.2, 0.6, False),
    Pair("cup", "donut", 0.85, 0.8, 0.6),
    Pair("bottle", "wine glass", 0.9, 0.65, 0.7),
    Pair("hot dog", "bottle", 0.1, 0.2, 0.6, False),
    Pair("cup", "toothbrush", 0.6, 0.1, 0.7, False),
    Pair("vase", "potted plant", 0.5, 0.0, 0.8, False),
    Pair("suitcase", "teddy bear", 0.5, 0.3, 0.5),
    Pair("backpack", "teddy bear", 0.5, 0.15, 0.5, False),
    Pair("potted plant", "cat", 0.8, 0.75, 0.6),
    Pair("dog", "frisbee", 0.15, 0.4, 0.4),
    Pair("dog", "sports ball", 0.1, 0.85, 0.35),
    Pair("bear", "donut", 0.5, 0.75, 0.35),
    Pair("giraffe", "bird", 0.5, 0.45, 0.25),
    Pair("traffic light", "bird", 0.5, 0.0, 0.5),
    Pair("stop sign", "bird", 0.5, 0.0, 0.4),
    Pair("train", "person", 0.3, 0.75, 0.5),
    Pair("bus", "person", 0.15, 0.7, 0.55),
    Pair("toilet", "book", 0.3, 0.15, 0.35),
    Pair("clock", "vase", 0.9, 0.7, 0.5),
    Pair("sheep", "dog", 0.95, 0.7, 0.7),
)


class Motif(NamedTuple):
    """Two objects drawn together: the one behind first."""

    code: str
    """Twemoji code points, without the skin tone."""
    behind: str
    behind_shapes: str
    front: str
    front_shapes: str
    held_out: str
    """Skin tones of validation, separated by spaces; none if the drawing has none."""
    shared: str
    """Skin tones of every split."""


_TONES = "1f3fb 1f3fd 1f3fe"
_HELD_OUT_TONES = "1f3fc 1f3ff"

MOTIFS: tuple[Motif, ...] = (
    Motif("1f6b4", "bicycle", "4-9", "person", "0-3,10-14", _HELD_OUT_TONES, _TONES),
    Motif("1f3c7", "horse", "0-7,9-11", "person", "8,12-22", _HELD_OUT_TONES, _TONES),
    Motif("1f6a3", "boat", "1,2,4", "person", "0,5-9", _HELD_OUT_TONES, _TONES),
    Motif("1f3c2", "snowboard", "2", "person", "0,3-14", _HELD_OUT_TONES, _TONES),
    Motif("26f7", "skis", "2,4", "person", "1,3,5-21", "", ""),
    Motif("1f3c4", "surfboard", "1-3", "person", "4-10", _HELD_OUT_TONES, _TONES),
)

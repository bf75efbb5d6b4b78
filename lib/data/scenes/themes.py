"""What scenes are about: which classes meet where, how large things are, and what stands in what.

Objects that touch make boxes that hold more than one class. A *pair* puts a companion somewhere in
the box of a base object. A *motif* splits one drawing into two objects that were drawn together (a
rider and a horse), in their exact positions.
"""

from typing import NamedTuple


class Theme(NamedTuple):
    """A kind of scene."""

    name: str
    classes: frozenset[str]
    backdrops: tuple[str, ...]
    """Names of painters in ``backdrops``."""
    photos: tuple[str, ...]
    """Names of files in ``photos``."""


def _theme(name: str, classes: str, backdrops: str) -> Theme:
    """Return a theme from comma-separated classes and space-separated painters and photographs."""
    names = backdrops.split()
    photos = tuple(name for name in names if "." in name)
    return Theme(
        name, frozenset(classes.split(", ")), tuple(n for n in names if n not in photos), photos
    )


THEMES: tuple[Theme, ...] = (
    _theme(
        "street",
        "person, car, bus, truck, motorcycle, bicycle, traffic light, stop sign, dog, backpack, "
        "handbag, umbrella, suitcase, train, bird",
        "street brick.png gravel.png rocket.jpg",
    ),
    _theme(
        "station",
        "train, bus, person, suitcase, backpack, clock, umbrella, tie",
        "street room brick.png rocket.jpg",
    ),
    _theme(
        "farm",
        "horse, cow, sheep, dog, cat, bird, person, truck, train",
        "meadow grass.png gravel.png",
    ),
    _theme(
        "safari",
        "elephant, zebra, giraffe, bear, bird, truck",
        "savanna meadow grass.png gravel.png",
    ),
    _theme(
        "coast",
        "boat, surfboard, person, bird, airplane, kite, umbrella",
        "sea beach gravel.png rocket.jpg",
    ),
    _theme("sky", "airplane, bird, kite, frisbee", "sky rocket.jpg"),
    _theme("winter", "skis, snowboard, person, bear, backpack, dog", "snow gravel.png brick.png"),
    _theme(
        "park",
        "person, dog, frisbee, kite, sports ball, skateboard, bicycle, baseball bat, "
        "tennis racket, bird, umbrella, horse, motorcycle",
        "meadow court grass.png gravel.png",
    ),
    _theme(
        "living room",
        "couch, tv, chair, potted plant, cat, dog, person, book, clock, vase, teddy bear, bed",
        "room brick.png coffee.png",
    ),
    _theme(
        "travel",
        "suitcase, backpack, handbag, umbrella, tie, toothbrush, teddy bear, toilet, bed, scissors",
        "room tiles cloth brick.png coffee.png",
    ),
    _theme(
        "kitchen",
        "bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, orange, broccoli, "
        "carrot, sandwich",
        "wood tiles cloth coffee.png brick.png",
    ),
    _theme(
        "picnic",
        "sandwich, hot dog, pizza, donut, cake, banana, apple, orange, carrot, broccoli, "
        "wine glass, bottle, cup, fork, knife, spoon",
        "cloth wood grass grass.png coffee.png",
    ),
    _theme(
        "desk",
        "laptop, mouse, keyboard, cell phone, book, cup, scissors, clock, tv, vase, potted plant",
        "wood cloth plain coffee.png brick.png",
    ),
)

COMMON = {"person": 2.0, "car": 1.3, "bird": 1.1, "dog": 1.1, "book": 1.1, "cup": 1.1}
"""The natural skew: how much more often than others a class is drawn (1 where not named)."""

NATURAL_SIZE = {
    "person": 1.2, "bicycle": 1.4, "car": 2.6, "motorcycle": 1.6, "airplane": 4.0, "bus": 4.0,
    "train": 4.5, "truck": 3.5, "boat": 3.5, "traffic light": 0.7, "stop sign": 0.8, "bird": 0.35,
    "cat": 0.45, "dog": 0.7, "horse": 1.9, "sheep": 1.0, "cow": 1.8, "elephant": 3.2, "bear": 1.5,
    "zebra": 1.7, "giraffe": 2.6, "backpack": 0.5, "umbrella": 0.9, "handbag": 0.4, "tie": 0.35,
    "suitcase": 0.65, "frisbee": 0.3, "skis": 1.0, "snowboard": 1.0, "sports ball": 0.28,
    "kite": 0.9, "baseball bat": 0.6, "skateboard": 0.6, "surfboard": 1.3, "tennis racket": 0.6,
    "bottle": 0.25, "wine glass": 0.2, "cup": 0.15, "fork": 0.15, "knife": 0.2, "spoon": 0.14,
    "bowl": 0.24, "banana": 0.16, "apple": 0.1, "sandwich": 0.17, "orange": 0.1, "broccoli": 0.14,
    "carrot": 0.15, "hot dog": 0.18, "pizza": 0.24, "donut": 0.12, "cake": 0.22, "chair": 0.9,
    "couch": 1.7, "potted plant": 0.5, "bed": 1.9, "toilet": 0.7, "tv": 0.8, "laptop": 0.35,
    "mouse": 0.12, "keyboard": 0.35, "cell phone": 0.15, "book": 0.25, "clock": 0.3, "vase": 0.3,
    "scissors": 0.2, "teddy bear": 0.4, "toothbrush": 0.18,
}  # fmt: skip
"""Size of a class in metres, roughly: orders the sizes of objects within a scene."""

AIRBORNE = frozenset({"airplane", "bird", "kite", "frisbee", "sports ball"})
"""Classes that may stand above the horizon."""


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

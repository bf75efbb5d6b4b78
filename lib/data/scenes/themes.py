"""What scenes are about: which classes meet where, on which backdrops, and how large things are."""

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

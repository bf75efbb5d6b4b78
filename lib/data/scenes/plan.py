"""What a scene holds: its theme, its backdrop, its objects, their companions and doubles."""

import math
from dataclasses import dataclass

import numpy as np

from lib.data.scenes import backdrops, cutouts, photos
from lib.data.scenes.artwork import drawings
from lib.data.scenes.layout import Layer, Stage, at_centre, box_iou, cut
from lib.data.scenes.settings import SceneSettings
from lib.data.scenes.themes import (
    AIRBORNE,
    COMMON,
    MOTIFS,
    NATURAL_SIZE,
    PAIRS,
    THEMES,
    Motif,
    Pair,
    Theme,
)
from lib.seeds import derive

_ATTEMPTS = 14
"""How often a place is sought for a group of objects; it shrinks a little every few attempts."""

_RESTARTS = 12
"""How often a scene without room for its objects is started afresh."""

_AMBIGUOUS_FROM = 0.55
"""Box IoU aimed at by doubles: a little above 0.5, since occlusion changes boxes."""


@dataclass
class Plan:
    """A scene before it is painted."""

    stage: Stage
    picture: np.ndarray
    """The backdrop, float32 [H, W, 3] RGB in 0..255."""
    background: str
    """Name of the backdrop."""


class Planner:
    """Fills one scene.

    Args:
        rng: source of all randomness of the scene.
        settings: the dials.
        classes: COCO names of the classes in use.
        unseen: use held-out backdrops and, for a share of objects, held-out drawings.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        settings: SceneSettings,
        classes: tuple[str, ...],
        unseen: bool,
    ) -> None:
        self.rng = rng
        self.settings = settings
        self.classes = classes
        self.unseen = unseen
        self.horizon: float | None = None
        self.theme: Theme = THEMES[0]
        self.stage = Stage(settings)

    def scene(self, lead: str) -> Plan:
        """Return a plan with at least one object of class ``lead``."""
        rng, settings = self.rng, self.settings
        fitting = [theme for theme in THEMES if lead in theme.classes]
        self.theme = fitting[rng.integers(len(fitting))]
        if rng.random() < settings.photo_share:
            file = self.theme.photos[rng.integers(len(self.theme.photos))]
            (picture, horizon), background = photos.photo(
                rng, settings.width, settings.height, self.unseen, file=file
            )
        else:
            background = self.theme.backdrops[rng.integers(len(self.theme.backdrops))]
            picture, horizon = backdrops.PAINTERS[background](
                rng, settings.width, settings.height, self.unseen
            )
        self.horizon = horizon
        for _ in range(_RESTARTS):
            self.stage = Stage(settings)
            self._fill(lead)
            names = [layer.name for layer in self.stage.layers]
            if lead in names and len(names) >= settings.objects_min:
                return Plan(self.stage, picture, background)
        raise ValueError(
            f"No scene of {settings.width} x {settings.height} pixels has room for "
            f"{settings.objects_min} objects. Lower objects_min or size_max."
        )

    def _fill(self, lead: str) -> None:
        """Place objects, the far ones first, until the scene holds as many as drawn."""
        wanted = int(self.rng.integers(self.settings.objects_min, self.settings.objects_max + 1))
        names = [lead, *(self._class() for _ in range(wanted - 1))]
        sized = [(self._size(name), name) for name in names]
        # Landscapes are filled from far (small) to near; on tables small things lie on large ones.
        sized.sort(reverse=self.horizon is None)
        for size, name in sized:
            waiting = name != lead and all(layer.name != lead for layer in self.stage.layers)
            self._place(name, size, room=wanted - len(self.stage.layers) - waiting)
        for _ in range(_ATTEMPTS):
            if len(self.stage.layers) < self.settings.objects_min:
                name = self._class()
                self._place(name, self._size(name), room=1)

    def _class(self) -> str:
        """Draw the class of an object: mostly one of the theme's."""
        of_theme = [name for name in self.classes if name in self.theme.classes]
        strays = self.rng.random() >= self.settings.theme_share or not of_theme
        options = list(self.classes) if strays else of_theme
        weights = np.array([_weight(name) for name in options])
        return options[self.rng.choice(len(options), p=weights / weights.sum())]

    def _size(self, name: str) -> float:
        """Draw the size of an object in pixels: log-uniform, then moved by its natural size."""
        low, high = math.log(self.settings.size_min), math.log(self.settings.size_max)
        typical = float(np.mean([math.log(NATURAL_SIZE[c]) for c in self.theme.classes]))
        shift = self.settings.natural_size * (math.log(NATURAL_SIZE[name]) - typical)
        drawn = self.rng.uniform(low, high) + shift
        # Reflected at the ends, so that sizes do not pile up there.
        drawn = 2 * low - drawn if drawn < low else 2 * high - drawn if drawn > high else drawn
        scene = math.sqrt(self.settings.width * self.settings.height)
        return math.exp(float(np.clip(drawn, low, high))) * scene

    def _drawing(self, name: str) -> str:
        """Draw one of the drawings of a class."""
        held_out = drawings(name, held_out=True)
        use = self.unseen and held_out and self.rng.random() < self.settings.held_out_share
        options = held_out if use else drawings(name, held_out=False)
        return options[self.rng.integers(len(options))]

    def _place(self, name: str, size: float, *, room: int) -> None:
        """Find a place for an object, with its companion or double if it gets one.

        Args:
            name: its class.
            size: square root of its box area in pixels.
            room: how many objects may still enter.
        """
        rng, settings = self.rng, self.settings
        kind = rng.random()
        smallest = settings.size_min * math.sqrt(settings.width * settings.height)
        for attempt in range(_ATTEMPTS if room > 0 else 0):
            shrunk = max(size * 0.9 ** (attempt // 4), smallest)
            with_other = attempt < _ATTEMPTS // 2 and room > 1
            group = None
            if with_other and kind < settings.ambiguous_share:
                group = self._double(name, shrunk)
            elif with_other and kind < settings.ambiguous_share + settings.pair_share:
                group = self._pair(name, shrunk)
            group = group or [self._single(name, shrunk)]
            if not self.stage.crowded(group) and self.stage.add(group):
                return

    def _single(self, name: str, size: float) -> Layer:
        """Return an object on a random place that suits it."""
        drawing = self._drawing(name)
        rgba = self._cut(drawing, size)
        x, y = self._centre(name, rgba.shape[1], rgba.shape[0], size)
        return at_centre(name, drawing, rgba, x, y)

    def _cut(self, drawing: str, size: float) -> np.ndarray:
        """Return a drawing at a size, turned, mirrored and perhaps out of focus."""
        rng, settings = self.rng, self.settings
        soft = rng.random() < settings.soft_share
        softness = float(rng.uniform(0.4, 1.1)) * min(1.0, size / 40)
        return cut(
            drawing,
            size=size,
            angle=self._angle(),
            flip=rng.random() < 0.5,
            softness=softness if soft else 0.0,
        )

    def _angle(self) -> float:
        """Draw a turn in degrees; things on a table may lie any way round."""
        limit = self.settings.angle * (1 if self.horizon is not None else 2)
        return float(self.rng.uniform(-limit, limit))

    def _centre(self, name: str, width: int, height: int, size: float) -> tuple[float, float]:
        """Draw the centre of an object: on the ground, in the air, or anywhere on a table."""
        rng, settings = self.rng, self.settings
        x = rng.uniform(0.3 * width, settings.width - 0.3 * width)
        if self.horizon is None:
            return float(x), float(rng.uniform(0.35 * height, settings.height - 0.35 * height))
        top = self.horizon * settings.height
        if name in AIRBORNE and rng.random() < 0.7:
            return float(x), float(rng.uniform(0.4 * height, max(0.5 * height, top)))
        # The larger an object looks, the nearer it is, and the lower it stands in the picture.
        scene = math.sqrt(settings.width * settings.height)
        near = math.log(size / scene / settings.size_min)
        near /= math.log(settings.size_max / settings.size_min) + 1e-9
        depth = np.clip(0.75 * near + rng.uniform(0, 0.4), 0.03, 1.06)
        bottom = top + (settings.height - top) * depth
        return float(x), float(bottom - height / 2)

    def _double(self, name: str, size: float) -> list[Layer] | None:
        """Return an object and another one in nearly the same box, or None if none fits."""
        first = self._single(name, size)
        x1, y1, x2, y2 = first.box
        for _ in range(8):
            other = name if self.rng.random() < 0.4 else self._class()
            drawing = self._drawing(other)
            side = math.sqrt((x2 - x1) * (y2 - y1))
            rgba = self._cut(drawing, side * self.rng.uniform(0.85, 1.15))
            shift = self.rng.uniform(-0.2, 0.2, 2)
            centre = (x1 + x2) / 2 + shift[0] * (x2 - x1), (y1 + y2) / 2 + shift[1] * (y2 - y1)
            second = at_centre(other, drawing, rgba, *centre)
            if box_iou(first.box, second.box) >= _AMBIGUOUS_FROM:
                return [first, second]
        return None

    def _pair(self, name: str, size: float) -> list[Layer] | None:
        """Return an object with a companion or a base from the tables, or None if it has none."""
        rng = self.rng
        pairs = [p for p in PAIRS if name in (p.base, p.companion) and self._in_use(*p[:2])]
        motifs = [
            m for m in MOTIFS if name in (m.behind, m.front) and self._in_use(m.behind, m.front)
        ]
        if not pairs and not motifs:
            return None
        if motifs and (not pairs or rng.random() < 0.5):
            return self._motif(motifs[rng.integers(len(motifs))], size)
        return self._companions(pairs[rng.integers(len(pairs))], name, size)

    def _in_use(self, first: str, second: str) -> bool:
        return first in self.classes and second in self.classes

    def _companions(self, pair: Pair, name: str, size: float) -> list[Layer]:
        """Return the two objects of a pair; ``size`` is that of the object called ``name``."""
        rng = self.rng
        base_size = size if name == pair.base else size / pair.size
        limit = self.settings.size_max * math.sqrt(self.settings.width * self.settings.height)
        base = self._single(pair.base, min(base_size, limit * 1.2))
        x1, y1, x2, y2 = base.box
        companion_size = pair.size * math.sqrt((x2 - x1) * (y2 - y1)) * rng.uniform(0.85, 1.15)
        drawing = self._drawing(pair.companion)
        rgba = self._cut(drawing, companion_size)
        across = pair.x if rng.random() < 0.5 else 1 - pair.x
        companion = at_centre(
            pair.companion,
            drawing,
            rgba,
            x1 + (across + rng.normal(0, 0.04)) * (x2 - x1),
            y1 + (pair.y + rng.normal(0, 0.04)) * (y2 - y1),
        )
        return [base, companion] if pair.in_front else [companion, base]

    def _motif(self, motif: Motif, size: float) -> list[Layer]:
        """Return the two objects of a motif, in the positions in which they were drawn."""
        rng = self.rng
        held_out = self.unseen and rng.random() < self.settings.held_out_share
        tones = (motif.held_out if held_out else motif.shared).split()
        code = f"{motif.code}-{tones[rng.integers(len(tones))]}" if tones else motif.code
        parts = (
            (motif.behind, f"{code}:{motif.behind_shapes}"),
            (motif.front, f"{code}:{motif.front_shapes}"),
        )
        frames = [cutouts.load(drawing).frame for _, drawing in parts]
        x1, y1 = min(f[0] for f in frames), min(f[1] for f in frames)
        x2, y2 = max(f[2] for f in frames), max(f[3] for f in frames)
        scale = size * 1.2 / math.sqrt((x2 - x1) * (y2 - y1))
        flip = rng.random() < 0.5
        centre = self._centre(
            motif.front, round((x2 - x1) * scale), round((y2 - y1) * scale), size * 1.2
        )
        layers = []
        for (name, drawing), frame in zip(parts, frames, strict=True):
            width, height = (frame[2] - frame[0]) * scale, (frame[3] - frame[1]) * scale
            rgba = cutouts.transform(
                cutouts.load(drawing).rgba, width=width, height=height, angle=0, flip=flip
            )
            dx = ((frame[0] + frame[2]) - (x1 + x2)) / 2 * scale * (-1 if flip else 1)
            dy = ((frame[1] + frame[3]) - (y1 + y2)) / 2 * scale
            layers.append(at_centre(name, drawing, rgba, centre[0] + dx, centre[1] + dy))
        return layers


def _weight(name: str) -> float:
    """Return how often a class is drawn: its natural share, evened out over the themes."""
    return COMMON.get(name, 1.0) / max(1, sum(name in theme.classes for theme in THEMES))


def plan(
    *, seed: int, split: str, index: int, settings: SceneSettings, classes: tuple[str, ...]
) -> tuple[Plan, np.random.Generator]:
    """Return the plan of one scene, and the generator of randomness to paint it with.

    The scene depends on the arguments alone. Every run of ``len(classes)`` consecutive scenes
    features every class once, so that even rare ones occur in every split.
    """
    round_number, position = divmod(index, len(classes))
    order = np.random.default_rng(derive(seed, "order", split, round_number))
    lead = classes[order.permutation(len(classes))[position]]
    rng = np.random.default_rng(derive(seed, "scene", split, index))
    planner = Planner(rng, settings=settings, classes=classes, unseen=split == "val")
    return planner.scene(lead), rng

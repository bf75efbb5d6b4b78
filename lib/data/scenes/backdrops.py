"""Painted backdrops: landscapes, rooms, tables; each from a palette that belongs to one side.

Every painter is a function ``(rng, width, height, held_out) -> (picture, horizon)``. The picture is
float32 [H, W, 3] RGB in 0..255; the horizon is a fraction of the height, or None where things may
lie anywhere (a table seen from above). ``held_out`` selects the palettes of validation.
"""

from collections.abc import Callable

import numpy as np

from lib.data.scenes.materials import choose, coordinates, mix, noise, ramp, stripes

Painted = tuple[np.ndarray, float | None]


def _sky(rng: np.random.Generator, width: int, height: int, held_out: bool) -> np.ndarray:
    top, bottom = choose(rng, "sky", held_out)
    picture = mix(top, bottom, ramp(width, height, 90))
    clouds = noise(rng, width, height, cell=height * 0.45, octaves=5, stretch=1.8)
    cover = np.clip((clouds - rng.uniform(0.45, 0.75)) * 3, 0, 0.85)
    return mix(picture, np.array([250, 248, 245], np.float32), cover)


def _ground(
    rng: np.random.Generator, width: int, height: int, colours: np.ndarray, *, grain: float
) -> np.ndarray:
    """Paint ground whose features grow towards the viewer."""
    far = noise(rng, width, height, cell=5, octaves=2, stretch=4)
    near = noise(rng, width, height, cell=12, octaves=3, stretch=1.6)
    broad = noise(rng, width, height, cell=height * 0.6, octaves=2, stretch=3)
    detail = far + (near - far) * ramp(width, height, 90)
    return mix(colours[0], colours[1], np.clip(0.5 + (broad - 0.5) + grain * (detail - 0.5), 0, 1))


def _landscape(
    rng: np.random.Generator,
    width: int,
    height: int,
    held_out: bool,
    *,
    material: str,
    grain: float,
) -> Painted:
    """Paint sky above ground, with hills between them."""
    horizon = float(rng.uniform(0.25, 0.5))
    rows = round(horizon * height)
    colours = choose(rng, material, held_out)
    picture = np.concatenate(
        [
            _sky(rng, width, rows, held_out),
            _ground(rng, width, height - rows, colours, grain=grain),
        ]
    )
    for layer in range(int(rng.integers(0, 3))):
        ridge = noise(rng, width, 1, cell=1, octaves=1, stretch=width / rng.uniform(3, 8))[0]
        top = rows - ridge * height * rng.uniform(0.05, 0.16) / (layer + 1)
        inside = np.clip(np.arange(rows)[:, None] - top[None], 0, 1).astype(np.float32)
        hill = colours[0] * rng.uniform(0.6, 0.85) * (1 - 0.25 * layer) + 45
        picture[:rows] = mix(picture[:rows], np.clip(hill, 0, 255).astype(np.float32), inside)
    return picture, horizon


def meadow(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint grassland under a sky."""
    return _landscape(rng, width, height, held_out, material="field", grain=1.1)


def savanna(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint dry grassland under a sky."""
    return _landscape(rng, width, height, held_out, material="dry", grain=1.0)


def snow(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint snow under a sky."""
    return _landscape(rng, width, height, held_out, material="snow", grain=0.3)


def court(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a sports ground with white lines under a sky."""
    picture, horizon = _landscape(rng, width, height, held_out, material="court", grain=0.25)
    assert horizon is not None
    rows = np.arange(height)[:, None] - horizon * height
    columns = np.arange(width)[None] - width * rng.uniform(0.3, 0.7)
    ground = rows > 4
    for slope in rng.uniform(-2.5, 2.5, 3):
        line = np.abs(columns - slope * rows) < 0.6 + rows * 0.012
        picture[line & ground] = (235, 235, 228)
    cross = np.abs(rows[:, 0] - height * rng.uniform(0.15, 0.4)) < 1.6
    picture[cross] = (235, 235, 228)
    return picture, horizon


def beach(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a sky, a strip of sea, and sand."""
    picture, horizon = _landscape(rng, width, height, held_out, material="sand", grain=0.4)
    assert horizon is not None
    top, rows = round(horizon * height), round(height * rng.uniform(0.08, 0.2))
    picture[top : top + rows] = _waves(rng, width, rows, held_out)
    return picture, horizon


def sea(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint waves under a sky."""
    horizon = float(rng.uniform(0.25, 0.5))
    rows = round(horizon * height)
    upper, lower = _sky(rng, width, rows, held_out), _waves(rng, width, height - rows, held_out)
    return np.concatenate([upper, lower]), horizon


def _waves(rng: np.random.Generator, width: int, height: int, held_out: bool) -> np.ndarray:
    deep, light = choose(rng, "water", held_out)
    far = noise(rng, width, height, cell=3, octaves=2, stretch=7)
    near = noise(rng, width, height, cell=9, octaves=3, stretch=4)
    swell = far + (near - far) * ramp(width, height, 90)
    return mix(deep, light, np.clip((swell - 0.35) * 1.4, 0, 1))


def sky(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a sky alone."""
    return _sky(rng, width, height, held_out), None


def street(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint houses, a pavement and a road."""
    horizon = float(rng.uniform(0.38, 0.55))
    rows = round(horizon * height)
    picture = np.concatenate(
        [
            _sky(rng, width, rows, held_out),
            _ground(rng, width, height - rows, choose(rng, "road", held_out), grain=0.5),
        ]
    )
    town = choose(rng, "town", held_out)
    left = -int(rng.integers(0, 40))
    while left < width:
        span, top = int(width * rng.uniform(0.1, 0.24)), int(rows * rng.uniform(0.05, 0.65))
        right = min(left + span, width)
        house = picture[top:rows, max(left, 0) : right]
        colour = town[rng.integers(len(town))] * rng.uniform(0.75, 1.15)
        house[:] = np.clip(colour, 0, 255)
        step = max(6, height // 16)
        glass = np.clip(colour * 0.55 + rng.uniform(0, 60), 0, 255)
        for y in range(4, house.shape[0] - step // 2, step):
            for x in range(4, house.shape[1] - step // 2, step):
                house[y : y + step // 2, x : x + step // 2] = glass
        left += span + int(rng.integers(0, 3))
    kerb = rows + max(2, round(height * 0.05))
    picture[rows:kerb] = picture[rows:kerb] * 0.4 + 105
    middle = round(height * (0.35 * horizon + 0.65))
    dash = stripes(np.arange(width, dtype=np.float32), width / 6, 0.6) > 0.5
    picture[middle : middle + max(2, height // 90), dash] = (225, 222, 205)
    return picture, horizon


def room(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a papered wall above a wooden floor."""
    horizon = float(rng.uniform(0.4, 0.6))
    rows = round(horizon * height)
    light, dark = choose(rng, "wall", held_out)
    along, across = coordinates(width, rows, float(rng.choice([0, 0, 45])))
    pattern = stripes(along, width / rng.uniform(8, 24), rng.uniform(0.3, 0.6))
    if rng.random() < 0.3:
        pattern = pattern * stripes(across, width / rng.uniform(8, 24), 0.5)
    wall = mix(light, dark, pattern * rng.uniform(0, 1))
    wall *= 1.05 - 0.2 * ramp(width, rows, float(rng.uniform(0, 360)))[..., None]
    floor = _planks(rng, width, height - rows, held_out, angle=0.0)
    skirting = max(2, height // 40)
    wall[-skirting:] = wall[-skirting:] * 0.3 + 165
    return np.concatenate([wall, floor]), horizon


def _planks(
    rng: np.random.Generator, width: int, height: int, held_out: bool, angle: float
) -> np.ndarray:
    dark, light = choose(rng, "wood", held_out)
    along, across = coordinates(width, height, angle)
    board = max(8.0, height * float(rng.uniform(0.12, 0.3)))
    number = np.floor(across / board).astype(int)
    tone = rng.random(512).astype(np.float32)[number % 512]
    warp = noise(rng, width, height, cell=height * 0.3, octaves=2, stretch=2)
    grain = 0.5 + 0.5 * np.sin(across * 0.9 + warp * 16 + tone * 30 + along * 0.01)
    speckle = noise(rng, width, height, cell=2, octaves=1, stretch=8)
    picture = mix(dark, light, np.clip(0.25 + 0.35 * tone + 0.2 * grain + 0.3 * speckle, 0, 1))
    gap = stripes(across + board / 2, board, 2.5 / board)
    return picture * (1 - 0.45 * gap[..., None])


def wood(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a wooden table seen from above."""
    return _planks(rng, width, height, held_out, float(rng.choice([0, 90, 20, -15]))), None


def cloth(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a striped or chequered tablecloth."""
    colour, ground = choose(rng, "cloth", held_out)
    along, across = coordinates(width, height, float(rng.uniform(-30, 30)))
    period = height / rng.uniform(4, 11)
    first, second = stripes(along, period), stripes(across, period)
    weight = (first + second) / 2 if rng.random() < 0.7 else first
    weave = noise(rng, width, height, cell=2, octaves=1)
    folds = noise(rng, width, height, cell=height * 0.5, octaves=2)
    picture = mix(ground, colour, weight * rng.uniform(0.45, 0.9))
    return picture * (0.82 + 0.1 * weave + 0.14 * folds)[..., None], None


def tiles(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a tiled floor."""
    first, second = choose(rng, "tile", held_out)
    along, across = coordinates(width, height, float(rng.choice([0, 45])))
    side = height / rng.uniform(3, 7)
    column, row = np.floor(along / side).astype(int), np.floor(across / side).astype(int)
    tone = rng.random((64, 64)).astype(np.float32)[column % 64, row % 64]
    chequer = ((column + row) % 2).astype(np.float32) * (rng.random() < 0.6)
    picture = mix(first, second, np.clip(chequer * 0.9 + 0.25 * tone, 0, 1))
    joints = np.maximum(stripes(along, side, 3 / side), stripes(across, side, 3 / side))
    marble = noise(rng, width, height, cell=height * 0.2, octaves=4)
    return picture * (0.9 + 0.14 * marble - 0.25 * joints)[..., None], None


def grass(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint a lawn seen from above."""
    dark, light = choose(rng, "field", held_out)
    blades = noise(rng, width, height, cell=4, octaves=2)
    broad = noise(rng, width, height, cell=height * 0.4, octaves=2)
    return mix(dark * 0.85, light, np.clip(0.7 * blades + 0.5 * broad - 0.1, 0, 1)), None


def plain(rng: np.random.Generator, width: int, height: int, held_out: bool) -> Painted:
    """Paint soft, out-of-focus colours."""
    first, second = choose(rng, "plain", held_out)
    blobs = noise(rng, width, height, cell=height * 0.5, octaves=3)
    return mix(first, second, blobs), None


PAINTERS: dict[str, Callable[[np.random.Generator, int, int, bool], Painted]] = {
    painter.__name__: painter
    for painter in (
        meadow, savanna, snow, court, beach, sea, sky, street, room, wood, cloth, tiles, grass,
        plain,
    )
}  # fmt: skip
"""All painters by name."""

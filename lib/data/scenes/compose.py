"""How scenes look: colours of objects, their dimness, shadows, light, noise and blur.

Nothing here moves an object: masks come from ``layout`` alone.
"""

import math

import cv2
import numpy as np

from lib.data.scenes.artwork import FREE_COLOUR
from lib.data.scenes.layout import Layer, window
from lib.data.scenes.materials import noise, ramp
from lib.data.scenes.plan import Plan
from lib.data.scenes.settings import SceneSettings

_BANDS = 6
"""Colour draws fall into bands; every third one is kept for validation."""


def banded(rng: np.random.Generator, limit: float, *, held_out: bool) -> float:
    """Draw from -limit..limit, from bands that training and validation do not share.

    The range is cut into ``_BANDS`` equal bands; validation draws from bands 1 and 4, training
    from the others, so that validation shows colours between those of training.
    """
    bands = [b for b in range(_BANDS) if (b % 3 == 1) == held_out]
    band = bands[rng.integers(len(bands))]
    return float(((band + rng.random()) / _BANDS * 2 - 1) * limit)


def paint(
    plan: Plan, rng: np.random.Generator, *, settings: SceneSettings, unseen: bool
) -> np.ndarray:
    """Return the finished scene, uint8 RGB [H, W, 3].

    Args:
        plan: backdrop and objects.
        rng: source of randomness.
        settings: the dials.
        unseen: draw colours from the bands of validation.
    """
    canvas = plan.picture.copy()
    for layer in plan.stage.layers:
        _draw(canvas, layer, rng, backdrop=plan.picture, settings=settings, unseen=unseen)
    return _photograph(canvas, rng, settings)


def _draw(
    canvas: np.ndarray,
    layer: Layer,
    rng: np.random.Generator,
    *,
    backdrop: np.ndarray,
    settings: SceneSettings,
    unseen: bool,
) -> None:
    """Draw one object and its shadow on the canvas, in place."""
    colours = _recoloured(layer, rng, settings=settings, unseen=unseen)
    whole = Layer(layer.name, layer.drawing, layer.x, layer.y, colours)
    place = window(whole, settings.width, settings.height)
    if place is None:
        return
    rows, columns, rgba = place
    alpha = rgba[..., 3:]
    _cast_shadow(canvas, layer, rng, settings)
    under = canvas[rows, columns]
    dimness = _dimness(layer, rng, settings)
    if dimness > 0:
        reach = max(9, int(0.5 * max(layer.rgba.shape[:2])) | 1)
        behind = backdrop[rows, columns]
        around = cv2.blur(behind, (reach, reach))
        # Towards the colour around it, and a little of the background's own texture.
        target = around + settings.dim_texture * (behind - around)
        rgba = rgba.copy()
        rgba[..., :3] = (1 - dimness) * rgba[..., :3] + dimness * alpha * target
    canvas[rows, columns] = under * (1 - alpha) + rgba[..., :3]


def _recoloured(
    layer: Layer, rng: np.random.Generator, *, settings: SceneSettings, unseen: bool
) -> np.ndarray:
    """Return a layer's rgba in 0..255 (alpha in 0..1) with its hue, tone and shading varied."""
    alpha = layer.rgba[..., 3:]
    plain = np.clip(layer.rgba[..., :3] / np.maximum(alpha, 1e-3), 0, 1)
    hsv = cv2.cvtColor(plain, cv2.COLOR_RGB2HSV)
    limit = settings.hue_free if layer.name in FREE_COLOUR else settings.hue
    hsv[..., 0] = (hsv[..., 0] + banded(rng, limit, held_out=unseen)) % 360
    hsv[..., 1] *= 1 + rng.uniform(-1, 0.3) * settings.saturation
    hsv[..., 2] *= 1 + banded(rng, settings.brightness, held_out=unseen)
    plain = cv2.cvtColor(np.clip(hsv, 0, (360, 1, 1)).astype(np.float32), cv2.COLOR_HSV2RGB)
    height, width = plain.shape[:2]
    light = 0.78 + 0.4 * ramp(width, height, float(rng.uniform(200, 340)))
    grain = 0.94 + 0.12 * noise(rng, width, height, cell=max(4.0, height / 5), octaves=2)
    plain = np.clip(plain * 245 * (light * grain)[..., None], 0, 255)
    return np.concatenate([plain * alpha, alpha], axis=2).astype(np.float32)


def _dimness(layer: Layer, rng: np.random.Generator, settings: SceneSettings) -> float:
    """Draw how far an object's colours go towards the background's (0: not at all)."""
    scene = math.sqrt(settings.width * settings.height)
    size = math.sqrt(layer.rgba.shape[0] * layer.rgba.shape[1]) / scene
    near = math.log(max(size, settings.size_min) / settings.size_min)
    near = min(near / (math.log(settings.size_max / settings.size_min) + 1e-9), 1.0)
    share = settings.dim_share * (1 + settings.dim_small * (1 - 2 * near))
    dim = rng.random() < share
    highest = settings.dim_max - 0.5 * near * (settings.dim_max - settings.dim_min)
    amount = float(rng.uniform(settings.dim_min, highest))
    return amount if dim else 0.0


def _cast_shadow(
    canvas: np.ndarray, layer: Layer, rng: np.random.Generator, settings: SceneSettings
) -> None:
    """Darken the canvas beside and below an object, in place."""
    height, width = layer.rgba.shape[:2]
    reach = max(2.0, 0.06 * math.sqrt(height * width))
    margin = math.ceil(2.5 * reach)
    silhouette = cv2.copyMakeBorder(
        layer.rgba[..., 3], margin, margin, margin, margin, cv2.BORDER_CONSTANT
    )
    silhouette = cv2.GaussianBlur(silhouette, (0, 0), reach * 0.7)
    dx, dy = rng.uniform(-0.6, 0.6) * reach, rng.uniform(0.3, 1.0) * reach
    shadow = Layer(
        layer.name,
        layer.drawing,
        layer.x - margin + round(dx),
        layer.y - margin + round(dy),
        np.repeat(silhouette[..., None], 4, axis=2),
    )
    place = window(shadow, settings.width, settings.height)
    if place is not None:
        rows, columns, part = place
        canvas[rows, columns] *= 1 - settings.shadow * rng.uniform(0.4, 1) * part[..., 3:]


def _photograph(
    canvas: np.ndarray, rng: np.random.Generator, settings: SceneSettings
) -> np.ndarray:
    """Return the canvas as a camera sees it: uneven light, blur and noise; uint8."""
    height, width = canvas.shape[:2]
    light = 1 + settings.shade * (ramp(width, height, float(rng.uniform(0, 360))) - 0.55)
    if rng.random() < 0.6:
        patches = noise(rng, width, height, cell=height * 0.45, octaves=2)
        cover = np.clip((patches - 0.5) * 4, 0, 1)
        light = light * (1 - settings.shade * rng.uniform(0.3, 1) * cover)
    cast = rng.normal(1, 0.03, 3).astype(np.float32)
    picture: np.ndarray = canvas * light[..., None] * cast * rng.uniform(0.95, 1.2)
    sigma = float(rng.uniform(0, settings.blur))
    if sigma > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    picture = picture + grain * np.float32(rng.uniform(0.2, 1) * settings.noise)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)

"""One picture, many boxes: the two ways of running GrabCut behind one name."""

import importlib.metadata
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from lib.code import used_files
from lib.masks.grabcut.exact import METHOD, GrabCutSettings, grabcut
from lib.masks.grabcut.fast import FastGrabCut
from lib.paths import ROOT

_PACKAGES = ("numpy", "pillow", "pycocotools")  # OpenCV: see describe


class Segmenter(Protocol):
    """A picture that is ready for masks of its boxes."""

    def mask(self, box: Sequence[float], *, seed: int) -> np.ndarray:
        """Return the foreground in a box, bool [H, W]; see `lib.masks.grabcut.exact.grabcut`."""


@dataclass(frozen=True)
class _Exact:
    image: np.ndarray
    iterations: int

    def mask(self, box: Sequence[float], *, seed: int) -> np.ndarray:
        return grabcut(self.image, box, iterations=self.iterations, seed=seed)


def prepare(image: np.ndarray, settings: GrabCutSettings) -> Segmenter:
    """Return a picture with all that its boxes share computed once.

    Args:
        image: uint8 [H, W, 3], RGB.
        settings: the method and its iterations.
    """
    if settings.method == "exact":
        return _Exact(image, settings.iterations)
    return FastGrabCut(image, iterations=settings.iterations)


def warm_up(settings: GrabCutSettings) -> float:
    """Make the mask of a drawn picture, so that nothing is compiled later, and return the seconds.

    The first call in a process compiles the fast method, or loads what an earlier one compiled.
    """
    start = time.perf_counter()
    picture = np.random.default_rng(0).integers(0, 90, (48, 64, 3)).astype(np.uint8)
    picture[12:36, 16:48] += 120
    prepare(picture, settings).mask((10.0, 8.0, 54.0, 40.0), seed=0)
    return time.perf_counter() - start


def describe(settings: GrabCutSettings, *, seed: int) -> dict[str, Any]:
    """Return what a file says of how its masks were made."""
    own = asdict(settings)
    variant = own.pop("method")
    return {"method": METHOD, "variant": variant, **own, "seed": seed, "opencv": cv2.__version__}


def made_by(settings: GrabCutSettings, *, seed: int, module: str) -> dict[str, Any]:
    """Return by name all but the pictures and boxes that could change a mask, for fingerprints.

    Args:
        settings: of GrabCut.
        seed: base seed.
        module: the module that makes the masks, whose code and that of all it imports counts.
    """
    files = used_files([f"import {module}"], ROOT)
    packages = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return files | packages | describe(settings, seed=seed)

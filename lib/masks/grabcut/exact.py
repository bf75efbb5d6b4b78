"""GrabCut from a box, on the whole image, with OpenCV (paper A, Sec. 2; Rother et al. 2004).

The box is the initial rectangle: pixels outside it are background for good, pixels inside are
"probably foreground". Then colour models and a minimum cut alternate for a few rounds. The whole
image is given, not a crop around the box: the background's colours and the smoothness term are
learnt from it, and a crop gives other masks, above all for small objects.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

METHOD = "grabcut"
"""Name of the method in files."""

Variant = Literal["fast", "exact"]


@dataclass(frozen=True, kw_only=True)
class GrabCutSettings:
    """What decides a mask besides the picture, the box and the seed.

    Attributes:
        iterations: rounds of colour models and cut. The paper does not say; 5 is common.
        method: ``exact`` is OpenCV on the whole image; ``fast`` finds the same masks, up to what
            another seed changes, at the cost of the box (`lib.masks.grabcut.fast`).
    """

    iterations: int = 5
    method: Variant = "fast"

    def __post_init__(self) -> None:
        if self.method not in get_args(Variant):
            raise ValueError(
                f"The method of GrabCut is {self.method!r}: expected one of "
                f"{', '.join(get_args(Variant))}."
            )
        if self.iterations < 1:
            raise ValueError(
                f"GrabCut was asked for {self.iterations} iterations; it needs at least 1."
            )


def grabcut(image: np.ndarray, box: Sequence[float], *, iterations: int, seed: int) -> np.ndarray:
    """Return the foreground that OpenCV's GrabCut finds in a box: the reference.

    Boxes from which nothing can be learnt give an empty mask and never an error: a box of a
    single pixel, a box that leaves no background (the whole image), one outside the image, and an
    image of one colour.

    Args:
        image: uint8 [H, W, 3], RGB. It is handed to OpenCV as BGR, the order in which OpenCV reads
            files, so that masks can be compared with those of other programs.
        box: xyxy in pixels; see `rectangle` for the rounding.
        iterations: rounds of colour models and cut.
        seed: of the k-means that starts the colour models, in [0, 2**31).

    Returns:
        bool [H, W], true only inside the rectangle.
    """
    height, width = image.shape[:2]
    nothing = np.zeros((height, width), dtype=bool)
    if leaves_nothing(box, height=height, width=width) or (image == image[0, 0]).all():
        return nothing
    labels = np.zeros((height, width), dtype=np.uint8)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))  # the colour models, five each
    cv2.setRNGSeed(seed)
    try:
        cv2.grabCut(
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
            labels,
            rectangle(box, height=height, width=width),
            background,
            foreground,
            iterations,
            cv2.GC_INIT_WITH_RECT,
        )
    except cv2.error:  # for example no foreground left after a round: nothing was found
        return nothing
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def leaves_nothing(box: Sequence[float], *, height: int, width: int) -> bool:
    """Say whether a box is a single pixel, outside its image, or all of it: no mask to look for.

    Args:
        box: xyxy in pixels.
        height: of the image.
        width: of the image.
    """
    _, _, w, h = rectangle(box, height=height, width=width)
    single_pixel = w * h <= 1 or (box[2] - box[0]) * (box[3] - box[1]) <= 1
    return single_pixel or w * h == height * width


def rectangle(box: Sequence[float], *, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the whole pixels that a box touches, inside the image.

    The minimum is rounded down and the maximum up, so that no pixel of the object is declared
    background by rounding; a box in whole pixels is kept as it is.

    Args:
        box: xyxy in pixels.
        height: of the image.
        width: of the image.

    Returns:
        x, y, width, height in pixels, as OpenCV takes it; width or height is 0 outside the image.
    """
    x1, y1 = max(math.floor(box[0]), 0), max(math.floor(box[1]), 0)
    x2, y2 = min(math.ceil(box[2]), width), min(math.ceil(box[3]), height)
    return x1, y1, max(x2 - x1, 0), max(y2 - y1, 0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenCV use one thread inside the block: the cores are shared out over images."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)

"""GrabCut of a box in a whole image, at the cost of the box.

The masks are those of OpenCV's ``grabCut`` on the whole image, up to the chance by which two seeds
of it differ. Pixels outside the rectangle are background for good, so they need no cut; they matter
in three ways, which are all kept: the background's colours are learnt from them (from counts, see
`lib.masks.grabcut.colour_models`), the smoothness term is scaled by the mean squared difference of
neighbours over the whole image (OpenCV's beta), and links lead from the rectangle's rim to them.
What is computed once per image serves all its boxes.

In flat drawings a few boxes differ by more than chance, probably because OpenCV's densities become
0 far from all components, where here their logarithms are still compared.
"""

from collections.abc import Sequence

import numpy as np

from lib.masks.grabcut.colour_models import (
    ColourModel,
    Colours,
    kmeans,
    learn,
    moments_of,
    relearn,
    summed,
)
from lib.masks.grabcut.cut import GridCut
from lib.masks.grabcut.exact import leaves_nothing, rectangle
from lib.masks.grabcut.links import GAMMA, fill, link_weights

_LIMIT = 2 * 4 * GAMMA  # above the sum of all links of a pixel: more decides no more
_FEW_COLOURS = 1 << 14  # of an image: each is its own group
_DROPPED_BITS = 2  # of each channel: colours that agree in the others are a group


class FastGrabCut:
    """An image, ready for masks of any number of its boxes."""

    def __init__(self, image: np.ndarray, *, iterations: int) -> None:
        """Count the image's colours and measure its contrast.

        Args:
            image: uint8 [H, W, 3], RGB.
            iterations: rounds of colour models and cut.
        """
        self._image = np.ascontiguousarray(image)
        self._iterations = iterations
        packed = np.zeros(image.shape[:2], dtype=np.int32)
        for channel in range(3):
            packed = (packed << 8) | self._image[:, :, channel]
        codes, colours = _numbered(packed.ravel())
        self._code = codes.reshape(packed.shape)
        self._colours = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255]).astype(float)
        self._group = _groups(colours)
        moments = moments_of(self._colours, np.bincount(codes, minlength=len(colours)))
        self._moments = summed(moments, self._group, self._group.max() + 1)
        self._links = link_weights(self._image)

    def mask(self, box: Sequence[float], *, seed: int) -> np.ndarray:
        """Return the foreground in a box; see `lib.masks.grabcut.exact.grabcut`.

        Args:
            box: xyxy in pixels.
            seed: of the k-means that starts the colour models.

        Returns:
            bool [H, W], true only inside the rectangle.
        """
        height, width = self._image.shape[:2]
        mask = np.zeros((height, width), dtype=bool)
        one_colour = self._colours.shape[1] == 1
        if one_colour or leaves_nothing(box, height=height, width=width):
            return mask
        x, y, w, h = rectangle(box, height=height, width=width)
        mask[y : y + h, x : x + w] = self._inside((y, x, h, w), seed)
        return mask

    def _inside(self, place: tuple[int, int, int, int], seed: int) -> np.ndarray:
        y, x, h, w = place
        grid = GridCut(h, w)
        outward = fill(grid, self._image, y, x, self._links)
        code = self._code[y : y + h, x : x + w]
        counts = np.bincount(code.ravel(), minlength=self._colours.shape[1])
        used = np.flatnonzero(counts)
        code = (np.cumsum(counts > 0, dtype=np.int32) - 1)[code]
        colours, group = np.ascontiguousarray(self._colours[:, used]), self._group[used]
        once = moments_of(colours, np.ones(len(used)))
        moments = once * counts[used]
        foreground = _start(Colours(colours, moments), seed)
        background = _start(Colours.grouped(self._without(moments, group)), seed)
        found = np.ones((h, w), dtype=bool)
        for _ in range(self._iterations):
            counts = np.bincount(code[found], minlength=len(used))
            if not counts.any():  # nothing to learn from any more, in OpenCV neither
                break
            np.multiply(once, counts, out=moments)
            foreground = relearn(foreground, moments)
            background = relearn(background, self._without(moments, group))
            gain = foreground.log_density(colours) - background.log_density(colours)
            found = grid.foreground(gain.clip(-_LIMIT, _LIMIT)[code] - outward)
        return found

    def _without(self, moments: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Return the moments of the image's groups without some pixels' moments, [10, N]."""
        left: np.ndarray = self._moments - summed(moments, group, self._moments.shape[1])
        return left


def _start(colours: Colours, seed: int) -> ColourModel:
    return learn(colours, kmeans(colours, seed=seed))


def _groups(packed: np.ndarray) -> np.ndarray:
    """Return a group for each of an image's colours: its own if they are few, else of close ones.

    The background is relearnt from the whole image in every round of every box. Groups share a
    component; what is learnt from their pixels is exact.
    """
    if len(packed) <= _FEW_COLOURS:
        return np.arange(len(packed), dtype=np.int32)
    keep = 256 - (1 << _DROPPED_BITS)
    kept = packed & np.int32(keep << 16 | keep << 8 | keep)
    return _numbered(kept)[0]


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each value's number in the order in which they first occur, and the values by number.

    Args:
        values: int32 [N].
    """
    found, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return np.argsort(order).astype(np.int32)[inverse], found[order]

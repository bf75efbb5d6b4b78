"""GrabCut of a box in a whole image, at the cost of the box.

The masks are those of OpenCV's ``grabCut`` on the whole image, up to the chance by which two seeds
of it differ. Pixels outside the rectangle are background for good, so they need no cut; they matter
in three ways, which are all kept: the background's colours are learnt from them (from counts, see
`lib.masks.colour_models`), the smoothness term is scaled by the mean squared difference of
neighbours over the whole image (OpenCV's beta), and links lead from the rectangle's rim to them.
What is computed once per image serves all its boxes.

In flat drawings a few boxes differ by more than chance, probably because OpenCV's densities become
0 far from all components, where here their logarithms are still compared.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numba import njit

from lib.masks.colour_models import Colours, kmeans, learn, moments_of, relearn, summed
from lib.masks.grabcut import leaves_nothing, rectangle
from lib.masks.mincut import DIRECTIONS, SCALE, GridCut

_GAMMA = 50.0  # as in OpenCV: the most that a link can weigh
_STEPS = np.array(DIRECTIONS, dtype=np.int64)
_LIMIT = 2 * 4 * _GAMMA  # above the sum of all links of a pixel: more decides no more
_LARGEST_DIFFERENCE = 3 * 255**2
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
        codes, colours = pd.factorize(packed.ravel())
        self._code = codes.astype(np.int32).reshape(packed.shape)
        self._colours = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255]).astype(float)
        self._group = _groups(colours)
        moments = moments_of(self._colours, np.bincount(codes, minlength=len(colours)))
        self._moments = summed(moments, self._group, self._group.max() + 1)
        self._links = link_weights(self._image)

    def mask(self, box: Sequence[float], *, seed: int) -> np.ndarray:
        """Return the foreground in a box; see `lib.masks.grabcut.grabcut`.

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
        outward = np.zeros((h, w))
        _fill_links(self._image, y, x, self._links, _STEPS, grid.links, outward)
        outward /= SCALE  # not in compiled code, which is kept when SCALE changes in its module
        code = self._code[y : y + h, x : x + w]
        counts = np.bincount(code.ravel(), minlength=self._colours.shape[1])
        used = np.flatnonzero(counts)
        code = (np.cumsum(counts > 0) - 1)[code]
        colours = np.ascontiguousarray(self._colours[:, used])
        once, group = moments_of(colours, np.ones(len(used))), self._group[used]
        inside = Colours.counted(colours, counts[used])
        outside = Colours.grouped(self._without(inside.moments, group))
        foreground = learn(inside, kmeans(inside, seed=seed))
        background = learn(outside, kmeans(outside, seed=seed))
        found = np.ones((h, w), dtype=bool)
        for _ in range(self._iterations):
            counts = np.bincount(code[found], minlength=len(used))
            if not counts.any():  # nothing to learn from any more, in OpenCV neither
                break
            moments = once * counts
            foreground = relearn(foreground, moments)
            background = relearn(background, self._without(moments, group))
            gain = foreground.log_density(colours) - background.log_density(colours)
            found = grid.foreground(gain.clip(-_LIMIT, _LIMIT)[code] - outward)
        return found

    def _without(self, moments: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Return the moments of the image's groups without some pixels' moments, [10, N]."""
        left: np.ndarray = self._moments - summed(moments, group, self._moments.shape[1])
        return left


def link_weights(image: np.ndarray) -> np.ndarray:
    """Return what links weigh by the squared difference of the colours that they join.

    OpenCV: gamma / length * exp(-beta * difference), with beta such that the mean squared
    difference of all neighbours in the image gives exp(-1 / 2), and 0 for an image of one colour.

    Args:
        image: uint8 [H, W, 3].

    Returns:
        int32 [2, N], whole units of 1 / SCALE, for straight and diagonal links. Larger differences
        weigh what the last one does.
    """
    beta = smoothness(image)
    nothing = math.log(2 * _GAMMA * SCALE) / beta if beta > 0 else 0  # from there on less than 1/2
    straight = _GAMMA * np.exp(-beta * np.arange(min(math.ceil(nothing), _LARGEST_DIFFERENCE) + 1))
    weights = np.stack([straight, straight / np.sqrt(2)]) * SCALE
    return np.rint(weights).astype(np.int32)


def smoothness(image: np.ndarray) -> float:
    """Return OpenCV's beta: half the inverse of the mean squared difference of neighbours.

    Args:
        image: uint8 [H, W, 3].

    Returns:
        beta, 0 for an image without differences.
    """
    height, width = image.shape[:2]
    pairs = 4 * width * height - 3 * width - 3 * height + 2
    total = _sum_of_differences(image, _STEPS)
    return pairs / (2 * total) if total > 0 else 0.0


def _groups(packed: np.ndarray) -> np.ndarray:
    """Return a group for each of an image's colours: its own if they are few, else of close ones.

    The background is relearnt from the whole image in every round of every box. Groups share a
    component; what is learnt from their pixels is exact.
    """
    if len(packed) <= _FEW_COLOURS:
        return np.arange(len(packed))
    keep = 256 - (1 << _DROPPED_BITS)
    return np.asarray(pd.factorize(packed & (keep << 16 | keep << 8 | keep))[0])


@njit(cache=True)
def _difference(image: np.ndarray, y: int, x: int, other_y: int, other_x: int) -> int:
    total = 0
    for channel in range(3):
        step = int(image[y, x, channel]) - int(image[other_y, other_x, channel])
        total += step * step
    return total


@njit(cache=True)
def _sum_of_differences(image: np.ndarray, steps: np.ndarray) -> int:
    """Return the sum of squared differences over all pairs of neighbours, each once."""
    height, width = image.shape[:2]
    total = 0
    for y in range(height):
        for x in range(width):
            for d in range(4):
                other_y, other_x = y + steps[d, 0], x + steps[d, 1]
                if other_y < height and 0 <= other_x < width:
                    total += _difference(image, y, x, other_y, other_x)
    return total


@njit(cache=True)
def _fill_links(
    image: np.ndarray,
    top: int,
    left: int,
    weights: np.ndarray,
    steps: np.ndarray,
    links: np.ndarray,
    outward: np.ndarray,
) -> None:
    """Write the links inside a rectangle, and the sum of those from each pixel to outside it."""
    height, width = image.shape[:2]
    for y in range(links.shape[0]):
        for x in range(links.shape[1]):
            for d in range(8):
                other_y, other_x = top + y + steps[d, 0], left + x + steps[d, 1]
                if not (0 <= other_y < height and 0 <= other_x < width):
                    continue
                diagonal = 1 if steps[d, 0] != 0 and steps[d, 1] != 0 else 0
                difference = _difference(image, top + y, left + x, other_y, other_x)
                weight = weights[diagonal, min(difference, weights.shape[1] - 1)]
                inside_y = 0 <= y + steps[d, 0] < links.shape[0]
                if inside_y and 0 <= x + steps[d, 1] < links.shape[1]:
                    links[y, x, d] = weight
                else:
                    outward[y, x] += weight

"""Colour models of GrabCut, learnt from counted colours instead of pixels.

OpenCV's GrabCut describes foreground and background by five Gaussians each, started by k-means and
relearnt in every round from the pixels that lie nearest to each (Rother et al. 2004; OpenCV's
``grabcut.cpp``). All that enters is how often each colour occurs. A photograph has far fewer
colours than pixels, they are counted once for all its boxes, and those outside a box are the
image's less the box's own: the models are those learnt from pixels, for a fraction of the work.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

COMPONENTS = 5
"""Gaussians in a model, as in OpenCV."""

_KMEANS_ROUNDS = 10  # as in OpenCV
_KMEANS_STARTS = 3
_KMEANS_TRIALS = 3  # candidates for each further centre, as in OpenCV
_SINGULAR_BELOW, _SINGULAR_ADD = 1e-6, 0.01  # as in OpenCV: on determinant and variances


@dataclass(frozen=True)
class ColourModel:
    """A mixture of Gaussians over colours.

    Attributes:
        weights: float [K], share of the pixels; 0 for a component without any.
        means: float [K, 3].
        precisions: float [K, 6], inverse covariances: xx, xy, xz, yy, yz, zz.
        log_scales: float [K], logarithm of each density's largest value, up to a common constant.
    """

    weights: np.ndarray
    means: np.ndarray
    precisions: np.ndarray
    log_scales: np.ndarray

    def log_density(self, colours: np.ndarray) -> np.ndarray:
        """Return the logarithm of the mixture's density, up to a common constant.

        Args:
            colours: float [3, N], one row per channel.

        Returns:
            float [N]; very small, not minus infinity, far from all components.
        """
        used = np.flatnonzero(self.weights > 0)
        parts = np.empty((len(used), colours.shape[1]))
        _log_densities(colours, self.means[used], self.precisions[used], parts)
        parts += (self.log_scales[used] + np.log(self.weights[used]))[:, None]
        largest = parts.max(axis=0)
        parts -= largest
        np.exp(parts, out=parts)
        total: np.ndarray = largest + np.log(parts.sum(axis=0))
        return total


@dataclass(frozen=True)
class Colours:
    """Colours and how often they occur; one may stand for a group of colours close to each other.

    Attributes:
        points: float [3, N], one row per channel; of a group, the mean.
        moments: float [10, N], of the pixels: count, sums, sums of products (xx, xy, xz, yy, yz,
            zz). Whole numbers, so that sums and differences are exact.
    """

    points: np.ndarray
    moments: np.ndarray

    @classmethod
    def counted(cls, points: np.ndarray, counts: np.ndarray) -> "Colours":
        """Return those of some colours that occur.

        Args:
            points: float [3, N].
            counts: [N].
        """
        some = np.flatnonzero(counts)
        points = np.ascontiguousarray(points[:, some])
        return cls(points, moments_of(points, counts[some]))

    @classmethod
    def grouped(cls, moments: np.ndarray) -> "Colours":
        """Return groups with known moments, [10, N], without those that have no pixel."""
        moments = np.ascontiguousarray(moments[:, moments[0] > 0])
        return cls(moments[1:4] / moments[0], moments)


def moments_of(points: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the moments of colours [3, N] that occur ``counts`` [N] times each, [10, N]."""
    x, y, z = points
    powers = np.stack([np.ones_like(x), x, y, z, x * x, x * y, x * z, y * y, y * z, z * z])
    return powers * counts


def summed(moments: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the sums of moments [R, N] over the colours of each group, [R, groups].

    Args:
        moments: one row for each moment.
        group: int [N], below ``groups``.
        groups: how many there are.
    """
    out = np.zeros((len(moments), groups))
    _add(moments, group, out)
    return out


def learn(colours: Colours, component: np.ndarray) -> ColourModel:
    """Return the model of colours that were assigned to components.

    Args:
        colours: at least one.
        component: int [N], below COMPONENTS.
    """
    return _model(summed(colours.moments, component, COMPONENTS).T)


def relearn(model: ColourModel, colours: Colours) -> ColourModel:
    """Return the model of colours assigned to the component of ``model`` that is densest there.

    As in OpenCV, the densities are compared without the components' weights.
    """
    used = np.flatnonzero(model.weights > 0)
    parts = np.empty((len(used), colours.points.shape[1]))
    _log_densities(colours.points, model.means[used], model.precisions[used], parts)
    parts += model.log_scales[used][:, None]
    return learn(colours, used[_largest(parts)])


def kmeans(colours: Colours, *, seed: int) -> np.ndarray:
    """Return a cluster, below COMPONENTS, for each colour: k-means++ and ten rounds of k-means.

    What OpenCV does with pixels, but for the best of several starts, so that less is chance.

    Args:
        colours: at least one.
        seed: of the draws.

    Returns:
        int [N].
    """
    random = np.random.default_rng(seed)
    tries = [_one_kmeans(colours, random) for _ in range(_KMEANS_STARTS)]
    return min(tries, key=lambda found: found[0])[1]


def _one_kmeans(colours: Colours, random: np.random.Generator) -> tuple[float, np.ndarray]:
    """Return the sum of squared distances from the centres, and the clusters.

    The first centre is drawn from the pixels, each further one is the best of three drawn with
    probability proportional to the squared distance from the centres so far.
    """
    points, counts = colours.points, colours.moments[0]
    centres = np.empty((min(COMPONENTS, points.shape[1]), 3))
    centres[0] = points[:, _draw(counts, random)]
    distances = _squared_distances(points, centres[0])
    for place in range(1, len(centres)):
        weights = counts * distances
        candidates = [_draw(weights, random) for _ in range(_KMEANS_TRIALS)]
        tried = [
            np.minimum(distances, _squared_distances(points, points[:, at])) for at in candidates
        ]
        best = int(np.argmin([(counts * distance).sum() for distance in tried]))
        centres[place], distances = points[:, candidates[best]], tried[best]
    labels, distances = _nearest(points, centres)
    for _ in range(_KMEANS_ROUNDS):
        sums = summed(colours.moments[:4], labels, len(centres)).T
        filled = sums[:, 0] > 0  # an empty cluster keeps its centre
        centres[filled] = sums[filled, 1:4] / sums[filled, :1]
        before = labels
        labels, distances = _nearest(points, centres)
        if np.array_equal(before, labels):
            break
    return float((counts * distances).sum()), labels


def _draw(weights: np.ndarray, random: np.random.Generator) -> int:
    """Return an index drawn in proportion to weights; any if all are 0."""
    running = np.cumsum(weights)
    drawn = np.searchsorted(running, random.random() * running[-1], side="right")
    return int(min(drawn, len(weights) - 1))


def _squared_distances(colours: np.ndarray, centre: np.ndarray) -> np.ndarray:
    distances: np.ndarray = ((colours - centre[:, None]) ** 2).sum(axis=0)
    return distances


def _model(moments: np.ndarray) -> ColourModel:
    """Return the model from counts, sums and sums of products per component, [K, 10]."""
    filled = moments[:, 0] > 0
    counts = np.maximum(moments[:, :1], 1)
    means = moments[:, 1:4] / counts
    products = moments[:, [4, 5, 6, 5, 7, 8, 6, 8, 9]].reshape(-1, 3, 3) / counts[:, :, None]
    covariances = products - means[:, :, None] * means[:, None, :]
    covariances[~filled] = np.eye(3)
    covariances[np.linalg.det(covariances) <= _SINGULAR_BELOW] += _SINGULAR_ADD * np.eye(3)
    inverse = np.linalg.inv(covariances)
    return ColourModel(
        weights=moments[:, 0] / moments[:, 0].sum(),
        means=means,
        precisions=inverse.reshape(-1, 9)[:, [0, 1, 2, 4, 5, 8]],
        log_scales=-0.5 * np.log(np.linalg.det(covariances)),
    )


@njit(cache=True)
def _log_densities(
    colours: np.ndarray, means: np.ndarray, precisions: np.ndarray, out: np.ndarray
) -> None:
    """Write the exponent of each Gaussian at each colour, [K, N]."""
    for k in range(means.shape[0]):
        a, b, c, d, e, f = precisions[k]
        for i in range(colours.shape[1]):
            x = colours[0, i] - means[k, 0]
            y = colours[1, i] - means[k, 1]
            z = colours[2, i] - means[k, 2]
            out[k, i] = -0.5 * (
                a * x * x + d * y * y + f * z * z + 2 * (b * x * y + c * x * z + e * y * z)
            )


@njit(cache=True)
def _largest(values: np.ndarray) -> np.ndarray:
    """Return the row of the largest value in each column, the first of several, int [N]."""
    best = values[0].copy()
    row = np.zeros(values.shape[1], dtype=np.int64)
    for k in range(1, values.shape[0]):
        for i in range(values.shape[1]):
            if values[k, i] > best[i]:
                best[i] = values[k, i]
                row[i] = k
    return row


@njit(cache=True)
def _nearest(colours: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest centre of each colour, the first of several, and its squared distance."""
    best = np.full(colours.shape[1], np.inf)
    row = np.zeros(colours.shape[1], dtype=np.int64)
    for k in range(centres.shape[0]):
        for i in range(colours.shape[1]):
            x = colours[0, i] - centres[k, 0]
            y = colours[1, i] - centres[k, 1]
            z = colours[2, i] - centres[k, 2]
            distance = x * x + y * y + z * z
            if distance < best[i]:
                best[i] = distance
                row[i] = k
    return row, best


@njit(cache=True)
def _add(moments: np.ndarray, group: np.ndarray, out: np.ndarray) -> None:
    for row in range(moments.shape[0]):
        for i in range(moments.shape[1]):
            out[row, group[i]] += moments[row, i]

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


def relearn(model: ColourModel, moments: np.ndarray) -> ColourModel:
    """Return the model of colours assigned to the component of ``model`` that is densest there.

    As in OpenCV, the densities are compared without the components' weights.

    Args:
        model: the one before.
        moments: see `Colours`; colours without a pixel are passed over.
    """
    used = np.flatnonzero(model.weights > 0)
    sums = np.zeros((COMPONENTS, len(moments)))
    sums[used] = _sums_of_densest(
        moments, model.means[used], model.precisions[used], model.log_scales[used]
    )
    return _model(sums)


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
    centres[0] = points[:, _draw(counts, random, 1)[0]]
    distances = np.full(points.shape[1], np.inf)
    _come_closer(points, counts, centres[0], distances)
    for place in range(1, len(centres)):
        weights = counts * distances
        best = np.inf
        for at in _draw(weights, random, _KMEANS_TRIALS):
            tried = distances.copy()
            total = _come_closer(points, counts, points[:, at], tried)
            if total < best:
                best, nearest = total, tried
                centres[place] = points[:, at]
        distances = nearest
    labels = np.full(points.shape[1], -1)
    changed, total, sums = _nearest(points, colours.moments, centres, labels)
    for _ in range(_KMEANS_ROUNDS):
        filled = sums[:, 0] > 0  # an empty cluster keeps its centre
        centres[filled] = sums[filled, 1:] / sums[filled, :1]
        changed, total, sums = _nearest(points, colours.moments, centres, labels)
        if not changed:
            break
    return total, labels


def _draw(weights: np.ndarray, random: np.random.Generator, times: int) -> np.ndarray:
    """Return indices drawn in proportion to weights; any if all are 0."""
    running = np.cumsum(weights)
    drawn = np.searchsorted(running, random.random(times) * running[-1], side="right")
    return np.minimum(drawn, len(weights) - 1)


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
def _exponent(x: float, y: float, z: float, precision: np.ndarray) -> float:
    """Return the exponent of a Gaussian at a distance from its mean."""
    a, b, c, d, e, f = precision
    return -0.5 * (a * x * x + d * y * y + f * z * z + 2 * (b * x * y + c * x * z + e * y * z))


@njit(cache=True)
def _log_densities(
    colours: np.ndarray, means: np.ndarray, precisions: np.ndarray, out: np.ndarray
) -> None:
    """Write the exponent of each Gaussian at each colour, [K, N]."""
    for k in range(means.shape[0]):
        for i in range(colours.shape[1]):
            x = colours[0, i] - means[k, 0]
            y = colours[1, i] - means[k, 1]
            z = colours[2, i] - means[k, 2]
            out[k, i] = _exponent(x, y, z, precisions[k])


@njit(cache=True)
def _sums_of_densest(
    moments: np.ndarray, means: np.ndarray, precisions: np.ndarray, log_scales: np.ndarray
) -> np.ndarray:
    """Return the sums of the moments of the colours at which each Gaussian is densest, [K, 10]."""
    sums = np.zeros((means.shape[0], moments.shape[0]))
    for i in range(moments.shape[1]):
        count = moments[0, i]
        if count == 0:
            continue
        red, green, blue = moments[1, i] / count, moments[2, i] / count, moments[3, i] / count
        largest, densest = -np.inf, 0
        for k in range(means.shape[0]):
            x, y, z = red - means[k, 0], green - means[k, 1], blue - means[k, 2]
            density = _exponent(x, y, z, precisions[k]) + log_scales[k]
            if density > largest:
                largest, densest = density, k
        for m in range(moments.shape[0]):
            sums[densest, m] += moments[m, i]
    return sums


@njit(cache=True)
def _come_closer(
    points: np.ndarray, counts: np.ndarray, centre: np.ndarray, distances: np.ndarray
) -> float:
    """Lower squared distances to those from one more centre; return their sum over pixels."""
    total = 0.0
    for i in range(points.shape[1]):
        x = points[0, i] - centre[0]
        y = points[1, i] - centre[1]
        z = points[2, i] - centre[2]
        distances[i] = min(distances[i], x * x + y * y + z * z)
        total += counts[i] * distances[i]
    return total


@njit(cache=True)
def _nearest(
    points: np.ndarray, moments: np.ndarray, centres: np.ndarray, labels: np.ndarray
) -> tuple[bool, float, np.ndarray]:
    """Write the nearest centre of each colour, the first of several.

    Returns:
        Whether any label changed, the sum over pixels of the squared distance, and the sums of
        counts and channels per centre, [K, 4].
    """
    changed, total = False, 0.0
    sums = np.zeros((centres.shape[0], 4))
    for i in range(points.shape[1]):
        lowest, row = np.inf, 0
        for k in range(centres.shape[0]):
            x = points[0, i] - centres[k, 0]
            y = points[1, i] - centres[k, 1]
            z = points[2, i] - centres[k, 2]
            distance = x * x + y * y + z * z
            if distance < lowest:
                lowest, row = distance, k
        changed |= labels[i] != row
        labels[i] = row
        total += moments[0, i] * lowest
        for m in range(4):
            sums[row, m] += moments[m, i]
    return changed, total, sums


@njit(cache=True)
def _add(moments: np.ndarray, group: np.ndarray, out: np.ndarray) -> None:
    for i in range(moments.shape[1]):
        for row in range(moments.shape[0]):
            out[row, group[i]] += moments[row, i]

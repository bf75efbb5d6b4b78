"""Colour models of GrabCut, learnt from counted colours instead of pixels.

OpenCV's GrabCut describes foreground and background by five Gaussians each, started by k-means and
relearnt in every round from the pixels that lie nearest to each (Rother et al. 2004; OpenCV's
``grabcut.cpp``). All that enters is how often each colour occurs. A photograph has far fewer
colours than pixels, they are counted once for all its boxes, and those outside a box are the
image's less the box's own: the models are those learnt from pixels, for a fraction of the work.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.compiled import FLOAT, INT, CFile, read, written

COMPONENTS = 5
"""Gaussians in a model, as in OpenCV."""

_KMEANS_ROUNDS = 10  # as in OpenCV
_KMEANS_STARTS = 3
_KMEANS_TRIALS = 3  # candidates for each further centre, as in OpenCV
_SINGULAR_BELOW, _SINGULAR_ADD = 1e-6, 0.01  # as in OpenCV: on determinant and variances

_C = CFile(Path(__file__).with_name("colour_models.c"))
_POINTS, _GAUSSIANS, _VALUES = read(np.float64, 2), read(np.float64, 2), read(np.float64, 1)
_TABLE = written(np.float64, 2)
_log_densities = _C.function("log_densities", [_POINTS, INT, _GAUSSIANS, _GAUSSIANS, INT, _TABLE])
_sums_of_densest = _C.function(
    "sums_of_densest", [_POINTS, INT, INT, _GAUSSIANS, _GAUSSIANS, _VALUES, INT, _TABLE]
)
_kmeans = _C.function(
    "kmeans",
    [
        *(_POINTS, _POINTS, INT, _VALUES, INT, INT, INT),
        *(written(np.int32, 1), _TABLE, _TABLE, _TABLE),
    ],
    returns=FLOAT,
)
_add = _C.function("add", [_POINTS, INT, INT, read(np.int32, 1), _TABLE, INT])


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
        means, precisions = self.means[used], self.precisions[used]
        _log_densities(colours, colours.shape[1], means, precisions, len(used), parts)
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
    def grouped(cls, moments: np.ndarray) -> "Colours":
        """Return groups with known moments, [10, N], without those that have no pixel."""
        moments = np.ascontiguousarray(moments[:, moments[0] > 0])
        return cls(moments[1:4] / moments[0], moments)


def moments_of(points: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the moments of colours [3, N] that occur ``counts`` [N] times each, [10, N]."""
    x, y, z = points
    powers = np.stack([np.ones_like(x), x, y, z, x * x, x * y, x * z, y * y, y * z, z * z])
    powers *= counts
    return powers


def summed(moments: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the sums of moments [R, N] over the colours of each group, [R, groups].

    Args:
        moments: one row for each moment.
        group: int [N], below ``groups``.
        groups: how many there are.
    """
    out = np.zeros((len(moments), groups))
    _add(moments, *moments.shape, group.astype(np.int32, copy=False), out, groups)
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
    found = np.zeros((len(used), len(moments)))
    means, precisions, scales = model.means[used], model.precisions[used], model.log_scales[used]
    _sums_of_densest(moments, *moments.shape, means, precisions, scales, len(used), found)
    sums = np.zeros((COMPONENTS, len(moments)))
    sums[used] = found
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
    """Return the sum over pixels of the squared distance from the centres, and the clusters."""
    count = colours.points.shape[1]
    clusters = min(COMPONENTS, count)
    labels = np.empty(count, dtype=np.int32)
    total = _kmeans(
        *(colours.points, colours.moments, count),
        *(random.random(1 + _KMEANS_TRIALS * (clusters - 1)), _KMEANS_TRIALS),
        *(clusters, _KMEANS_ROUNDS, labels),
        *(np.empty((clusters, 3)), np.empty((clusters, 4)), np.empty((4, count))),
    )
    return total, labels


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

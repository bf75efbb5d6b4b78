"""Colour models from one pixel after the other, to hold the real ones against."""

import numpy as np

from lib.masks.grabcut.colour_models import Colours, moments_of

COUNT = 5

Gaussians = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Weights [K], means [K, 3] and covariances [K, 3, 3]."""


def colours_of(points: np.ndarray, counts: np.ndarray) -> Colours:
    """Colours [3, N] that occur so many times each, without those that do not occur."""
    return Colours.grouped(moments_of(points, counts))


def gaussians_of(pixels: np.ndarray, component: np.ndarray) -> Gaussians:
    """Those of pixels [N, 3] with their components, with OpenCV's variance for thin ones."""
    weights, means = np.zeros(COUNT), np.zeros((COUNT, 3))
    covariances = np.tile(np.eye(3), (COUNT, 1, 1))
    for k in range(COUNT):
        own = [pixel for pixel, number in zip(pixels, component, strict=True) if number == k]
        if own:
            weights[k] = len(own) / len(pixels)
            means[k] = sum(own) / len(own)
            covariances[k] = sum(np.outer(p - means[k], p - means[k]) for p in own) / len(own)
            if np.linalg.det(covariances[k]) <= 1e-6:
                covariances[k] += 0.01 * np.eye(3)
    return weights, means, covariances


def from_opencv(numbers: np.ndarray) -> Gaussians:
    """Read OpenCV's 65 numbers: 5 weights, 5 x 3 means, 5 x 9 covariances."""
    flat = numbers.ravel()
    return flat[:5], flat[5:20].reshape(5, 3), flat[20:].reshape(5, 3, 3)


def to_opencv(gaussians: Gaussians) -> np.ndarray:
    """Write OpenCV's 65 numbers, [1, 65]. Channels are in the order of the pixels."""
    return np.concatenate([part.ravel() for part in gaussians])[None]

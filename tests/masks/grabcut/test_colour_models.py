from collections.abc import Callable

import cv2
import numpy as np
import pytest

from lib.masks.grabcut import colour_models
from lib.masks.grabcut.colour_models import (
    COMPONENTS,
    ColourModel,
    Colours,
    kmeans,
    learn,
    moments_of,
    relearn,
)
from tests.masks.grabcut.gaussians import (
    Gaussians,
    colours_of,
    from_opencv,
    gaussians_of,
    to_opencv,
)


def palette(rng: np.random.Generator, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Different colours [3, N] around a few centres, and how often each occurs."""
    centres = rng.uniform(30, 225, (6, 3))
    drawn = (centres[rng.integers(0, 6, count)] + rng.normal(0, 14, (count, 3))).clip(0, 255)
    colours = np.unique(drawn.round(), axis=0)
    colours = colours[rng.permutation(len(colours))]
    return np.ascontiguousarray(colours.T), rng.integers(1, 9, len(colours)).astype(float)


def pixels_of(colours: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The pixels [N, 3] that were counted."""
    return np.repeat(colours.T, counts.astype(int), axis=0)


def covariances_of(model: ColourModel) -> np.ndarray:
    return np.linalg.inv(model.precisions[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3))


def assert_same(model: ColourModel, naive: Gaussians) -> None:
    weights, means, covariances = naive
    used = weights > 0
    assert np.allclose(model.weights, weights, rtol=1e-12)
    assert np.allclose(model.means[used], means[used], rtol=1e-10)
    assert np.allclose(covariances_of(model)[used], covariances[used], rtol=1e-6, atol=1e-8)
    halves = -0.5 * np.linalg.slogdet(covariances)[1]
    assert np.allclose(model.log_scales[used], halves[used], atol=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_a_group_of_colours_shares_a_component_and_nothing_else_is_lost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    colours, counts = palette(rng)
    group = rng.integers(0, 9, len(counts))
    each = moments_of(colours, counts)
    parts = [each[:, group == number].sum(axis=1) for number in range(9)]
    grouped = Colours.grouped(np.stack([*parts, np.zeros(10)], axis=1))
    members = [pixels_of(colours, counts * (group == number)) for number in range(9)]
    assert np.allclose(grouped.points.T, [own.mean(axis=0) for own in members if len(own)])
    component = np.arange(grouped.points.shape[1]) % COMPONENTS
    labels = [np.full(len(own), k) for own, k in zip(filter(len, members), component, strict=True)]
    naive = gaussians_of(np.concatenate(members), np.concatenate(labels))
    assert_same(learn(grouped, component), naive)


@pytest.mark.parametrize("seed", range(2))
def test_relearning_gives_the_models_that_opencv_relearns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8), (0, 0), 2)
    image = cv2.normalize(image, image, 0, 255, cv2.NORM_MINMAX)
    inside = np.zeros((40, 50), dtype=bool)
    inside[8:31, 10:37] = True
    models, expected = [], []
    for part in (~inside, inside):
        pixels, counts = np.unique(image[part], axis=0, return_counts=True)
        colours = colours_of(pixels.T.astype(float), counts)
        start = learn(colours, kmeans(colours, seed=seed))
        models.append(to_opencv((start.weights, start.means, covariances_of(start))))
        expected.append(relearn(start, colours.moments))
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    cv2.grabCut(image, labels, (0, 0, 1, 1), models[0], models[1], 1, cv2.GC_EVAL)
    for numbers, model in zip(models, expected, strict=True):
        assert_same(model, from_opencv(numbers))


SINGULAR = {
    "one colour": [[10, 20, 30]] * 4,
    "two colours": [[10, 20, 30], [40, 10, 200]],
    "a line": [[10, 10, 10], [20, 20, 20], [50, 50, 50], [90, 90, 90]],
    "a plane": [[0, 0, 7], [10, 0, 7], [0, 10, 7], [30, 20, 7]],
}


@pytest.mark.parametrize("name", SINGULAR)
def test_colours_without_a_volume_get_the_variance_that_opencv_adds(name: str) -> None:
    pixels = np.array(SINGULAR[name], dtype=float)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    model = learn(colours_of(colours.T, counts), np.zeros(len(counts), int))
    covariance = np.cov(pixels.T, bias=True) + 0.01 * np.eye(3)
    assert np.allclose(covariances_of(model)[0], covariance, rtol=1e-6)
    assert model.log_scales[0] == pytest.approx(-0.5 * np.linalg.slogdet(covariance)[1], abs=1e-6)


def cost(colours: np.ndarray, counts: np.ndarray, labels: np.ndarray) -> float:
    """The sum of squared distances of all pixels from the mean of their cluster."""
    total = 0.0
    for label in np.unique(labels):
        own, often = colours[:, labels == label], counts[labels == label]
        mean = (own * often).sum(axis=1) / often.sum()
        total += float((((own - mean[:, None]) ** 2).sum(axis=0) * often).sum())
    return total


def compactness_of_opencv(
    colours: np.ndarray, counts: np.ndarray, *, starts: int, seed: int
) -> float:
    pixels = pixels_of(colours, counts).astype(np.float32)
    cv2.setRNGSeed(seed)
    ten = (cv2.TERM_CRITERIA_MAX_ITER, 10, 0.0)
    labels = np.zeros((len(pixels), 1), dtype=np.int32)
    return cv2.kmeans(pixels, COMPONENTS, labels, ten, starts, cv2.KMEANS_PP_CENTERS)[0]


def five_clusters(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    centres = np.array([[30, 30, 30], [220, 40, 60], [60, 200, 80], [50, 60, 210], [210, 210, 190]])
    colours = np.unique((centres.repeat(60, axis=0) + rng.normal(0, 9, (300, 3))).round(), axis=0)
    return np.ascontiguousarray(colours.clip(0, 255).T), rng.integers(1, 9, len(colours)) * 1.0


def scattered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    colours = np.unique(rng.integers(0, 256, (500, 3)).astype(float), axis=0)
    return np.ascontiguousarray(colours.T), rng.integers(1, 9, len(colours)) * 1.0


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("make", [five_clusters, palette, scattered])
def test_clusters_are_on_average_as_compact_as_those_of_opencv(
    make: Callable, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(colour_models, "_KMEANS_STARTS", starts)
    colours, counts = make(np.random.default_rng(0))
    counted = colours_of(colours, counts)
    ours = [cost(colours, counts, kmeans(counted, seed=seed)) for seed in range(150)]
    theirs = [
        compactness_of_opencv(colours, counts, starts=starts, seed=seed) for seed in range(150)
    ]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.03)
    assert np.min(ours) == pytest.approx(np.min(theirs), rel=0.01)


@pytest.mark.parametrize("count", range(1, COMPONENTS + 1))
def test_up_to_five_colours_are_a_cluster_each(count: int) -> None:
    for seed in range(3):
        colours = np.array([[0, 1, 2, 255, 254], [0, 0, 9, 255, 255], [0.0, 0, 0, 255, 255]])
        labels = kmeans(colours_of(colours[:, :count], np.arange(count) * 99 + 1), seed=seed)
        assert sorted(labels) == list(range(count))

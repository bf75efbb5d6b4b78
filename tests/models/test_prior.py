"""The object mask prior, against loops over single numbers."""

import math

import pytest
import torch
from torch import Tensor

from lib.models.prior import ObjectMaskPrior, class_activation_maps

NORMS = ("min_max", "relu_max", "sigmoid", "none")
FUSIONS = ("add", "concat", "multiply")


def random_rois(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(5, 6, 7, 7, generator=generator)
    weights = torch.randn(4, 6, generator=generator)
    labels = torch.randint(0, 4, (5,), generator=generator)
    return features, weights, labels


def loop_map(features: Tensor, weights: Tensor, label: int) -> list[list[float]]:
    channels, height, width = features.shape
    return [
        [
            sum(float(features[c, y, x]) * float(weights[label, c]) for c in range(channels))
            for x in range(width)
        ]
        for y in range(height)
    ]


def loop_normalise(rows: list[list[float]], how: str) -> list[list[float]]:
    values = [v for row in rows for v in row]
    low, high = min(values), max(values)
    scale = {
        "min_max": lambda v: (v - low) / (high - low),
        "relu_max": lambda v: max(v, 0) / high if high > 0 else 0.0,
        "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
        "none": lambda v: v,
    }[how]
    return [[scale(v) for v in row] for row in rows]


def loop_resize(rows: list[list[float]], side: int) -> list[list[float]]:
    """Bilinear, pixel centres at one half, edges repeated."""
    before = len(rows)

    def taps(place: int) -> tuple[int, int, float]:
        at = min(max((place + 0.5) * before / side - 0.5, 0), before - 1)
        first = int(at)
        return first, min(first + 1, before - 1), at - first

    out = []
    for y in range(side):
        top, bottom, down = taps(y)
        line = []
        for x in range(side):
            left, right, over = taps(x)
            upper = rows[top][left] * (1 - over) + rows[top][right] * over
            lower = rows[bottom][left] * (1 - over) + rows[bottom][right] * over
            line.append(upper * (1 - down) + lower * down)
        out.append(line)
    return out


def test_mean_of_the_map_plus_bias_is_the_class_logit():
    features, weights, labels = random_rois(1)
    bias = torch.arange(4.0)
    logits = features.mean((2, 3)) @ weights.T + bias
    means = class_activation_maps(features, weights, labels).mean((1, 2, 3)) + bias[labels]
    torch.testing.assert_close(means, logits[torch.arange(5), labels])


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_mask_features_with_the_prior_equal_a_loop_over_rois_and_channels(norm, fusion):
    features, weights, labels = random_rois(2)
    mask_features = torch.randn(5, 3, 14, 14)
    joined = ObjectMaskPrior(norm=norm, fusion=fusion)(mask_features, features, labels, weights)
    assert joined.shape == (5, 4 if fusion == "concat" else 3, 14, 14)
    for r in range(5):
        cam = loop_map(features[r], weights, int(labels[r]))
        prior = torch.tensor(loop_resize(loop_normalise(cam, norm), 14))
        channels = [mask_features[r, d] for d in range(3)]
        wanted = {
            "add": [c + prior for c in channels],
            "multiply": [c * prior for c in channels],
            "concat": [*channels, prior],
        }[fusion]
        torch.testing.assert_close(joined[r], torch.stack(wanted), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_a_scaled_prior_joins_as_so_many_times_the_prior(norm):
    features, weights, labels = random_rois(3)
    mask_features = torch.randn(5, 3, 14, 14)
    prior = ObjectMaskPrior(norm=norm).prior(features, labels, weights, torch.Size((14, 14)))
    for fusion, wanted in (
        ("add", mask_features + 4 * prior),
        ("multiply", mask_features * 4 * prior),
        ("concat", torch.cat([mask_features, 4 * prior], 1)),
    ):
        module = ObjectMaskPrior(norm=norm, scale=4.0, fusion=fusion)
        torch.testing.assert_close(module(mask_features, features, labels, weights), wanted)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("level", [-3.0, 0.0, 3.0, 1e-8])
def test_constant_map_gives_finite_values_and_gradients(norm, fusion, level):
    features = torch.full((2, 6, 7, 7), level, requires_grad=True)
    weights = torch.ones(4, 6, requires_grad=True)
    mask_features = torch.randn(2, 3, 14, 14, requires_grad=True)
    module = ObjectMaskPrior(norm=norm, fusion=fusion, weights="attached")
    joined = module(mask_features, features, torch.tensor([1, 3]), weights)
    joined.square().sum().backward()
    for tensor in (joined, mask_features.grad, features.grad, weights.grad):
        assert tensor is not None and bool(torch.isfinite(tensor).all())


@pytest.mark.parametrize("norm", NORMS)
def test_prior_is_exact_under_autocast(norm):
    features, weights, labels = random_rois(4)
    module = ObjectMaskPrior(norm=norm)
    exact = module.prior(features, labels, weights, torch.Size((14, 14)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module.prior(features, labels, weights, torch.Size((14, 14)))
        half = module(torch.zeros(5, 3, 14, 14, dtype=torch.bfloat16), features, labels, weights)
    assert mixed.dtype == torch.float32 and torch.equal(exact, mixed)
    assert half.dtype == torch.bfloat16

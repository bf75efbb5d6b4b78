"""The object mask prior, against loops over single numbers."""

import torch

from lib.models.prior import ObjectMaskPrior, class_activation_maps, min_max


def random_rois(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(5, 6, 7, 7, generator=generator)
    weights = torch.randn(4, 6, generator=generator)
    labels = torch.randint(0, 4, (5,), generator=generator)
    return features, weights, labels


def test_activation_map_is_the_weighted_sum_of_channels_at_each_place():
    features, weights, labels = random_rois()
    maps = class_activation_maps(features, weights, labels)
    for r in range(5):
        for y in range(7):
            for x in range(7):
                naive = sum(
                    float(features[r, c, y, x]) * float(weights[labels[r], c]) for c in range(6)
                )
                assert abs(float(maps[r, 0, y, x]) - naive) < 1e-5


def test_mean_of_the_map_plus_bias_is_the_class_logit():
    features, weights, labels = random_rois(1)
    bias = torch.arange(4.0)
    logits = features.mean((2, 3)) @ weights.T + bias
    means = class_activation_maps(features, weights, labels).mean((1, 2, 3)) + bias[labels]
    torch.testing.assert_close(means, logits[torch.arange(5), labels])


def test_min_max_spans_zero_to_one_for_each_map_on_its_own():
    maps = torch.randn(5, 1, 7, 7) * torch.tensor([1e-3, 1, 10, 1e3, 5])[:, None, None, None]
    scaled = min_max(maps)
    for one, of in zip(scaled, maps, strict=True):
        low, high = float(of.min()), float(of.max())
        naive = [[(float(v) - low) / (high - low) for v in row] for row in of[0]]
        torch.testing.assert_close(one[0], torch.tensor(naive), atol=1e-5, rtol=1e-4)
        assert float(one.min()) == 0
        assert float(one.max()) == 1


def test_constant_map_gives_no_nan_in_values_or_gradients():
    maps = torch.full((2, 1, 7, 7), 3.0, requires_grad=True)
    scaled = min_max(maps)
    assert torch.equal(scaled, torch.zeros_like(scaled))
    scaled.sum().backward()
    assert maps.grad is not None and bool(torch.isfinite(maps.grad).all())


def test_prior_is_added_to_every_channel_alike():
    features, weights, labels = random_rois(2)
    mask_features = torch.randn(5, 3, 14, 14)
    added = ObjectMaskPrior()(mask_features, features, labels, weights) - mask_features
    torch.testing.assert_close(added[:, 0], added[:, 1], atol=1e-5, rtol=0)
    assert float(added.min()) > -1e-6
    assert float(added.max()) < 1 + 1e-6


def test_mask_gradients_reach_the_box_features_but_not_the_classifier():
    features, weights, labels = random_rois(3)
    features.requires_grad_()
    weights.requires_grad_()
    ObjectMaskPrior()(
        torch.zeros(5, 3, 14, 14), features, labels, weights
    ).square().sum().backward()
    assert features.grad is not None and float(features.grad.abs().sum()) > 0
    assert weights.grad is None

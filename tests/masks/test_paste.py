"""Pasting, against a loop over pixels, and as the inverse of cutting mask targets."""

import math

import numpy as np
import pytest
import torch

from lib.masks.paste import paste
from lib.models.mask_branch import mask_targets


def naive(probability: np.ndarray, box: list[float], height: int, width: int) -> np.ndarray:
    """Bilinear interpolation between the centres of the cells, one pixel at a time."""
    size = len(probability)
    mask = np.zeros((height, width), bool)
    x1, y1, x2, y2 = box
    for row in range(height):
        for column in range(width):
            u = (column + 0.5 - x1) / (x2 - x1)
            v = (row + 0.5 - y1) / (y2 - y1)
            if not (0 <= u <= 1 and 0 <= v <= 1):
                continue
            x = min(max(u * size - 0.5, 0), size - 1)
            y = min(max(v * size - 0.5, 0), size - 1)
            i, j = math.floor(y), math.floor(x)
            k, m = min(i + 1, size - 1), min(j + 1, size - 1)
            fy, fx = y - i, x - j
            value = (1 - fy) * ((1 - fx) * probability[i, j] + fx * probability[i, m]) + fy * (
                (1 - fx) * probability[k, j] + fx * probability[k, m]
            )
            mask[row, column] = value >= 0.5
    return mask


@pytest.mark.parametrize(
    "box", [[3.3, 4.8, 20.1, 15.6], [-5.0, -3.5, 12.2, 9.0], [25.0, 10.0, 45.5, 40.0], [5, 5, 6, 7]]
)
def test_mask_equals_interpolating_at_every_pixel_centre(box):
    probability = torch.rand(28, 28, generator=torch.Generator().manual_seed(0))
    ours = paste(probability, torch.tensor(box), 24, 32)
    assert (ours != naive(probability.numpy(), box, 24, 32)).mean() < 0.002  # ties of rounding


@pytest.mark.parametrize("side", [10, 20, 40, 80])
def test_pasting_the_target_of_a_mask_gives_the_mask_back(side):
    mask = torch.zeros(1, 100, 100, dtype=torch.uint8)
    ys, xs = torch.meshgrid(torch.arange(100), torch.arange(100), indexing="ij")
    radius = side / 2
    mask[0] = ((ys + 0.5 - 50) ** 2 + (xs + 0.5 - 50) ** 2 <= radius**2).to(torch.uint8)
    box = torch.tensor([50 - radius, 50 - radius, 50 + radius, 50 + radius])
    target = mask_targets(mask, torch.tensor([0]), box[None], 28)[0]
    pasted = paste(target, box, 100, 100)
    truth = mask[0].bool().numpy()
    assert (pasted & truth).sum() / (pasted | truth).sum() > 0.95


def test_full_map_fills_the_pixels_whose_centres_are_in_the_box_and_no_others():
    mask = paste(torch.ones(28, 28), torch.tensor([2.4, 3.6, 7.6, 9.0]), 12, 12)
    wanted = np.zeros((12, 12), bool)
    wanted[4:9, 2:8] = True
    np.testing.assert_array_equal(mask, wanted)


def test_box_outside_the_image_gives_an_empty_mask():
    assert not paste(torch.ones(28, 28), torch.tensor([40.0, 40, 50, 50]), 20, 20).any()

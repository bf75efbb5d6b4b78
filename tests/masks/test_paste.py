"""Pasting, against a loop over pixels, and as the inverse of cutting mask targets."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from lib.masks.crops import crop, edges_of, pack
from lib.masks.paste import paste
from lib.masks.rle import encode


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
    ys, xs = np.mgrid[:100, :100]
    radius = side / 2
    truth = (ys + 0.5 - 50) ** 2 + (xs + 0.5 - 50) ** 2 <= radius**2
    box = torch.tensor([50 - radius, 50 - radius, 50 + radius, 50 + radius])
    runs = pack([edges_of(encode(truth), 100, 100)], height=100, width=100)
    target = crop(runs, torch.tensor([0]), box[None], 28)[0]
    pasted = paste(target, box, 100, 100)
    assert (pasted & truth).sum() / (pasted | truth).sum() > 0.95


def everywhere(probability: torch.Tensor, box: list[float], height: int, width: int) -> np.ndarray:
    """Sample the map at every pixel of the image, and leave out what is outside the box."""
    x1, y1, x2, y2 = box
    xs = (torch.arange(width) + 0.5 - x1) / (x2 - x1) * 2 - 1
    ys = (torch.arange(height) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)[None]
    values = grid_sample(probability[None, None], grid, padding_mode="border", align_corners=False)[
        0, 0
    ]
    inside = (ys.abs() <= 1)[:, None] & (xs.abs() <= 1)
    return ((values >= 0.5) & inside).numpy()


def random_boxes(count: int) -> list[list[float]]:
    """Boxes of all sizes, within an image of 37 x 23, across its edges and beyond."""
    random = np.random.default_rng(5)
    corners = random.uniform([-20, -15], [45, 30], (count, 2))
    sizes = np.exp(random.uniform(0, 4.5, (count, 2)))
    boxes = np.c_[corners, corners + sizes].astype(np.float32)
    boxes[::7] = boxes[::7].round()
    boxes[3::11, 1::2] = -4, 30  # as high as the image
    boxes[:3] = [0, 0, 37, 23], [5, 5, 5, 9], [-3, -3, 0, 0]
    return boxes.tolist()


def test_masks_equal_those_of_sampling_the_whole_image():
    generator = torch.Generator().manual_seed(1)
    full, empty = 0, 0
    for k, box in enumerate(random_boxes(150)):
        probability = torch.rand(28, 28, generator=generator) if k % 5 else torch.ones(28, 28)
        wanted = everywhere(probability, box, 23, 37)
        np.testing.assert_array_equal(paste(probability, torch.tensor(box), 23, 37), wanted)
        full, empty = full + bool(wanted.all()), empty + (not wanted.any())
    assert full and 10 < empty < 100

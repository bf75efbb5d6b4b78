"""Mask targets from run lengths: what the decoded masks give, without decoding them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import project_masks_on_boxes
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from lib.masks.crops import SAMPLES, crop, edges_of, join, pack
from lib.masks.rle import decode, encode

HEIGHT, WIDTH = 90, 120


def blob(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A mask with holes and islands."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(5):
        y, x, r = random.uniform(0, height), random.uniform(0, width), random.uniform(4, 30)
        mask ^= (rows - y) ** 2 + (columns - x) ** 2 < r**2
    return mask


def boxes_around(mask: np.ndarray, count: int, seed: int) -> Tensor:
    """Boxes near a mask's own, some of them beyond the picture."""
    rows, columns = np.nonzero(mask)
    box = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
    generator = torch.Generator().manual_seed(seed)
    sides = (box[2:] - box[:2]).repeat(2)
    moved = box + (torch.rand(count, 4, generator=generator) - 0.5) * 0.6 * sides
    return torch.cat([torch.minimum(moved[:, :2], moved[:, 2:] - 1), moved[:, 2:]], 1)


def loop_target(mask: np.ndarray, box: Tensor, size: int) -> np.ndarray:
    """The definition, pixel by pixel, of one RoI and its decoded mask."""
    x1, y1, x2, y2 = box.tolist()
    cells = np.zeros((size, size))
    count = size * SAMPLES
    for i in range(count):
        for j in range(count):
            y = math.floor(np.float32(y1 + (y2 - y1) * (i + 0.5) / count))
            x = math.floor(np.float32(x1 + (x2 - x1) * (j + 0.5) / count))
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                cells[i // SAMPLES, j // SAMPLES] += mask[y, x]
    return cells >= SAMPLES**2 / 2


def covered(masks: np.ndarray, rows: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Which cells a mask covers by half or more, from a hundred points of each."""
    steps = (torch.arange(size * 10) + 0.5) / (size * 10)
    places = boxes[:, :2, None] + (boxes[:, 2:] - boxes[:, :2])[:, :, None] * steps
    x, y = places.floor().long().unbind(1)
    x, y = x.clamp(0, masks.shape[2] - 1), y.clamp(0, masks.shape[1] - 1)
    points = torch.from_numpy(masks)[rows[:, None, None], y[:, :, None], x[:, None]]
    return points.view(-1, size, 10, size, 10).float().mean((2, 4)) >= 0.5


def plain(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths as a list, as COCO's crowd regions have them."""
    values, counts = mask.T.reshape(-1), []
    expected, run = False, 0
    for value in values:
        if bool(value) != expected:
            counts.append(run)
            expected, run = bool(value), 0
        run += 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_edges_are_where_the_decoded_mask_changes(seed: int):
    mask = blob(seed)
    mask[0, 0], mask[-1, -1] = seed % 2 == 0, seed % 3 == 0
    column = mask.T.reshape(-1)
    expected = np.flatnonzero(np.diff(np.r_[False, column].astype(int)))
    for code in (encode(mask), plain(mask)):
        assert (edges_of(code, HEIGHT, WIDTH) == expected).all()


def test_edges_of_polygons_are_those_of_their_union():
    polygons = [[10.0, 10, 50, 12, 40, 60], [30.0, 20, 90, 20, 90, 70, 30, 70]]
    mask = decode(polygons, HEIGHT, WIDTH)
    found = edges_of(polygons, HEIGHT, WIDTH)
    assert (found == edges_of(encode(mask), HEIGHT, WIDTH)).all() and len(found) > 100


@pytest.mark.parametrize("size", [14, 28])
def test_crops_are_what_the_decoded_masks_give(size: int):
    masks = [blob(seed) for seed in range(4)]
    runs = pack([edges_of(encode(m), HEIGHT, WIDTH) for m in masks], height=HEIGHT, width=WIDTH)
    rows = torch.arange(4).repeat_interleave(3)
    boxes = torch.cat([boxes_around(m, 3, i) for i, m in enumerate(masks)])
    expected = np.stack([loop_target(masks[r], b, size) for r, b in zip(rows, boxes, strict=True)])
    found = crop(runs, rows, boxes, size)
    assert found.dtype == torch.float32 and 0.1 < expected.mean() < 0.9
    assert (found.bool().numpy() != expected).mean() < 1e-3  # a point on the border of two pixels


def test_a_mirrored_picture_has_mirrored_crops():
    mask = blob(3)
    edges = edges_of(encode(mask), HEIGHT, WIDTH)
    boxes, rows = boxes_around(mask, 12, 0), torch.zeros(12, dtype=torch.int64)
    turned = torch.stack([WIDTH - boxes[:, 2], boxes[:, 1], WIDTH - boxes[:, 0], boxes[:, 3]], 1)
    straight = crop(pack([edges], height=HEIGHT, width=WIDTH), rows, boxes, 28)
    mirrored = crop(pack([edges], height=HEIGHT, width=WIDTH, mirrored=True), rows, turned, 28)
    assert (mirrored.flip(-1) != straight).float().mean() < 0.01  # points on borders


def test_pictures_of_several_sizes_can_be_joined():
    sizes = [(90, 120), (120, 60), (50, 50)]
    masks = [blob(i, *size) for i, size in enumerate(sizes)]
    parts = [
        pack([edges_of(encode(m), *size)] * (i + 1), height=size[0], width=size[1])
        for i, (m, size) in enumerate(zip(masks, sizes, strict=True))
    ]
    runs = join(parts)
    first = [0, 1, 3]  # of each picture's masks
    for i, mask in enumerate(masks):
        boxes = boxes_around(mask, 5, i)
        alone = crop(parts[i], torch.full((5,), i), boxes, 14)
        assert torch.equal(crop(runs, torch.full((5,), first[i] + i), boxes, 14), alone)


def discs(radius: float) -> np.ndarray:
    """Eight pictures of 240 x 320 with a disc each."""
    rows, columns = np.mgrid[:240, :320]
    centres = np.random.default_rng(0).uniform(60, 180, (8, 2))
    return np.stack([(rows - y) ** 2 + (columns - x) ** 2 < radius**2 for y, x in centres])


@pytest.mark.parametrize(
    ("masks", "scale", "tolerance"),
    [
        (np.stack([blob(seed, 240, 320) for seed in range(8)]), 1.0, 0.01),
        (np.stack([blob(seed, 240, 320) for seed in range(8)]), 800 / 480, 0.01),
        (discs(7), 800 / 480, 0.05),
    ],
    ids=["same size", "enlarged", "small objects, enlarged"],
)
def test_they_differ_little_from_torchvisions_targets_and_for_the_better(
    masks: np.ndarray, scale: float, tolerance: float
):
    transform = GeneralizedRCNNTransform(round(240 * scale), 10_000, [0.0] * 3, [1.0] * 3)
    boxes = torch.cat([boxes_around(m, 6, i) for i, m in enumerate(masks)])
    boxes = boxes.clamp(min=0).minimum(torch.tensor([320.0, 240, 320, 240]))
    target = {"boxes": boxes, "masks": torch.from_numpy(masks).to(torch.uint8)}
    _, (resized,) = transform([torch.zeros(3, 240, 320)], [target])
    rows = torch.arange(8).repeat_interleave(6)
    before = project_masks_on_boxes(resized["masks"], resized["boxes"], rows, 28) >= 0.5
    runs = pack([edges_of(encode(m), 240, 320) for m in masks], height=240, width=320)
    after = crop(runs, rows, boxes, 28) > 0
    assert (before != after).float().mean() < tolerance
    truth = covered(masks, rows, boxes, 28)
    wrong = [(targets != truth).float().mean() for targets in (before, after)]
    assert wrong[1] < 0.01 and wrong[1] < wrong[0] + 0.002
    assert tolerance < 0.05 or wrong[1] < wrong[0] / 2


def test_a_mask_of_another_size_is_a_sentence():
    with pytest.raises(ValueError, match=r"of size \[90, 120\].*of \[90, 121\]"):
        edges_of(encode(blob(0)), HEIGHT, WIDTH + 1)

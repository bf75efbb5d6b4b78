from collections.abc import Iterator
from itertools import islice, product

import cv2
import numpy as np
import pytest

from lib.data.coco import load
from lib.data.pictures.images import read_image
from lib.masks.grabcut import fast
from lib.masks.grabcut.colour_models import Colours
from lib.masks.grabcut.exact import grabcut, one_thread, rectangle
from lib.masks.grabcut.fast import FastGrabCut
from lib.masks.grabcut.links import smoothness
from lib.masks.quality import is_valid, mask_box_iou, mask_iou
from lib.paths import find_data
from tests.masks.grabcut.gaussians import gaussians_of, to_opencv
from tests.masks.scenes import (
    Box,
    scene,
)

Shape = tuple[int, int]
SHAPES = [(1, 9), (8, 1), (2, 2), (3, 7), (16, 21)]
GAMMA = 50


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def squared_differences(image: np.ndarray) -> dict[tuple[tuple[int, int], tuple[int, int]], int]:
    """Of all pairs of the eight neighbours, each pair once."""
    height, width = image.shape[:2]
    found = {}
    for y, x in product(range(height), range(width)):
        for other_y, other_x in ((y, x + 1), (y + 1, x - 1), (y + 1, x), (y + 1, x + 1)):
            if other_y < height and 0 <= other_x < width:
                step = image[y, x].astype(int) - image[other_y, other_x].astype(int)
                found[(y, x), (other_y, other_x)] = int(step @ step)
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_smoothness_follows_from_all_pairs_of_neighbours(shape: Shape) -> None:
    for seed in range(3):
        image = random_image(*shape, seed)
        height, width = shape
        pairs = 4 * height * width - 3 * (height + width) + 2  # OpenCV's count of them
        mean = sum(squared_differences(image).values()) / pairs
        assert smoothness(image) == pytest.approx(1 / (2 * mean))


def brightness(colours: Colours, *, seed: int) -> np.ndarray:
    """Five classes of brightness, to start the models where chance would decide."""
    del seed
    return (colours.points.sum(axis=0) // 154).astype(int)


def models_by_brightness(image: np.ndarray, inside: np.ndarray) -> list[np.ndarray]:
    """OpenCV's numbers for background and foreground, learnt from classes of brightness."""
    models = []
    for part in (~inside, inside):
        pixels = image[part].astype(float)
        models.append(to_opencv(gaussians_of(pixels, pixels.sum(axis=1) // 154)))
    return models


def of_opencv(image: np.ndarray, inside: np.ndarray, *, mode: int, rounds: int = 1) -> np.ndarray:
    """The mask that OpenCV finds on the whole image from models that are given."""
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    models = models_by_brightness(image, inside)
    cv2.grabCut(image, labels, (0, 0, 1, 1), models[0], models[1], rounds, mode)
    return labels % 2 == 1


def pixels_in(box: Box, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    x, y, w, h = rectangle(box, height=height, width=width)
    inside = np.zeros((height, width), dtype=bool)
    inside[y : y + h, x : x + w] = True
    return inside


@pytest.mark.parametrize(("size", "rounds"), [((60, 80), 5), ((33, 90), 1), ((45, 29), 2)])
def test_masks_are_those_of_opencv_on_the_whole_image_from_the_same_start(
    size: Shape, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "kmeans", brightness)
    height, width = size
    for seed in range(3):
        image, boxes = scene(seed, height=height, width=width)
        picture = FastGrabCut(image, iterations=rounds)
        borders = [(0, 0, width, height // 2), (width // 3, 0, width, height), (3, 5, 4, height)]
        for box in (*boxes, *borders):
            expected = of_opencv(image, pixels_in(box, image), mode=cv2.GC_EVAL, rounds=rounds)
            found = picture.mask(box, seed=0)
            assert np.count_nonzero(found != expected) <= 1


@pytest.mark.parametrize("size", [(1, 70), (60, 1), (2, 30), (7, 8)], ids=str)
def test_masks_of_tiny_images_are_those_of_opencv_from_the_same_start(
    size: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "kmeans", brightness)
    height, width = size
    for seed in range(3):
        image = random_image(height, width, seed)
        box = (0, 0, width, height // 2) if width == 1 else (1, 0, 1 + width // 2, height)
        expected = of_opencv(image, pixels_in(box, image), mode=cv2.GC_EVAL, rounds=2)
        assert np.array_equal(FastGrabCut(image, iterations=2).mask(box, seed=0), expected)


def test_groups_of_colours_hardly_change_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "kmeans", brightness)
    ious = []
    for seed, noise in product(range(3), (6, 20)):
        image, boxes = scene(seed, noise=noise)
        alone = FastGrabCut(image, iterations=5)
        with monkeypatch.context() as context:
            context.setattr(fast, "_FEW_COLOURS", 0)
            grouped = FastGrabCut(image, iterations=5)
        masks = [(alone.mask(box, seed=0), grouped.mask(box, seed=0)) for box in boxes]
        ious += [mask_iou(*pair) for pair in masks]
    assert np.mean(ious) > 0.998
    assert np.mean(np.array(ious) == 1) > 0.95


@pytest.mark.parametrize("few", [0, 1 << 14])
def test_masks_agree_with_the_whole_image_as_its_own_seeds_do(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "_FEW_COLOURS", few)
    own, others = [], []
    for seed in range(6):
        image, boxes = scene(seed, height=90, width=120)
        picture = FastGrabCut(image, iterations=5)
        for box in boxes:
            exact = [grabcut(image, box, iterations=5, seed=start) for start in (1, 2)]
            own.append(mask_iou(*exact))
            others += [mask_iou(picture.mask(box, seed=1), mask) for mask in exact]
    assert np.mean(others) > np.mean(own) - 0.02


def test_colours_far_from_the_box_say_what_is_background() -> None:
    # Half of the box is grass. The ring around the box is earth; grass grows only far away.
    rng = np.random.default_rng(0)
    earth, grass, coat = (120, 80, 50), (40, 150, 40), (200, 40, 160)
    image = np.tile(np.array(earth), (60, 90, 1))
    image[10:30, 10:30] = grass
    image[10:30, 20:30] = coat
    meadow = image.copy()
    meadow[:, 45:] = grass
    box = (8, 8, 32, 32)
    coated = np.zeros((60, 90), dtype=bool)
    coated[10:30, 20:30] = True
    masks = []
    for clean in (image, meadow):
        noisy = (clean + rng.normal(0, 6, clean.shape)).clip(0, 255).astype(np.uint8)
        masks.append(FastGrabCut(noisy, iterations=5).mask(box, seed=0))
        assert mask_iou(masks[-1], grabcut(noisy, box, iterations=5, seed=0)) > 0.98
        crop = FastGrabCut(np.ascontiguousarray(noisy[:40, :40]), iterations=5).mask(box, seed=0)
    assert masks[0][10:30, 10:30].mean() > 0.98
    assert mask_iou(masks[1], coated) > 0.98
    assert crop[10:30, 10:30].mean() > 0.98  # what a crop of the meadow's picture would give


def photographs(every: int) -> Iterator[tuple[np.ndarray, Box]]:
    """Some photographs with up to two of their boxes each."""
    try:
        root = find_data("voc2012/annotations/train.json").parents[1]
    except FileNotFoundError as error:
        pytest.skip(str(error))
    coco_set = load(root / "annotations" / "train.json", root / "images", check_images="none")
    with one_thread():
        for record in coco_set.images[::every]:
            image = read_image(record)
            for instance in coco_set.instances(record.id)[:2]:
                yield image, instance.box


@pytest.mark.photos
def test_on_photographs_masks_are_those_of_opencv_from_the_same_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fast, "kmeans", brightness)
    monkeypatch.setattr(fast, "_FEW_COLOURS", 1 << 24)
    for image, box in islice(photographs(300), 2):
        expected = of_opencv(image, pixels_in(box, image), mode=cv2.GC_EVAL, rounds=3)
        found = FastGrabCut(image, iterations=3).mask(box, seed=0)
        assert expected.any()
        assert np.count_nonzero(found != expected) <= 1


@pytest.mark.photos
def test_on_photographs_it_agrees_with_the_whole_image_as_its_own_seeds_do() -> None:
    rows = []
    for image, box in islice(photographs(80), 8):
        exact, other = (grabcut(image, box, iterations=3, seed=seed) for seed in (1, 2))
        fast = FastGrabCut(image, iterations=3).mask(box, seed=1)
        valid = [is_valid(mask_box_iou(mask, box)) for mask in (exact, other, fast)]
        own = valid[0] == valid[1], mask_iou(exact, other)
        rows.append((*own, valid[0] == valid[2], mask_iou(exact, fast)))
    own_valid, own_iou, agree, iou = np.mean(rows, axis=0)
    assert len(rows) == 8
    assert agree >= own_valid - 0.05
    assert iou >= own_iou - 0.05

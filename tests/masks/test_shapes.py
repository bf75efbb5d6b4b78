import numpy as np
import pytest

from lib.masks.quality import mask_box_iou
from lib.masks.shapes import ellipse_mask, rectangle_mask

HEIGHT, WIDTH = 13, 17


def in_rectangle(x: float, y: float, box: list[float]) -> bool:
    return box[0] < x < box[2] and box[1] < y < box[3]


def in_ellipse(x: float, y: float, box: list[float]) -> bool:
    """By the sum of the distances to the foci, which is the ellipse's other definition."""
    if box[2] <= box[0] or box[3] <= box[1]:
        return False
    middle = complex((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    a, b = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    focus = (a * a - b * b + 0j) ** 0.5  # imaginary where the ellipse is upright
    point = complex(x, y) - middle
    return abs(point - focus) + abs(point + focus) < 2 * max(a, b)


def random_boxes(count: int) -> list[list[float]]:
    """Boxes of all kinds: beyond the image, outside it, tiny, without area, in whole pixels."""
    rng = np.random.default_rng(5)
    boxes = []
    for number in range(count):
        low = rng.uniform(-8, 20, 2)
        sides = rng.choice([rng.uniform(0, 1, 2), rng.uniform(0, 30, 2), np.array([0.0, 5.0])])
        box = np.concatenate([low, low + sides])
        boxes.append((box.round() if number % 3 == 0 else box).tolist())
    return boxes


@pytest.mark.parametrize(
    ("draw", "inside"), [(rectangle_mask, in_rectangle), (ellipse_mask, in_ellipse)]
)
def test_a_pixel_belongs_if_its_centre_lies_inside(draw, inside) -> None:
    sizes = set()
    for box in random_boxes(100):
        mask = draw(box, HEIGHT, WIDTH)
        assert mask.shape == (HEIGHT, WIDTH)
        assert mask.dtype == bool
        for y in range(HEIGHT):
            for x in range(WIDTH):
                assert mask[y, x] == inside(x + 0.5, y + 0.5, box), (box, x, y)
        sizes.add(int(mask.sum()))
    assert {0, 1} < sizes


def test_a_box_in_whole_pixels_is_filled_and_its_ellipse_touches_all_sides() -> None:
    box = [3, 2, 13, 9]
    rectangle, ellipse = rectangle_mask(box, HEIGHT, WIDTH), ellipse_mask(box, HEIGHT, WIDTH)
    assert rectangle.sum() == 70
    assert rectangle[2:9, 3:13].all()
    assert mask_box_iou(ellipse, box) == 1
    assert not (ellipse & ~rectangle).any()
    assert np.array_equal(ellipse, ellipse[::-1][-11:].tolist() + [[False] * WIDTH] * 2)

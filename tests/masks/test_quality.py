import numpy as np
import pytest

from lib.masks.quality import box_iou, is_valid, mask_box_iou


def painted(box: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((30, 30), dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def test_box_iou_counts_pixels() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        first, second = (
            (*(low := rng.integers(0, 20, 2)), *(low + rng.integers(1, 10, 2))) for _ in range(2)
        )
        a, b = painted(first), painted(second)
        assert box_iou(first, second) == pytest.approx((a & b).sum() / (a | b).sum())
    assert box_iou((3, 3, 3, 3), (3, 3, 3, 3)) == 0


def test_an_empty_mask_has_quality_zero() -> None:
    assert mask_box_iou(np.zeros((5, 5), bool), (0, 0, 5, 5)) == 0


def test_the_threshold_itself_is_valid() -> None:
    assert is_valid(0.5)
    assert not is_valid(np.nextafter(0.5, 0))
    assert is_valid(0.31, 0.3)

"""Pictures of more than 8 bits, against the same picture in 8."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.data.pictures.headers import look_at
from lib.data.pictures.images import read_rgb

GREY = np.add.outer(np.arange(30), 2 * np.arange(40)).astype(np.uint8)  # 0 to 107


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (GREY.astype(np.uint16) * 257, False),
        (GREY.astype(np.uint16), True),
        (GREY.astype(np.float32) / 255, True),
        (GREY.astype(np.float32), True),
        (GREY.astype(np.int32) * 257, False),
    ],
)
def test_usual_ranges_give_the_picture_of_8_bits(
    tmp_path: Path, pixels: np.ndarray, *, told: bool
) -> None:
    path = saved(tmp_path / "deep.tif", pixels)
    assert (read_rgb(path) == GREY[:, :, None]).all()
    assert look_at(path).deep == told


@pytest.mark.parametrize(
    "pixels",
    [
        GREY.astype(np.uint16) * 8,  # 10 bits in 16
        GREY.astype(np.uint16) // 2 + 20_000,  # thermal counts
        GREY.astype(np.int32) * 1000 - 5000,
        GREY.astype(np.float32) * 1e30,
    ],
)
def test_a_small_part_of_a_range_is_stretched_over_all_of_it(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    path = saved(tmp_path / "deep.tif", pixels)
    values = pixels.astype(float)
    expected = (values - values.min()) / (values.max() - values.min()) * 255
    assert abs(read_rgb(path)[:, :, 1] - expected).max() <= 0.51
    assert look_at(path).deep


def test_a_hot_pixel_does_not_make_a_picture_black(tmp_path: Path) -> None:
    pixels = GREY.astype(np.uint16) * 2
    pixels[3, 3] = 65535
    read = read_rgb(saved(tmp_path / "hot.png", pixels))
    assert read.std() > 40 and look_at(tmp_path / "hot.png").deep


def test_pixels_that_are_no_numbers_do_not_change_the_others(tmp_path: Path) -> None:
    pixels = GREY.astype(np.float32) / 255
    pixels[0, :3] = np.nan, np.inf, -np.inf
    read = read_rgb(saved(tmp_path / "nan.tif", pixels))[:, :, 0]
    assert (read[1:] == GREY[1:]).all() and read[0, :3].tolist() == [0, 255, 0]


@pytest.mark.parametrize("value", [1000, -3.5, np.nan])
def test_a_picture_of_one_value_stays_of_one_value(tmp_path: Path, value: float) -> None:
    kind = np.uint16 if value >= 0 else np.float32
    read = read_rgb(saved(tmp_path / "flat.tif", np.full((30, 40), value, kind)))
    assert np.ptp(read) == 0

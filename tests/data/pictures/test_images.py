from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.data.pictures.headers import look_at
from lib.data.pictures.images import ImageRecord, read_image, read_rgb


def gradient(width: int = 40, height: int = 30) -> np.ndarray:
    """Return a picture [height, width, 3] that JPEG hardly changes and no turn leaves alike."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, rows + columns], axis=2).astype(np.uint8)


def record(path: Path, width: int = 40, height: int = 30) -> ImageRecord:
    return ImageRecord(1, path.name, width, height, path.parent)


def test_rgb_pictures_come_back_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "ü ø 猫.png"
    Image.fromarray(gradient()).save(path)
    read = read_image(record(path))
    assert read.dtype == np.uint8 and (read == gradient()).all()


def test_grey_palette_and_one_bit_pictures_get_three_channels(tmp_path: Path) -> None:
    grey = gradient()[:, :, 1]
    cases = {
        "grey": (Image.fromarray(grey), grey),
        "palette": (Image.fromarray(grey).convert("P"), grey),
        "bit": (Image.fromarray(grey > 80), (grey > 80) * 255),
    }
    for name, (image, expected) in cases.items():
        image.save(tmp_path / f"{name}.png")
        read = read_rgb(tmp_path / f"{name}.png")
        assert read.shape == (30, 40, 3), name
        assert (read == expected[:, :, None]).all(), name


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    pixels = np.dstack([gradient(), np.full((30, 40), 255, np.uint8)])
    pixels[:10, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    read = read_rgb(tmp_path / "alpha.png")
    assert (read[:10] == 255).all() and (read[10:] == gradient()[10:]).all()


def test_cmyk_pictures_keep_their_colours(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 30), (200, 40, 90))
    image.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    read = read_rgb(tmp_path / "print.jpg").astype(int)
    assert abs(read - [200, 40, 90]).max() <= 6


@pytest.mark.parametrize("said", [(30, 40), (40, 30)])
def test_a_turn_in_the_exif_tag_counts_if_the_labels_size_says_so(
    tmp_path: Path, said: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise to view
    path = tmp_path / "phone.png"
    Image.fromarray(gradient()).save(path, exif=exif)
    read = read_image(record(path, *said))
    expected = gradient() if said == (40, 30) else np.rot90(gradient(), -1)
    assert (read == expected).all()
    assert said in (look_at(path).size, look_at(path).upright_size)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
def test_every_truncation_is_found_without_decoding_whole_files(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(gradient()).save(path)
    whole = path.read_bytes()
    assert not look_at(path).kind
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        found = look_at(path).kind
        assert found == "image_unreadable" or (not found and cut == len(whole) - 1), cut


def test_a_whole_jpeg_with_something_appended_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "appended.jpg"
    Image.fromarray(gradient()).save(path)
    path.write_bytes(path.read_bytes() + b"camera maker's notes")
    assert not look_at(path).kind


def test_damage_inside_a_file_is_found_by_decoding(tmp_path: Path) -> None:
    path = tmp_path / "damaged.png"
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert not look_at(path).kind
    assert look_at(path, decode=True).kind == "image_unreadable"


def test_missing_files_other_sizes_and_non_pictures_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    Image.fromarray(gradient()).save(path)
    (tmp_path / "text.jpg").write_text("no picture")
    assert look_at(tmp_path / "absent.jpg").kind == "image_missing"
    assert look_at(tmp_path).kind == "image_not_regular"
    assert look_at(tmp_path / "text.jpg").kind == "image_unknown"
    with pytest.raises(ValueError, match="is 40 x 30 pixels, but its labels say 40 x 31"):
        read_image(record(path, 40, 31))
    with pytest.raises(FileNotFoundError, match=r"no picture .*absent\.jpg"):
        read_image(record(tmp_path / "absent.jpg"))

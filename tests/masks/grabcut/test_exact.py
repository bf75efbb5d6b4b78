import cv2
import numpy as np
import pytest

from lib.masks.grabcut.exact import GrabCutSettings, grabcut, leaves_nothing, one_thread, rectangle
from lib.masks.quality import mask_iou
from tests.masks.scenes import DISC_BOX, NOISE, NOTHING_TO_FIND, THIN_OR_AT_THE_BORDER, disc


def test_an_object_unlike_its_surroundings_is_found() -> None:
    image, true = disc()
    mask = grabcut(image, DISC_BOX, iterations=5, seed=0)
    assert mask.dtype == bool
    assert mask_iou(mask, true) > 0.97


@pytest.mark.parametrize("seed", [0, 7])
def test_masks_are_those_of_opencv_on_bgr(seed: int) -> None:
    labels = np.zeros(NOISE.shape[:2], np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(seed)
    bgr = np.ascontiguousarray(NOISE[:, :, ::-1])
    cv2.grabCut(bgr, labels, (20, 15, 40, 30), *models, 3, cv2.GC_INIT_WITH_RECT)
    mask = grabcut(NOISE, DISC_BOX, iterations=3, seed=seed)
    assert np.array_equal(mask, labels % 2 == 1)


def test_a_mask_depends_on_its_seed_and_not_on_what_was_computed_before() -> None:
    image = (NOISE * 0.3 + disc()[0] * 0.7).astype(np.uint8)
    first = grabcut(image, DISC_BOX, iterations=5, seed=5)
    grabcut(NOISE, (0, 0, 30, 30), iterations=5, seed=9)
    cv2.setRNGSeed(123)
    assert np.array_equal(first, grabcut(image, DISC_BOX, iterations=5, seed=5))


def test_nothing_outside_the_rectangle_becomes_foreground() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        low = rng.uniform(0, 20, 2)
        box = (*low, *(low + rng.uniform(3, 18, 2)))
        x, y, w, h = rectangle(box, height=40, width=50)
        mask = grabcut(image, box, iterations=5, seed=seed)
        mask[y : y + h, x : x + w] = False
        assert not mask.any()


@pytest.mark.parametrize("box", NOTHING_TO_FIND.values(), ids=NOTHING_TO_FIND)
def test_a_box_from_which_nothing_can_be_learnt_gives_an_empty_mask(box: tuple) -> None:
    for image in (NOISE, disc()[0]):
        mask = grabcut(image, box, iterations=5, seed=0)
        assert mask.shape == image.shape[:2]
        assert not mask.any()


def test_an_image_of_one_colour_gives_an_empty_mask() -> None:
    assert not grabcut(np.full_like(NOISE, 128), DISC_BOX, iterations=5, seed=0).any()


@pytest.mark.parametrize("box", THIN_OR_AT_THE_BORDER, ids=str)
def test_thin_boxes_and_boxes_at_the_border_are_no_error(box: tuple) -> None:
    for image in (NOISE, disc()[0], np.repeat(NOISE[:, :, :1], 3, axis=2)):
        assert grabcut(image, box, iterations=5, seed=0).shape == (60, 80)


def test_an_image_of_a_single_row_is_no_error() -> None:
    assert grabcut(NOISE[:1], (5, 0, 20, 1), iterations=5, seed=0).shape == (1, 80)


def test_grey_pictures_are_segmented_like_others() -> None:
    image, true = disc()
    grey = np.repeat(image[:, :, :1], 3, axis=2)
    assert mask_iou(grabcut(grey, DISC_BOX, iterations=5, seed=0), true) > 0.95


def test_a_failure_inside_opencv_is_an_empty_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise cv2.error("no foreground is left")

    monkeypatch.setattr(cv2, "grabCut", fail)
    assert not grabcut(NOISE, DISC_BOX, iterations=5, seed=0).any()


def test_a_box_in_whole_pixels_is_its_own_rectangle_and_others_grow() -> None:
    assert rectangle((3, 4, 10, 8), height=20, width=20) == (3, 4, 7, 4)
    assert rectangle((3.2, 4.9, 9.1, 8.0), height=20, width=20) == (3, 4, 7, 4)
    assert rectangle((-5, -5, 30, 30), height=20, width=25) == (0, 0, 25, 20)
    assert rectangle((22, 3, 30, 30), height=20, width=20)[2] == 0


def test_where_nothing_can_be_found_is_known_beforehand() -> None:
    for box in NOTHING_TO_FIND.values():
        assert leaves_nothing(box, height=60, width=80)
    for box in THIN_OR_AT_THE_BORDER:
        assert not leaves_nothing(box, height=60, width=80)


def test_settings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        GrabCutSettings(iterations=0)
    with pytest.raises(ValueError, match="is 'quick': expected one of fast, exact"):
        GrabCutSettings(method="quick")  # type: ignore[arg-type]
    assert GrabCutSettings() == GrabCutSettings(iterations=5, method="fast")


def test_the_number_of_threads_is_given_back() -> None:
    before = cv2.getNumThreads()
    with one_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before

import cv2
import numpy as np
import pytest

from lib.masks.grabcut.exact import GrabCutSettings, grabcut, leaves_nothing, one_thread, rectangle
from tests.masks.scenes import DISC_BOX, NOISE, NOTHING_TO_FIND, THIN_OR_AT_THE_BORDER


@pytest.mark.parametrize("seed", [0, 7])
def test_masks_are_those_of_opencv_on_bgr(seed: int) -> None:
    labels = np.zeros(NOISE.shape[:2], np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(seed)
    bgr = np.ascontiguousarray(NOISE[:, :, ::-1])
    cv2.grabCut(bgr, labels, (20, 15, 40, 30), *models, 3, cv2.GC_INIT_WITH_RECT)
    mask = grabcut(NOISE, DISC_BOX, iterations=3, seed=seed)
    assert np.array_equal(mask, labels % 2 == 1)


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

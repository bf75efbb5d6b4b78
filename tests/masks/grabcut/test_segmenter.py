import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lib.masks.grabcut.exact import GrabCutSettings, rectangle
from lib.masks.grabcut.segmenter import made_by, prepare
from lib.masks.quality import mask_iou
from tests.masks.scenes import (
    DISC_BOX,
    NOISE,
    NOTHING_TO_FIND,
    PICTURES,
    THIN_OR_AT_THE_BORDER,
    disc,
    scene,
)

FAST = GrabCutSettings(iterations=2, method="fast")
EXACT = replace(FAST, method="exact")


@pytest.fixture(params=[FAST, EXACT], ids=["fast", "exact"])
def settings(request: pytest.FixtureRequest) -> GrabCutSettings:
    return request.param


@pytest.mark.parametrize("grey", [False, True])
def test_an_object_unlike_its_surroundings_is_found(settings: GrabCutSettings, grey: bool) -> None:
    image, true = disc()
    if grey:
        image = np.repeat(image[:, :, :1], 3, axis=2)
    mask = prepare(image, settings).mask(DISC_BOX, seed=0)
    assert mask.dtype == bool
    assert mask_iou(mask, true) > 0.95


def test_nothing_outside_the_rectangle_becomes_foreground(settings: GrabCutSettings) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        image = scene(seed, height=40, width=50)[0] if seed % 2 else NOISE[:40, :50]
        picture = prepare(image, settings)
        for _ in range(3):
            low = rng.uniform(-3, 30, 2)
            box = (*low, *(low + rng.uniform(3, 25, 2)))
            x, y, w, h = rectangle(box, height=40, width=50)
            mask = picture.mask(box, seed=seed)
            mask[y : y + h, x : x + w] = False
            assert not mask.any()


def test_a_box_from_which_nothing_can_be_learnt_gives_an_empty_mask(
    settings: GrabCutSettings,
) -> None:
    picture = prepare(disc()[0], settings)
    for box in NOTHING_TO_FIND.values():
        mask = picture.mask(box, seed=0)
        assert mask.shape == (60, 80)
        assert not mask.any()
    for value in (0, 255):
        assert not prepare(np.full_like(NOISE, value), settings).mask(DISC_BOX, seed=0).any()


@pytest.mark.parametrize("image", PICTURES.values(), ids=PICTURES)
def test_thin_boxes_and_boxes_at_the_border_are_no_error(
    settings: GrabCutSettings, image: np.ndarray
) -> None:
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        picture = prepare(image, settings)
        for box in THIN_OR_AT_THE_BORDER:
            assert picture.mask(box, seed=0).shape == (60, 80)


def test_a_mask_depends_on_its_seed_and_not_on_what_was_asked_before(
    settings: GrabCutSettings,
) -> None:
    image, boxes = scene(1, noise=20)
    first = [prepare(image, settings).mask(box, seed=5) for box in boxes]
    picture = prepare(image, settings)
    others = [picture.mask(box, seed=seed) for box in reversed(boxes) for seed in range(6)]
    cv2.setRNGSeed(3)
    for box, mask in zip(boxes, first, strict=True):
        assert np.array_equal(picture.mask(list(box), seed=5), mask)
    assert len({mask.tobytes() for mask in others}) > len(boxes)


@pytest.mark.parametrize("module", ["lib.masks.pseudo", "lib.hybridnet.small_branch"])
def test_all_code_that_a_mask_passes_is_told_apart(module: str) -> None:
    made = made_by(FAST, seed=1, module=module)
    passed = {
        "lib/compiled.py", "lib/data/pictures/deep_pixels.py", "lib/data/segmentation.py",
        "lib/masks/grabcut/colour_models.c", "lib/masks/grabcut/flow_trees.c", "lib/seeds.py",
        "numpy", "pillow", "pycocotools",
    }  # fmt: skip
    assert passed <= made.keys()


def test_other_settings_seeds_and_versions_of_opencv_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(settings: GrabCutSettings = FAST, seed: int = 1) -> str:
        return json.dumps(made_by(settings, seed=seed, module="lib.masks.pseudo"))

    found = [made(), made(EXACT), made(replace(FAST, iterations=3)), made(seed=2)]
    monkeypatch.setattr(cv2, "__version__", "0.1")
    assert len({*found, made()}) == 5

import ast
import importlib.metadata
import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lib.masks.grabcut.exact import GrabCutSettings, grabcut
from lib.masks.grabcut.fast import FastGrabCut
from lib.masks.grabcut.segmenter import describe, made_by, prepare
from lib.masks.quality import mask_iou
from lib.paths import ROOT
from tests.masks.scenes import DISC_BOX, NOTHING_TO_FIND, disc, scene

FAST = GrabCutSettings(iterations=2, method="fast")
EXACT = replace(FAST, method="exact")


def test_the_exact_method_is_the_whole_image_and_the_fast_one_its_own() -> None:
    image, boxes = scene(0)
    fast, exact = prepare(image, FAST), prepare(image, EXACT)
    for number, box in enumerate(boxes):
        expected = grabcut(image, box, iterations=2, seed=number)
        assert np.array_equal(exact.mask(box, seed=number), expected)
        expected = FastGrabCut(image, iterations=2).mask(box, seed=number)
        assert np.array_equal(fast.mask(box, seed=number), expected)


@pytest.mark.parametrize("settings", [FAST, EXACT])
def test_both_methods_keep_to_one_form(settings: GrabCutSettings) -> None:
    image, true = disc()
    picture = prepare(image, settings)
    mask = picture.mask(DISC_BOX, seed=0)
    assert mask.dtype == bool
    assert mask_iou(mask, true) > 0.97
    assert np.array_equal(picture.mask(list(DISC_BOX), seed=0), mask)
    assert np.array_equal(picture.mask(tuple(np.array(DISC_BOX)), seed=0), mask)
    for box in NOTHING_TO_FIND.values():
        assert not picture.mask(box, seed=0).any()


def test_more_iterations_give_other_masks() -> None:
    image, boxes = scene(4, noise=25)
    for settings in (FAST, EXACT):
        masks = [
            prepare(image, replace(settings, iterations=n)).mask(box, seed=0)
            for n in (1, 8)
            for box in boxes
        ]
        first, last = masks[: len(boxes)], masks[len(boxes) :]
        assert any(not np.array_equal(a, b) for a, b in zip(first, last, strict=True))


def test_a_file_says_how_its_masks_were_made() -> None:
    assert describe(EXACT, seed=4) == {
        "method": "grabcut",
        "variant": "exact",
        "iterations": 2,
        "seed": 4,
        "opencv": cv2.__version__,
    }
    assert json.loads(json.dumps(describe(FAST, seed=4)))["variant"] == "fast"


@pytest.mark.parametrize("name", ["numpy", "pillow", "pycocotools"])
def test_other_packages_are_told_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = made_by(FAST, seed=1, module="lib.masks.pseudo"), importlib.metadata.version
    assert made_by(FAST, seed=1, module="lib.masks.pseudo") == before
    monkeypatch.setattr(importlib.metadata, "version", lambda x: version(x) + "b" * (x == name))
    assert made_by(FAST, seed=1, module="lib.masks.pseudo") != before


@pytest.mark.parametrize("module", ["lib.masks.pseudo", "lib.hybridnet.small_branch"])
def test_all_code_that_a_mask_passes_is_told_apart(module: str) -> None:
    made = made_by(FAST, seed=1, module=module)
    passed = {
        *("lib/compiled.py", "lib/data/pictures/deep_pixels.py", "lib/data/pictures/images.py"),
        *(
            "lib/data/segmentation.py",
            "lib/masks/grabcut/colour_models.c",
            "lib/masks/grabcut/fast.py",
        ),
        *(
            "lib/masks/grabcut/flow_trees.c",
            "lib/masks/quality.py",
            "lib/masks/rle.py",
            "lib/seeds.py",
        ),
    }
    assert passed | imported("lib/masks/grabcut/segmenter.py", set()) <= made.keys()
    in_c = {x[:-2] + "c" for x in made if (ROOT / x).with_suffix(".c").exists() and x[-3:] == ".py"}
    assert in_c
    assert in_c <= made.keys()


def test_other_settings_seeds_and_versions_of_opencv_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(settings: GrabCutSettings = FAST, seed: int = 1) -> str:
        return json.dumps(made_by(settings, seed=seed, module="lib.masks.pseudo"))

    found = [made(), made(EXACT), made(replace(FAST, iterations=3)), made(seed=2)]
    monkeypatch.setattr(cv2, "__version__", "0.1")
    assert len({*found, made()}) == 5


def imported(path: str, done: set[str]) -> set[str]:
    """The modules of lib.masks that a file imports, and those that they import."""
    done.add(path)
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib.masks."):
            other = str(node.module).replace(".", "/") + ".py"
            if other not in done:
                imported(other, done)
    return done


@pytest.mark.parametrize("program", ["lib.masks.__main__", "lib.bench.mask_memory"])
def test_making_masks_loads_nothing_large(program: str) -> None:
    # Each worker is a process of its own: what it loads counts once for each
    code = (
        f"import sys, {program};"
        "from lib.masks.grabcut.segmenter import warm_up;"
        "from lib.masks.grabcut.exact import GrabCutSettings;"
        "warm_up(GrabCutSettings(method='fast')); warm_up(GrabCutSettings(method='exact'));"
        "print(*sorted({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""

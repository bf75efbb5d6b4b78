import ast
import importlib.metadata
import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lib.masks import segmenter
from lib.masks.fast_grabcut import FastGrabCut
from lib.masks.grabcut import GrabCutSettings, grabcut
from lib.masks.quality import mask_iou
from lib.masks.segmenter import describe, made_by, prepare
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


@pytest.mark.parametrize(
    "name",
    [
        "images.py",
        "compiled.py",
        "colour_models.c",
        "colour_models.py",
        "fast_grabcut.py",
        "grabcut.py",
        "flow_pushes.c",
        "flow_pushes.py",
        "flow_trees.c",
        "flow_trees.py",
        "links.c",
        "links.py",
        "mincut.c",
        "mincut.py",
        "palette.c",
        "palette.py",
        "quality.py",
        "rle.py",
        "segmenter.py",
        "seeds.py",
        "paste.py",  # the further file below
        "numpy",
        "pillow",
        "pycocotools",
        "ziglang",
    ],
)
def test_other_code_or_packages_are_told_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> dict:
        return made_by(FAST, seed=1, code="lib/masks/paste.py")

    before = made()
    assert made() == before
    version, digest = importlib.metadata.version, segmenter.digest
    monkeypatch.setattr(importlib.metadata, "version", lambda x: version(x) + "b" * (x == name))
    monkeypatch.setattr(segmenter, "digest", lambda x: digest(x) + "b" * (x.name == name))
    assert made() != before


def test_other_settings_seeds_and_versions_of_opencv_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(settings: GrabCutSettings = FAST, seed: int = 1) -> str:
        return json.dumps(made_by(settings, seed=seed, code="lib/masks/pseudo.py"))

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


def test_every_module_that_makes_a_mask_is_among_the_code_told_apart() -> None:
    modules = imported("lib/masks/segmenter.py", set())
    in_c = {x[:-2] + "c" for x in modules if (ROOT / x).with_suffix(".c").exists()}
    assert in_c
    assert modules | in_c <= {*segmenter._CODE}


@pytest.mark.parametrize("program", ["lib.masks.__main__", "lib.masks.memory"])
def test_making_masks_loads_nothing_large(program: str) -> None:
    # Each worker is a process of its own: what it loads counts once for each
    code = (
        f"import sys, {program};"
        "from lib.masks.segmenter import warm_up; from lib.masks.grabcut import GrabCutSettings;"
        "warm_up(GrabCutSettings(method='fast')); warm_up(GrabCutSettings(method='exact'));"
        "print(*sorted({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""

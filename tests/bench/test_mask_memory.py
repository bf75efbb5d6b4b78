"""Peak memory in processes of their own."""

import subprocess
import sys

import numpy as np
import pytest

from lib.bench import mask_memory
from lib.bench.mask_trials import sample
from lib.masks.grabcut.exact import GrabCutSettings

ALLOCATE = """
import numpy as np
from lib.bench.mask_memory import peak_mib
before = peak_mib()
held = np.ones(80 * 2**20, dtype=np.uint8)
with_it = peak_mib()
del held
print(before, with_it, peak_mib())
"""


def test_the_peak_counts_what_was_held_and_stays(tmp_path) -> None:
    ballast = np.ones(300 * 2**20, dtype=np.uint8)  # of the parent: no business of the child
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATE], capture_output=True, text=True, check=True
    )
    before, with_it, after = map(float, done.stdout.split())
    assert with_it - before == pytest.approx(80, abs=4)
    assert after == pytest.approx(with_it, abs=1)
    assert before < 300 <= ballast.nbytes / 2**20


def test_each_method_has_a_process_and_its_stages_only_grow(make_set) -> None:
    coco_set = make_set(images=2)
    settings = {m: GrabCutSettings(iterations=1, method=m) for m in ("exact", "fast")}
    found = mask_memory.peaks(coco_set, sample(coco_set, 4, seed=0), settings, seed=0)
    assert list(found) == ["exact", "fast"]
    for stages in found.values():
        assert 20 < stages["decoded"] <= stages["warm"] <= stages["peak"]

"""The measurement of both methods on a small set."""

import subprocess
import sys

import numpy as np
import pytest

from lib.bench import masks
from lib.files import read_json
from lib.masks.trials import sample

ALLOCATE = """
import numpy as np
from lib.bench.mask_memory import peak_mib
before = peak_mib()
held = np.ones(80 * 2**20, dtype=np.uint8)
with_it = peak_mib()
del held
print(before, with_it, peak_mib())
"""


def test_a_measurement_has_every_box_with_every_method(make_set, tmp_path) -> None:
    made, out = make_set(), tmp_path / "speed.json"
    arguments = ["--annotations", str(made.annotations_path), "--images", str(made.image_root)]
    arguments += ["--boxes", "5", "--iterations", "1", "--out", str(out)]
    assert masks.main(arguments) == 0
    content = read_json(out)
    boxes = sample(made, 5, seed=0)
    methods = {masks.EXACT, masks.OTHER_SEED, masks.FAST}
    rows = {(row["run"], row["annotation_id"]) for row in content["rows"]}
    assert rows == {(method, x.id) for method in methods for x in boxes}
    assert content["set"] == {
        "annotations": "boxes.json", "images": 2, "boxes": 5, "image_pixels": 72 * 60
    }  # fmt: skip
    assert list(content["memory"]) == ["exact", "fast"]
    for stages in content["memory"].values():
        assert 20 < stages["imports_and_pictures"] <= stages["peak"]
        assert stages["beyond_pictures"] == stages["first_mask"] + stages["masks"]


def test_the_peak_counts_what_was_held_and_stays() -> None:
    ballast = np.ones(300 * 2**20, dtype=np.uint8)  # of the parent: no business of the child
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATE], capture_output=True, text=True, check=True
    )
    before, with_it, after = map(float, done.stdout.split())
    assert with_it - before == pytest.approx(80, abs=4)
    assert after == pytest.approx(with_it, abs=1)
    assert before < 300 <= ballast.nbytes / 2**20


def test_what_a_user_can_mend_is_a_sentence(make_set, tmp_path, capsys) -> None:
    made = make_set()
    arguments = ["--annotations", str(made.annotations_path), "--images", str(made.image_root)]
    arguments += ["--out", str(tmp_path / "speed.json")]
    assert masks.main([*arguments, "--boxes", "-3"]) == 2
    assert "-3 boxes" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no box"):
        masks.measure(make_set(boxes=0), boxes=0, iterations=1, seed=0)

"""The measurement of both methods on a small set."""

import pandas as pd
import pytest

from lib.bench import masks
from lib.bench.mask_trials import COLUMNS, sample
from lib.files import read_json


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Replace the making of pseudo-masks by a list of (workers, shard size)."""
    calls: list[tuple[int, int]] = []

    def generate(coco_set, *, workers: int, shard_size: int, **options) -> None:
        calls.append((workers, shard_size))

    monkeypatch.setattr(masks, "generate", generate)
    return calls


def test_a_measurement_has_every_box_with_every_method(make_set, tmp_path, counted) -> None:
    made, out = make_set(), tmp_path / "speed.json"
    arguments = ["--annotations", str(made.annotations_path), "--images", str(made.image_root)]
    arguments += ["--boxes", "5", "--worker-boxes", "0", "--iterations", "1", "--out", str(out)]
    assert masks.main(arguments) == 0
    content = read_json(out)
    boxes = sample(made, 5, seed=0)
    methods = {masks.EXACT, masks.OTHER_SEED, masks.FAST}
    rows = {(row["run"], row["annotation_id"]) for row in content["rows"]}
    assert rows == {(method, x.id) for method in methods for x in boxes}
    assert set(content["rows"][0]) == set(COLUMNS)
    assert content["set"] == {
        "annotations": "boxes.json", "images": 2, "boxes": 5, "image_pixels": 72 * 60
    }  # fmt: skip
    assert set(content["memory"]) == {"exact", "fast"}
    assert (content["workers"]["boxes"], content["workers"]["images"]) == (15, 5)


def test_workers_take_turns_after_they_were_started(make_set, counted) -> None:
    settings = masks.GrabCutSettings(iterations=1)
    found = masks.workers(make_set(images=6), boxes=9, settings=settings, seed=0)
    assert (found["boxes"], found["images"]) == (9, 3)
    assert [workers for workers, _ in counted] == [2, 1, 2, 2, 1]
    assert len({size for _, size in counted[1:]}) == 1


def test_memory_is_measured_where_it_is_needed_most(monkeypatch) -> None:
    monkeypatch.setattr(masks, "MEMORY_IMAGES", 2)
    rows = [(1, 90, 100), (1, 80, 100), (2, 5, 900), (3, 10, 200), (4, 200, 300), (5, 20, 400)]
    frame = pd.DataFrame(rows, columns=["image_id", "box_area", "image_area"])
    # largest boxes: 4, 1; largest images: 2, 5
    assert masks.most_demanding(frame) == {1, 2, 4, 5}


def test_what_a_user_can_mend_is_a_sentence(make_set, tmp_path, capsys) -> None:
    made = make_set()
    arguments = ["--annotations", str(made.annotations_path), "--images", str(made.image_root)]
    arguments += ["--out", str(tmp_path / "speed.json")]
    assert masks.main([*arguments, "--boxes", "-3"]) == 2
    assert "-3 boxes" in capsys.readouterr().err
    assert masks.main([*arguments, "--annotations", "nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no box"):
        masks.measure(make_set(boxes=0), boxes=0, worker_boxes=0, iterations=1, seed=0)

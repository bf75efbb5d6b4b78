"""The measurement of both methods on a small set."""

import json
from pathlib import Path

import pytest

from lib.bench import masks
from lib.bench.mask_trials import COLUMNS, sample
from lib.data.coco import load
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


def test_memory_is_measured_where_it_is_needed_most(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(masks, "MEMORY_IMAGES", 2)
    sides = {1: (100, 100), 2: (900, 900), 3: (200, 200), 4: (300, 300), 5: (400, 400)}
    box = {1: 90, 2: 5, 3: 10, 4: 200, 5: 20}  # largest boxes: 4, 1; largest images: 2, 5
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": w, "height": h}
            for i, (w, h) in sides.items()
        ],
        "annotations": [
            {"id": 10 * i + n, "image_id": i, "category_id": 1, "bbox": [0, 0, box[i] - n, box[i]]}
            for i in sides for n in range(2)
        ],
        "categories": [{"id": 1, "name": "car"}],
    }  # fmt: skip
    path = tmp_path / "sizes.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    coco_set = load(path, None)
    chosen = masks.most_demanding(coco_set, sample(coco_set, 0, seed=0))
    assert [x.id for x in chosen] == [10, 11, 20, 21, 40, 41, 50, 51]


def test_what_a_user_can_mend_is_a_sentence(make_set, tmp_path, capsys) -> None:
    made = make_set()
    arguments = ["--annotations", str(made.annotations_path), "--images", str(made.image_root)]
    arguments += ["--out", str(tmp_path / "speed.json")]
    assert masks.main([*arguments, "--boxes", "-3"]) == 2
    assert "-3 boxes to try GrabCut on" in capsys.readouterr().err
    assert masks.main([*arguments, "--iterations", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
    missing = ["--annotations", str(Path("nowhere.json")), *arguments[2:]]
    assert masks.main(missing) == 2
    assert "nowhere.json" in capsys.readouterr().err


def test_a_set_without_boxes_is_refused_in_words(make_set) -> None:
    empty = make_set(boxes=0)
    with pytest.raises(ValueError, match="has no box to make a mask for"):
        masks.measure(empty, boxes=0, worker_boxes=0, iterations=1, seed=0)

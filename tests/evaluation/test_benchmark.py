from pathlib import Path
from typing import Any

import pytest

from lib.evaluation import benchmark
from lib.evaluation.benchmark import main
from lib.evaluation.drawn import draw_detections, draw_labels
from lib.files import read_json, write_json


def test_drawn_sets_are_the_same_for_a_seed_and_have_what_was_asked_for() -> None:
    labels = draw_labels(30, seed=1)
    found = draw_detections(labels, per_image=6, seed=1)
    assert labels == draw_labels(30, seed=1) != draw_labels(30, seed=2)
    assert found == draw_detections(labels, per_image=6, seed=1)
    assert [sum(d["image_id"] == i["id"] for d in found) for i in labels["images"]] == [6] * 30
    assert 4 < len(labels["annotations"]) / 30 < 11
    assert all(a["area"] > 0 for a in labels["annotations"])


def test_both_judges_say_the_same_and_the_file_says_so(tmp_path: Path) -> None:
    sizes = ["--images", "25", "--detections", "8", "--rounds", "2", "--memory"]
    kinds = ["--iou-type", "segm", "bbox"]
    assert main([*sizes, *kinds, "--out", str(tmp_path / "b.json")]) == 0
    content = read_json(tmp_path / "b.json")
    assert (content["images"], content["detections"]) == (25, 200)
    assert [row["iou_type"] for row in content["results"]] == ["segm", "bbox"]
    for row in content["results"]:
        numbers = row["numbers"]
        assert row["equal"] and numbers["ours"] == numbers["pycocotools"]
        assert len(numbers["ours"]) == 12 and 0.05 < numbers["ours"][0] < 0.95
        assert [len(row["seconds"][name]) for name in ("ours", "pycocotools")] == [2, 2]
        assert row["ratio"] > 0 and min(row["memory_mib"].values()) >= 0


def test_another_number_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def almost(*given: Any) -> list[float]:
        first, *others = benchmark.ours(*given)
        return [first + 2**-50, *others]

    monkeypatch.setitem(benchmark.JUDGES, "ours", almost)
    assert main(["--images", "10", "--detections", "8", "--rounds", "1"]) == 1


def test_labels_without_an_outline_are_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = draw_labels(2, seed=0)
    for annotation in labels["annotations"]:
        annotation["segmentation"] = []
    write_json(tmp_path / "labels.json", labels)
    assert main(["--annotations", str(tmp_path / "labels.json")]) == 2
    assert "have no polygons" in capsys.readouterr().err

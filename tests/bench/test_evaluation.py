from pathlib import Path
from typing import Any

import pytest

from lib.bench import evaluation
from lib.bench.drawn_detections import draw_labels
from lib.bench.evaluation import main
from lib.files import read_json, write_json


def test_both_judges_say_the_same_and_the_file_says_so(tmp_path: Path) -> None:
    sizes = ["--images", "12", "--detections", "8", "--rounds", "2"]
    kinds = ["--iou-type", "segm", "bbox"]
    assert main([*sizes, *kinds, "--out", str(tmp_path / "b.json")]) == 0
    content = read_json(tmp_path / "b.json")
    assert (content["images"], content["detections"]) == (12, 96)
    assert [row["iou_type"] for row in content["results"]] == ["segm", "bbox"]
    for row in content["results"]:
        numbers = row["numbers"]
        assert row["equal"] and numbers["ours"] == numbers["pycocotools"]
        assert len(numbers["ours"]) == 12 and 0.05 < numbers["ours"][0] < 0.95
        assert [len(row["seconds"][name]) for name in ("ours", "pycocotools")] == [2, 2]


def test_another_number_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def almost(*given: Any) -> list[float]:
        first, *others = evaluation.ours(*given)
        return [first + 2**-50, *others]

    monkeypatch.setitem(evaluation.JUDGES, "ours", almost)
    assert main(["--images", "10", "--detections", "8", "--rounds", "1"]) == 1


def judged(labels: dict[str, Any], folder: Path, *kinds: str) -> Any:
    write_json(folder / "labels.json", labels)
    out = ["--out", str(folder / "b.json"), "--iou-type", *kinds]
    counts = ["--detections", "6", "--rounds", "1"]
    assert main(["--annotations", str(folder / "labels.json"), *counts, *out]) == 0
    return read_json(folder / "b.json")["results"]


def own_labels() -> dict[str, Any]:
    """Return drawn labels with pixels as areas, and without a crowd region."""
    labels = draw_labels(8, seed=2)
    some = [a for a in labels["annotations"] if not a["iscrowd"]]
    return labels | {"annotations": [a | {"id": n} for n, a in enumerate(some, start=1)]}


def without(labels: dict[str, Any], field: str) -> None:
    for annotation in labels["annotations"]:
        del annotation[field]


def test_what_files_leave_out_changes_no_number_of_either_judge(tmp_path: Path) -> None:
    labels = own_labels()
    whole = judged(labels, tmp_path, "segm")
    without(labels, "area")
    without(labels, "iscrowd")
    for annotation in labels["annotations"]:
        annotation |= {"id": annotation["id"] - 1, "image_id": str(annotation["image_id"])}
    found = judged(labels, tmp_path, "segm")
    assert all(row["equal"] for row in [*whole, *found])
    assert found[0]["numbers"] == whole[0]["numbers"]


def test_labels_without_a_mask_are_judged_by_boxes_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = own_labels()
    without(labels, "segmentation")
    assert judged(labels, tmp_path, "bbox")[0]["equal"]
    assert main(["--annotations", str(tmp_path / "labels.json")]) == 2
    assert "--iou-type bbox" in capsys.readouterr().err


def test_instances_without_a_mask_are_judged_by_neither(tmp_path: Path) -> None:
    labels = own_labels()
    for number, annotation in enumerate(labels["annotations"]):
        annotation["segmentation"] = [[[1, 2, 3, 4]], [], annotation["segmentation"]][number % 3]
    boxes, masks = judged(labels, tmp_path, "bbox", "segm")
    assert boxes["equal"] and masks["equal"]
    assert 0 < masks["numbers"]["ours"][0] < 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}], "detection"),
        (own_labels() | {"annotations": []}, "instance"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, named: str
) -> None:
    write_json(tmp_path / "labels.json", content)
    assert main(["--annotations", str(tmp_path / "labels.json")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: ") and named in error[-1] and "labels.json" in error[-1]

import argparse
from pathlib import Path
from typing import Any

import pytest

from lib.bench import evaluation
from lib.bench.drawn_detections import draw_labels
from lib.bench.evaluation import main, measure
from lib.files import write_json

SMALL = {"annotations": None, "images": 12, "detections": 8, "rounds": 1, "seed": 0}


def judged(labels: dict[str, Any] | None, folder: Path, *kinds: str) -> list[dict[str, Any]]:
    options = argparse.Namespace(**SMALL, iou_type=kinds, on_bad="repair")
    if labels:
        write_json(folder / "labels.json", labels)
        options.annotations = str(folder / "labels.json")
    return measure(options)


def own_labels() -> dict[str, Any]:
    """Return drawn labels with pixels as areas, and without a crowd region."""
    labels = draw_labels(8, seed=2)
    some = [a for a in labels["annotations"] if not a["iscrowd"]]
    return labels | {"annotations": [a | {"id": n} for n, a in enumerate(some, start=1)]}


def test_both_judges_say_the_same(tmp_path: Path) -> None:
    for row in judged(None, tmp_path, "segm", "bbox"):
        numbers = row["numbers"]
        assert row["equal"] and numbers["ours"] == numbers["pycocotools"]
        assert len(numbers["ours"]) == 12 and 0.05 < numbers["ours"][0] < 0.95


def test_another_number_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def almost(*given: Any) -> list[float]:
        first, *others = evaluation.ours(*given)
        return [first + 2**-50, *others]

    sizes = ["--images", "10", "--detections", "8", "--rounds", "1"]
    assert main(sizes) == 0
    monkeypatch.setitem(evaluation.JUDGES, "ours", almost)
    assert main(sizes) == 1


def test_what_files_leave_out_changes_no_number_of_either_judge(tmp_path: Path) -> None:
    labels = own_labels()
    (whole,) = judged(labels, tmp_path, "segm")
    for annotation in labels["annotations"]:
        del annotation["area"], annotation["iscrowd"]
        annotation |= {"id": annotation["id"] - 1, "image_id": str(annotation["image_id"])}
    (found,) = judged(labels, tmp_path, "segm")
    assert whole["equal"] and found["equal"]
    assert found["numbers"] == whole["numbers"]


def test_instances_without_a_mask_are_judged_by_neither(tmp_path: Path) -> None:
    labels = own_labels()
    for number, annotation in enumerate(labels["annotations"]):
        annotation["segmentation"] = [[[1, 2, 3, 4]], [], annotation["segmentation"]][number % 3]
    boxes, masks = judged(labels, tmp_path, "bbox", "segm")
    assert boxes["equal"] and masks["equal"]
    assert 0 < masks["numbers"]["ours"][0] < 1


@pytest.mark.parametrize("fields", ["no masks", "no objects", "results"])
def test_what_cannot_be_judged_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: str
) -> None:
    labels = own_labels()
    boxes = [{k: v for k, v in a.items() if k != "segmentation"} for a in labels["annotations"]]
    content, named = {
        "no masks": (labels | {"annotations": boxes}, "--iou-type bbox"),
        "no objects": (labels | {"annotations": []}, "instance"),
        "results": ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}], "detection"),
    }[fields]
    write_json(tmp_path / "labels.json", content)
    assert main(["--annotations", str(tmp_path / "labels.json")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: ") and named in error[-1] and "labels.json" in error[-1]

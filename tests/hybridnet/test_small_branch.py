import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.data.coco import CocoSet
from lib.data.pictures.images import read_image
from lib.files import read_json
from lib.hybridnet import small_branch as module
from lib.hybridnet.small_branch import (
    box_of,
    cost_line,
    read_segmented,
    seconds_log,
    seed_of,
    segment,
    with_masks,
)
from lib.masks import gather, rle, shards
from lib.masks.grabcut.exact import GrabCutSettings, rectangle
from lib.masks.grabcut.segmenter import prepare
from lib.masks.quality import mask_box_iou
from lib.masks.shapes import ellipse_mask, rectangle_mask
from lib.progress import Progress

TWO = GrabCutSettings(iterations=2)
EXACT = GrabCutSettings(iterations=2, method="exact")


def detected(coco_set: CocoSet, count: int = 4) -> list[dict]:
    """Made-up detections: near objects, twice the same pixels, tiny ones and one outside."""
    rng = np.random.default_rng(3)
    results = []
    for record in coco_set.images:
        bright = np.argwhere(read_image(record).max(axis=2) > 120)
        for number in range(count):
            (y, x), (w, h) = rng.choice(bright), rng.uniform(8, 44, 2)
            box = [round(float(side), 2) for side in (x - w / 2, y - h / 2, w, h)]
            results.append(
                {
                    "image_id": record.id,
                    "category_id": 3 if number % 2 else 7,
                    "bbox": box,
                    "score": round(float(rng.uniform(0.05, 1)), 5),
                    "proposal": number,
                }
            )
        x, y = results[-1]["bbox"][:2]
        w, h = math.ceil(x + 12) - x, math.ceil(y + 12) - y
        results[-1]["bbox"] = [x, y, w - 0.01, h - 0.01]
        results.append({**results[-1], "category_id": 3, "bbox": [x, y, w - 0.02, h - 0.02]})
        results.append({**results[-1], "bbox": [7.6, 8.6, 0.9, 0.9]})
        results.append({**results[-1], "bbox": [record.width + 5.0, 3.0, 10.0, 10.0]})
    order = rng.permutation(len(results))
    return [results[index] for index in order]


def made(coco_set: CocoSet, results: list[dict], out: Path, **changes) -> Path:
    options = {"settings": TWO, "seed": 1, "workers": 1}
    return segment(coco_set, results, out=out, **(options | changes))


@pytest.mark.parametrize("settings", [TWO, EXACT], ids=["fast", "exact"])
def test_masks_are_those_of_single_calls(make_set, tmp_path: Path, settings) -> None:
    coco_set = make_set()
    results = detected(coco_set)
    content = read_json(made(coco_set, results, tmp_path / "segmented.json", settings=settings))
    empty = 0
    for given, row in zip(results, content["detections"], strict=True):
        record = coco_set.image(given["image_id"])
        x, y, w, h = given["bbox"]
        box = (x, y, x + w, y + h)
        pixels = rectangle(box, height=record.height, width=record.width)
        seed = seed_of(1, record.id, pixels)
        expected = prepare(read_image(record), settings).mask(box, seed=seed)
        mask = rle.decode(row.pop("grabcut"), record.height, record.width)
        assert np.array_equal(mask, expected)
        assert row.pop("box_iou") == mask_box_iou(mask, box)
        assert row == given
        empty += not mask.any()
    assert len(coco_set.images) * 2 <= empty < len(results) - 5
    assert content["info"] == {
        "method": "grabcut",
        "variant": settings.method,
        "iterations": 2,
        "seed": 1,
        "opencv": cv2.__version__,
        "boxes": len(results),
        "images": 5,
    }


def test_the_file_does_not_depend_on_workers_or_shards(
    make_set, tmp_path: Path, monkeypatch
) -> None:
    coco_set = make_set()
    results = detected(coco_set)
    one = made(coco_set, results, tmp_path / "one.json").read_bytes()
    assert made(coco_set, results, tmp_path / "two.json", workers=2).read_bytes() == one
    assert made(coco_set, results, tmp_path / "new.json", seed=2).read_bytes() != one
    monkeypatch.setattr(shards, "MANY_UNITS", 1)
    assert len(module._units(coco_set, results)) == 2
    assert made(coco_set, results, tmp_path / "large.json").read_bytes() == one
    assert not list(tmp_path.glob("*.shards"))


def test_a_detection_gets_the_same_mask_whatever_else_was_detected(make_set, tmp_path) -> None:
    coco_set = make_set()
    results = detected(coco_set)
    everything = read_segmented(made(coco_set, results, tmp_path / "all.json"))
    part = read_segmented(made(coco_set, results[10:4:-1], tmp_path / "part.json"))
    assert part == everything[10:4:-1]


def test_detections_on_the_same_pixels_share_one_run(make_set, tmp_path: Path, monkeypatch) -> None:
    coco_set = make_set()
    results = detected(coco_set)
    prepared, calls = [], []

    class Counted:
        def __init__(self, *arguments) -> None:
            prepared.append(arguments)
            self.picture = prepare(*arguments)

        def mask(self, box: tuple, *, seed: int) -> np.ndarray:
            calls.append(box)
            return self.picture.mask(box, seed=seed)

    monkeypatch.setattr(module, "prepare", Counted)
    out = made(coco_set, results, tmp_path / "segmented.json")
    distinct = set()
    for result in results:
        record = coco_set.image(result["image_id"])
        tiny = result["bbox"][2] * result["bbox"][3] <= 1
        sides = rectangle(box_of(result), height=record.height, width=record.width)
        distinct.add((record.id, *sides, tiny))
    assert len(prepared) == len(coco_set.images)
    assert len(calls) == len(distinct) == len(results) - len(coco_set.images)
    log = read_json(seconds_log(out))
    assert sum(image["runs"] for image in log["images"]) == len(calls)


def test_interrupted_and_continued_gives_the_same_file(make_set, tmp_path: Path) -> None:
    coco_set, out = make_set(), tmp_path / "segmented.json"
    results = detected(coco_set)
    whole = made(coco_set, results, tmp_path / "whole.json").read_bytes()

    def stop(progress: Progress) -> None:
        if progress.done >= len(results) // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(coco_set, results, out, on_progress=stop)
    steps: list[Progress] = []
    made(coco_set, results, out, on_progress=steps.append)
    assert out.read_bytes() == whole
    assert steps[-1].done == steps[-1].total == len(results) > steps[-1].earlier > 0
    log = read_json(seconds_log(out))
    assert log["earlier_boxes"] == steps[-1].earlier
    assert sum(image["boxes"] for image in log["images"]) + steps[-1].earlier == len(results)
    assert "taken over from an earlier run" in cost_line(seconds_log(out))


def test_shards_of_other_detections_or_pictures_are_not_used(make_set, tmp_path: Path) -> None:
    coco_set = make_set()
    results = detected(coco_set)

    def key(results: list[dict]) -> str:
        return gather.key(module._units(coco_set, results), {})

    before = key(results)
    moved = [{**results[0], "bbox": [1.0, 1.0, 9.0, 9.0]}, *results[1:]]
    assert before not in (key(moved), key(results[1:]), key(results[::-1]))
    os.utime(coco_set.images[0].path, ns=(1, 1))
    assert key(results) != before


def test_no_detections_give_an_empty_file(make_set, tmp_path: Path) -> None:
    coco_set = make_set(images=1)
    out = made(coco_set, [], tmp_path / "segmented.json", workers=2)
    assert read_json(out)["info"]["boxes"] == 0
    assert read_segmented(out) == with_masks([], coco_set, shape="grabcut_or_ellipse") == []
    assert cost_line(seconds_log(out)) == "GrabCut had no box to segment in this run."


def test_outside_the_image_there_is_no_mask_of_any_kind(make_set, tmp_path: Path) -> None:
    coco_set = make_set(images=1)
    outside = {"image_id": 1, "category_id": 3, "bbox": [72.0, 70.0, 9.0, 8.0], "score": 0.5}
    out = made(coco_set, [outside], tmp_path / "segmented.json")
    (row,) = read_segmented(out)
    assert (row["grabcut"], row["box_iou"]) == ([], 0)
    for shape in ("rectangle", "ellipse", "grabcut", "grabcut_or_ellipse", "grabcut_or_rectangle"):
        (result,) = with_masks([row], coco_set, shape=shape)
        assert result["segmentation"] == rle.encode(np.zeros((60, 72), dtype=bool))


GOOD = {"image_id": 1, "category_id": 3, "bbox": [1.0, 1.0, 9.0, 9.0], "score": 0.5}


def test_detections_of_another_set_are_refused(make_set, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"1 of unknown images, with ids \(99\)"):
        made(make_set(images=1), [GOOD, GOOD | {"image_id": 99}], tmp_path / "segmented.json")
    assert not list(tmp_path.glob("segmented*"))


def test_every_rule_gives_the_mask_it_names(make_set, tmp_path: Path) -> None:
    coco_set = make_set()
    rows = read_segmented(made(coco_set, detected(coco_set), tmp_path / "segmented.json"))
    found = sorted(row["box_iou"] for row in rows if row["grabcut"])
    limit = found[len(found) // 2]  # which itself is good enough
    shapes = set()
    for shape in ("rectangle", "ellipse", "grabcut", "grabcut_or_ellipse", "grabcut_or_rectangle"):
        results = with_masks(rows, coco_set, shape=shape, poor_below=limit)
        for row, result in zip(rows, results, strict=True):
            x, y, w, h = row["bbox"]
            box, size = (x, y, x + w, y + h), (60, 72)
            good = shape == "grabcut" or (shape.startswith("grabcut") and row["box_iou"] >= limit)
            expected = {
                "grabcut": lambda row=row, size=size: rle.decode(row["grabcut"], *size),
                "ellipse": lambda box=box, size=size: ellipse_mask(box, *size),
                "rectangle": lambda box=box, size=size: rectangle_mask(box, *size),
            }
            drawn = "grabcut" if good else shape.removeprefix("grabcut_or_")
            assert result["shape"] == drawn
            assert np.array_equal(rle.decode(result["segmentation"], *size), expected[drawn]())
            assert set(result) == {*GOOD, "segmentation", "shape"}
            assert all(result[field] == row[field] for field in GOOD)
            shapes.add((shape, drawn))
    assert len(shapes) == 3 + 2 * 2

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.files import write_json
from lib.opmask import fig3_controls, overlap
from lib.paths import find_data

NAMES = {1: "person", 17: "cat", 22: "elephant", 47: "cup", 90: "toothbrush"}
SIDE = 100


def made(boxes: list[tuple[int, int, list[float], int]]) -> dict[str, Any]:
    """Return labels of (image, category, xywh, crowd)."""
    images = sorted({image for image, *_ in boxes})
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": SIDE, "height": SIDE}
                   for i in images],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd,
             "area": box[2] * box[3]}
            for n, (image, category, box, crowd) in enumerate(boxes, start=1)
        ],
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
    }  # fmt: skip


def opened(boxes: list[tuple[int, int, list[float], int]]) -> CocoSet:
    return from_coco(made(boxes), Path("labels.json"), None)


def of(frame: pd.DataFrame, name: str) -> float:
    return float(frame.loc[frame["name"] == name, "overlap"].iloc[0])


def area(box: Any) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def common(a: Any, b: Any) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def iou(a: Any, b: Any) -> float:
    return common(a, b) / (area(a) + area(b) - common(a, b))


@pytest.fixture(scope="module")
def random_labels() -> CocoSet:
    rng = np.random.default_rng(3)
    boxes = []
    for image in range(1, 13):
        for _ in range(rng.integers(1, 7)):
            size = rng.uniform(5, 60, 2)
            box = np.r_[rng.uniform(0, SIDE - size), size].tolist()
            category = int(rng.choice(list(NAMES)[:4]))
            boxes.append((image, category, box, int(rng.random() < 0.15)))
    return opened(boxes)


def naive(coco_set: CocoSet, definition: str, label: int, *, crowds: bool) -> float:
    """Return the overlap of a class by loops over images, instances and pairs."""
    per_pair, per_other, per_instance, per_overlapping, per_image, inside = [], [], [], [], [], []
    for image in coco_set.images:
        some = [x for x in coco_set.instances(image.id) if crowds or not x.iscrowd]
        own = [(i, j) for i, j in permutations(some, 2) if i.label == label]
        values = [iou(i.box, j.box) for i, j in own]
        per_pair += values
        per_other += [v for v, (i, j) in zip(values, own, strict=True) if i.label != j.label]
        per_overlapping += [v for v in values if v > 0]
        per_image += [np.mean(values)] if values else []
        for i in some:
            if i.label == label:
                others = [j for j in some if j is not i]
                per_instance.append(max((iou(i.box, j.box) for j in others), default=0.0))
                inside.append(
                    max((common(i.box, j.box) / area(i.box) for j in others), default=0.0)
                )
    chosen = {
        "all_pairs": per_pair, "other_class_pairs": per_other, "nearest": per_instance,
        "overlapping_pairs": per_overlapping, "image_mean": per_image, "inside": inside,
    }[definition]  # fmt: skip
    return float(np.mean(chosen)) if chosen else float("nan")


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("definition", list(overlap.MEANINGS))
def test_every_definition_is_what_loops_over_pairs_give(
    random_labels: CocoSet, definition: Any, crowds: bool
) -> None:
    frame = overlap.mean_overlap(random_labels, definition, crowds=crowds)
    expected = [naive(random_labels, definition, k, crowds=crowds) for k in frame["label"]]
    np.testing.assert_allclose(frame["overlap"], expected, rtol=1e-9)
    counted = [x.label for x in random_labels.all_instances() if crowds or not x.iscrowd]
    assert frame["instances"].tolist() == [counted.count(k) for k in frame["label"]]


def test_a_class_with_nothing_to_average_is_missing_and_not_zero() -> None:
    labels = opened([(1, 1, [0, 0, 9, 9], 0), (1, 1, [50, 50, 9, 9], 0), (2, 17, [0, 0, 9, 9], 0)])
    for definition in overlap.MEANINGS:
        frame = overlap.mean_overlap(labels, definition)
        assert np.isnan(of(frame, "toothbrush"))  # no instance
    assert np.isnan(of(overlap.mean_overlap(labels, "all_pairs"), "cat"))  # no pair
    assert np.isnan(of(overlap.mean_overlap(labels, "other_class_pairs"), "person"))
    assert np.isnan(of(overlap.mean_overlap(labels, "overlapping_pairs"), "person"))
    assert of(overlap.mean_overlap(labels, "nearest"), "cat") == 0
    assert of(overlap.mean_overlap(labels, "all_pairs"), "person") == 0


def test_ranks_are_places_among_the_classes_with_a_value(random_labels: CocoSet) -> None:
    table = overlap.definitions_table(random_labels)
    places = overlap.ranks(table)
    assert set(places["name"]) == {"person", "cat"}
    for row in places.to_dict("records"):
        part = table[
            (table["definition"] == row["definition"]) & (table["crowds"] == row["crowds"])
        ]
        values = sorted(part["overlap"].dropna(), reverse=True)
        assert values.index(row["overlap"]) == row["rank"] - 1
        assert len(values) == row["classes"] == 4  # no toothbrush
        assert row["above"] == pytest.approx((4 - row["rank"]) / 3)


def test_the_definition_that_fits_is_the_one_where_the_lower_of_both_is_highest() -> None:
    places = pd.DataFrame(
        [
            ("nearest", False, "person", 9, 0.9), ("nearest", False, "cat", 5, 0.5),
            ("inside", False, "person", 9, 0.8), ("inside", False, "cat", 5, 0.76),
            ("image_mean", False, "person", 9, 0.75), ("image_mean", False, "cat", 5, 1.0),
            ("all_pairs", True, "person", 9, 1.0), ("all_pairs", True, "cat", 5, 1.0),
        ],
        columns=["definition", "crowds", "name", "instances", "above"],
    )  # fmt: skip
    best = overlap.fitting(places[~places["crowds"]])
    assert best["definition"].tolist() == ["inside", "image_mean", "nearest"]
    assert "best is inside" in overlap.fitting_line(places)
    fits = overlap.fitting(places).set_index(["definition", "crowds"])["fits"]
    assert fits.to_dict() == {
        ("all_pairs", True): True, ("inside", False): True, ("image_mean", False): True,
        ("nearest", False): False,
    }  # fmt: skip
    low = places[places["definition"] == "nearest"]
    assert overlap.fitting_line(low).startswith("By no definition")
    assert "nothing tells" in overlap.fitting_line(places[places["name"] == "cat"])


def test_the_program_prints_a_table_and_writes_it(
    random_labels: CocoSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(tmp_path / "labels.json", random_labels.to_coco())
    out = tmp_path / "overlap.csv"
    arguments = ["--annotations", str(tmp_path / "labels.json"), "--out", str(out)]
    assert overlap.main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*NAMES.values(), *overlap.MEANINGS])
    assert overlap.fitting_line(overlap.ranks(overlap.definitions_table(random_labels))) in printed
    written = pd.read_csv(out)
    pd.testing.assert_frame_equal(written, overlap.definitions_table(random_labels), rtol=1e-5)


@pytest.mark.photos
@pytest.mark.parametrize("year", ["train2017", "val2017"])
def test_on_coco_labels_only_the_mean_over_images_puts_both_named_classes_high(
    year: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        annotations = find_data(f"coco2017/annotations/instances_{year}.json")
    except FileNotFoundError:
        pytest.skip("COCO's labels are not here.")
    assert overlap.main(["--annotations", str(annotations)]) == 0
    assert "The one that fits best is image_mean" in capsys.readouterr().out


@pytest.mark.parametrize("there", [[], ["person"], ["cat"], ["person", "cat"]])
def test_labels_without_the_named_classes_get_all_the_rest_and_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: list[str]
) -> None:
    labels = made([(1, i, [i / 2, 5.0, 20.0, 20.0], 0) for i in NAMES])
    for category in labels["categories"]:
        if category["name"] in overlap.NAMED and category["name"] not in there:
            category["name"] = f"cell {category['id']}"
    write_json(tmp_path / "labels.json", labels)
    assert overlap.main(["--annotations", str(tmp_path / "labels.json")]) == 0
    printed = capsys.readouterr().out
    assert all(category["name"] in printed for category in labels["categories"])
    assert "Empty DataFrame" not in printed
    assert ("nothing tells which fits" in printed) == (len(there) < 2)
    last = printed.splitlines()[-1]
    assert len(there) == 2 or all(n in last for n in overlap.NAMED if n not in there)
    table = overlap.definitions_table(from_coco(labels, Path("labels.json"), None))
    assert set(overlap.ranks(table)["name"]) == set(there)
    shown = fig3_controls.places_shown(fig3_controls.places({"train": table}))
    assert len(shown) == (len(overlap.MEANINGS) if there else 0)

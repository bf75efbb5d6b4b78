from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.masks.paste import Window
from lib.masks.rle import encode
from lib.metrics.cam_masks import (
    cam_ap_sweep,
    read_cams,
)
from lib.metrics.coco_ap import evaluate
from lib.metrics.coco_input import BadDetections

Made = tuple[dict[str, Any], list[dict[str, Any]]]
Maker = Callable[..., Made]
HEIGHT, WIDTH = 90, 120  # of the fixtures' images
BOX = [20.0, 10.0, 40.0, 30.0]
LEFT = np.array([[1.0, 0.0], [1.0, 0.0]])
THRESHOLDS = [0.2, 0.5, 0.8]


def opened(labels: dict[str, Any]) -> CocoSet:
    return from_coco(labels, Path("labels.json"), None, check_images="none")


def bilinear(values: np.ndarray, u: float, v: float) -> float:
    """Return a map's value at a place in 0..1, between the centres of its cells."""
    rows, columns = values.shape
    x, y = min(max(u * columns - 0.5, 0), columns - 1), min(max(v * rows - 0.5, 0), rows - 1)
    i, j = int(y), int(x)
    k, m = min(i + 1, rows - 1), min(j + 1, columns - 1)
    top = values[i, j] * (1 - x + j) + values[i, m] * (x - j)
    bottom = values[k, j] * (1 - x + j) + values[k, m] * (x - j)
    return float(top * (1 - y + i) + bottom * (y - i))


def naive_shares(values: np.ndarray, box: list[float]) -> np.ndarray:
    """Return what share of its range a map has at each pixel of an image, pixel after pixel."""
    lowest, highest = float(values.min()), float(values.max())
    scaled = (values.astype(float) - lowest) / (highest - lowest)
    centres = (np.arange(28) + 0.5) / 28
    cells = np.array([[bilinear(scaled, u, v) for u in centres] for v in centres])
    x, y, w, h = box
    shares = np.full((HEIGHT, WIDTH), -1.0)
    for row, column in np.ndindex(shares.shape):
        u, v = (column + 0.5 - x) / w, (row + 0.5 - y) / h
        if 0 <= u <= 1 and 0 <= v <= 1:
            shares[row, column] = bilinear(cells, u, v)
    return shares


def test_ap_equals_that_of_masks_drawn_pixel_by_pixel(random_set: Maker) -> None:
    labels, found = random_set(31, images=8)
    rng = np.random.default_rng(7)
    for k, detection in enumerate(found[::3]):  # in part outside their image, or wholly
        x, y, w, h = detection["bbox"]
        dx, dy = ([-x - w / 2, 0], [WIDTH - x - w / 3, HEIGHT - y - h / 2], [300, 0])[k % 3]
        detection["bbox"] = [round(v, 2) for v in (x + dx, y + dy, w, h)]
    maps = rng.normal(size=(len(found), 7, 7)).astype(np.float32)
    shares = [naive_shares(v, d["bbox"]) for v, d in zip(maps, found, strict=True)]
    swept = cam_ap_sweep(opened(labels), found, maps, THRESHOLDS)
    assert list(swept) == THRESHOLDS
    for threshold, result in swept.items():
        masks = [encode(share >= threshold) for share in shares]
        drawn = [{**d, "segmentation": m} for d, m in zip(found, masks, strict=True)]
        alone = evaluate(labels, drawn, iou_type="segm")
        np.testing.assert_array_equal(result.precision[..., 0], alone.precision[..., 0])
        assert result.metrics == ("AP", "AP50", "AP75")
    assert len({result.summary["AP50"] for result in swept.values()}) == len(THRESHOLDS)


def test_a_pixel_at_the_threshold_is_set() -> None:
    window = Window(slice(1, 2), slice(0, 3), np.array([[0.5, 0.499, 0.501]], dtype=np.float32))
    expected = [[False, False, False], [True, False, True]]
    assert window.at_least(0.5, 2, 3).tolist() == expected


def test_constant_maps_are_empty_masks_without_nan(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, BOX)], [(1, 1, BOX, 0.9)])
    coco_set = opened(labels)
    for value in (0.0, 5.0, -3.0):
        maps = np.full((1, 7, 7), value, dtype=np.float32)
        assert cam_ap_sweep(coco_set, found, maps, [0.5])[0.5].summary["AP"] == 0


def test_nothing_found_and_nothing_labelled_give_empty_results(rectangles: Maker) -> None:
    labels, _ = rectangles([(1, 1, BOX)], [])
    none = np.zeros((0, 7, 7), dtype=np.float32)
    assert cam_ap_sweep(opened(labels), [], none, [0.5])[0.5].summary["AP"] == 0


def test_maps_that_do_not_fit_are_sentences(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, BOX)], [(1, 1, BOX, 0.9)])
    coco_set, maps = opened(labels), np.zeros((1, 7, 7), dtype=np.float32)
    with pytest.raises(BadDetections, match="1 detections and 2 class activation maps"):
        cam_ap_sweep(coco_set, found, np.zeros((2, 7, 7)), [0.5])
    with pytest.raises(BadDetections, match=r"1 of unknown images.*\(77\)"):
        cam_ap_sweep(coco_set, [{**found[0], "image_id": 77}], maps, [0.5])


def test_files_of_maps_come_back_as_written(tmp_path: Path) -> None:
    maps = np.random.default_rng(1).normal(size=(5, 7, 7)).astype(np.float16)
    np.savez(tmp_path / "cams_val.npz", maps=maps)
    np.savez(tmp_path / "cams_on_boxes_val.npz", maps=maps, annotation_id=np.arange(5))
    cams = read_cams(tmp_path / "cams_val.npz")
    assert cams.annotation_id is None and cams.maps.dtype == np.float32
    np.testing.assert_array_equal(cams.maps, maps)
    on_boxes = read_cams(tmp_path / "cams_on_boxes_val.npz")
    assert on_boxes.annotation_id is not None and on_boxes.annotation_id.tolist() == [0, 1, 2, 3, 4]


def test_files_that_hold_no_maps_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Predict with --cams"):
        read_cams(tmp_path / "absent.npz")
    np.savez(tmp_path / "nan.npz", maps=np.full((3, 7, 7), np.nan))
    with pytest.raises(ValueError, match="infinite values or NaN"):
        read_cams(tmp_path / "nan.npz")

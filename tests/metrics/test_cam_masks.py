import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from lib.data.coco import CocoSet, from_coco
from lib.masks.paste import Window, paste
from lib.masks.rle import decode, encode
from lib.metrics.cam_masks import (
    Cams,
    cam_ap_sweep,
    cam_iou_on_boxes,
    cam_results,
    min_max,
    read_cams,
)
from lib.metrics.coco_ap import evaluate
from lib.metrics.coco_input import BadDetections
from lib.metrics.mask_iou import iou_on_boxes
from lib.models.prior import min_max as prior_min_max

Made = tuple[dict[str, Any], list[dict[str, Any]]]
Maker = Callable[..., Made]
HEIGHT, WIDTH = 90, 120  # of the fixtures' images
BOX = [20.0, 10.0, 40.0, 30.0]
LEFT = np.array([[1.0, 0.0], [1.0, 0.0]])
THRESHOLDS = [0.2, 0.5, 0.8]


def opened(labels: dict[str, Any]) -> CocoSet:
    return from_coco(labels, Path("labels.json"), None, check_images="none")


def rectangle(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + height, x : x + width] = True
    return mask


def bilinear(values: np.ndarray, u: float, v: float) -> float:
    """Return a map's value at a place in 0..1, between the centres of its cells."""
    rows, columns = values.shape
    x, y = min(max(u * columns - 0.5, 0), columns - 1), min(max(v * rows - 0.5, 0), rows - 1)
    i, j = int(y), int(x)
    k, m = min(i + 1, rows - 1), min(j + 1, columns - 1)
    top = values[i, j] * (1 - x + j) + values[i, m] * (x - j)
    bottom = values[k, j] * (1 - x + j) + values[k, m] * (x - j)
    return float(top * (1 - y + i) + bottom * (y - i))


@pytest.fixture(scope="module")
def random_cams(random_set: Maker) -> tuple[dict[str, Any], list[dict[str, Any]], np.ndarray]:
    """A random set, detections in part outside their image, and a map for each."""
    labels, found = random_set(31, images=20)
    rng = np.random.default_rng(7)
    for k, detection in enumerate(found):
        x, y, w, h = detection["bbox"]
        moves = ([0, 0], [-x - w / 2, 0], [WIDTH - x - w / 3, HEIGHT - y - h / 2], [300, 0])
        dx, dy = moves[k % 4 if k % 12 < 4 else 0]
        detection["bbox"] = [round(v, 2) for v in (x + dx, y + dy, w, h)]
    return labels, found, rng.normal(size=(len(found), 7, 7)).astype(np.float32)


def test_a_map_of_the_left_half_becomes_the_left_half_of_the_box(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, BOX)], [(1, 1, BOX, 0.9)])
    for scale, shift in ((1.0, 0.0), (7.0, -3.0)):  # as min-max undoes
        (result,) = cam_results(found, scale * LEFT[None] + shift, opened(labels))
        mask = decode(result["segmentation"], HEIGHT, WIDTH)
        np.testing.assert_array_equal(mask, rectangle(20, 10, 20, 30))
        assert {**result, "segmentation": 0} == {**found[0], "segmentation": 0}


def test_ap_of_maps_by_hand(rectangles: Maker) -> None:
    # The left half of the true box has IoU 0.5 with it: right at the first threshold of ten only.
    labels, found = rectangles([(1, 1, BOX)], [(1, 1, BOX, 0.9)])
    (half,) = cam_ap_sweep(opened(labels), found, LEFT[None], [0.5]).values()
    assert half.summary == pytest.approx({"AP": 0.1, "AP50": 1.0, "AP75": 0.0})
    # Of an object that is the left half alone, the mask is perfect.
    labels["annotations"][0]["segmentation"] = encode(rectangle(20, 10, 20, 30))
    assert evaluate(
        labels, cam_results(found, LEFT[None], opened(labels)), iou_type="segm"
    ).summary["AP"] == pytest.approx(1.0)


def test_the_threshold_moves_the_edge_as_worked_out_by_hand(rectangles: Maker) -> None:
    # From 1 at a quarter of the 40 columns to 0 at three quarters the value falls by 1 in 20: it is
    # 0.25 or more in the first 25 columns.
    labels, found = rectangles([(1, 1, BOX)], [(1, 1, BOX, 0.9)])
    for threshold, columns in ((0.25, 25), (0.5, 20), (0.75, 15)):
        (result,) = cam_results(found, LEFT[None], opened(labels), threshold=threshold)
        mask = decode(result["segmentation"], HEIGHT, WIDTH)
        np.testing.assert_array_equal(mask, rectangle(20, 10, columns, 30))


def test_a_pixel_at_the_threshold_is_set() -> None:
    window = Window(slice(1, 2), slice(0, 3), np.array([[0.5, 0.499, 0.501]], dtype=np.float32))
    expected = [[False, False, False], [True, False, True]]
    assert window.at_least(0.5, 2, 3).tolist() == expected


def test_masks_equal_pasting_pixel_for_pixel(random_cams: Any) -> None:
    labels, found, maps = random_cams
    cells = interpolate(
        prior_min_max(torch.from_numpy(maps)[:, None]), size=(28, 28), mode="bilinear"
    )
    filled = 0
    for detection, values, result in zip(
        found, cells[:, 0], cam_results(found, maps, opened(labels)), strict=True
    ):
        x, y, w, h = detection["bbox"]
        expected = paste(values, torch.tensor([x, y, x + w, y + h]), HEIGHT, WIDTH)
        np.testing.assert_array_equal(decode(result["segmentation"], HEIGHT, WIDTH), expected)
        filled += bool(expected.any())
    assert 0.5 * len(found) < filled < len(found)  # some boxes lie outside


def test_masks_equal_a_naive_loop_over_pixels_at_every_threshold(random_cams: Any) -> None:
    labels, found, maps = random_cams
    centres = (np.arange(14) + 0.5) / 14
    for threshold in THRESHOLDS:
        results = cam_results(found, maps, opened(labels), threshold=threshold, side=14)
        for k in range(0, 12):
            lowest, highest = float(maps[k].min()), float(maps[k].max())
            scaled = (maps[k].astype(float) - lowest) / (highest - lowest)
            cells = np.array([[bilinear(scaled, u, v) for u in centres] for v in centres])
            x, y, w, h = found[k]["bbox"]
            mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
            for row, column in np.ndindex(mask.shape):
                u, v = (column + 0.5 - x) / w, (row + 0.5 - y) / h
                if 0 <= u <= 1 and 0 <= v <= 1:
                    mask[row, column] = bilinear(cells, u, v) >= threshold
            np.testing.assert_array_equal(decode(results[k]["segmentation"], HEIGHT, WIDTH), mask)


def test_constant_maps_are_empty_masks_without_nan(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, BOX)], [(1, 1, BOX, 0.9)])
    coco_set = opened(labels)
    for value in (0.0, 5.0, -3.0):
        maps = np.full((1, 7, 7), value, dtype=np.float32)
        assert (min_max(maps) == 0).all()
        (result,) = cam_results(found, maps, coco_set, threshold=0.1)
        assert not decode(result["segmentation"], HEIGHT, WIDTH).any()
        assert cam_ap_sweep(coco_set, found, maps, [0.5])[0.5].summary["AP"] == 0
        assert cam_iou_on_boxes(coco_set, Cams(maps, np.array([0])))["iou"].tolist() == [0]


def test_scaling_equals_that_of_the_prior() -> None:
    maps = np.random.default_rng(2).normal(size=(6, 7, 7)).astype(np.float32)
    maps[1] = 4
    maps[2] = 4 + 1e-7 * maps[2]
    maps[3] *= 1e-3
    expected = prior_min_max(torch.from_numpy(maps)[:, None])[:, 0].numpy()
    np.testing.assert_array_equal(min_max(maps), expected)
    assert not min_max(maps)[1:3].any() and min_max(maps)[3].max() == 1


def test_the_sweep_equals_judging_each_threshold_alone(random_cams: Any) -> None:
    labels, found, maps = random_cams
    coco_set = opened(labels)
    swept = cam_ap_sweep(coco_set, found, maps, THRESHOLDS)
    assert list(swept) == THRESHOLDS
    for threshold, result in swept.items():
        results = cam_results(found, maps, coco_set, threshold=threshold)
        alone = evaluate(labels, results, iou_type="segm")
        np.testing.assert_array_equal(result.precision[..., 0], alone.precision[..., 0])
        assert result.metrics == ("AP", "AP50", "AP75")
    assert len({result.summary["AP50"] for result in swept.values()}) == len(THRESHOLDS)


def test_a_class_without_instances_is_nan_and_pulls_no_mean_down(random_cams: Any) -> None:
    labels, found, maps = random_cams
    before = cam_ap_sweep(opened(labels), found, maps, [0.5])[0.5]
    more = {**labels, "categories": [*labels["categories"], {"id": 99, "name": "absent"}]}
    false = {**found[0], "category_id": 99}
    after = cam_ap_sweep(opened(more), [*found, false], maps[[*range(len(found)), 0]], [0.5])[0.5]
    frame = after.per_class.set_index("name")["AP"]
    assert math.isnan(frame["absent"]) and (frame.drop("absent") >= 0).all()
    assert after.summary["AP50"] == before.summary["AP50"] > 0


def test_iou_on_boxes_equals_that_of_pasted_masks(random_set: Maker) -> None:
    labels, _ = random_set(32, images=10)
    labels["annotations"][1]["segmentation"] = []
    coco_set = opened(labels)
    boxes = {x.id: x.box for x in coco_set.all_instances()}
    ids = np.random.default_rng(3).permutation(list(boxes))
    maps = np.random.default_rng(4).normal(size=(len(ids), 7, 7)).astype(np.float32)
    frame = cam_iou_on_boxes(coco_set, Cams(maps, ids), THRESHOLDS)
    for threshold in THRESHOLDS:
        detections = []
        for name in ids.tolist():
            x1, y1, x2, y2 = boxes[name]
            image = next(a["image_id"] for a in labels["annotations"] if a["id"] == name)
            detections.append({"image_id": image, "bbox": [x1, y1, x2 - x1, y2 - y1]})
        results = cam_results(detections, maps, coco_set, threshold=threshold)
        masks = [
            {"annotation_id": name, "segmentation": result["segmentation"]}
            for name, result in zip(ids.tolist(), results, strict=True)
        ]
        expected = iou_on_boxes(coco_set, masks)
        part = frame[frame["threshold"] == threshold].reset_index(drop=True)
        assert part.drop(columns=["threshold", "iou"]).equals(expected.drop(columns="iou"))
        np.testing.assert_allclose(part["iou"], expected["iou"], atol=1e-12)


def test_iou_on_boxes_by_hand(rectangles: Maker) -> None:
    # Crowd regions and instances without a mask need no map.
    labels, _ = rectangles([(1, 1, BOX), (1, 1, BOX), (1, 1, BOX)], [])
    labels["annotations"][1]["iscrowd"] = 1
    labels["annotations"][2]["segmentation"] = []
    frame = cam_iou_on_boxes(opened(labels), Cams(LEFT[None], np.array([0])), [0.25, 0.5])
    assert frame["iou"].tolist() == pytest.approx([25 / 40, 20 / 40])
    assert frame["area"].tolist() == [1200, 1200]
    assert frame["threshold"].tolist() == [0.25, 0.5]


def test_nothing_found_and_nothing_labelled_give_empty_results(rectangles: Maker) -> None:
    labels, _ = rectangles([(1, 1, BOX)], [])
    none = np.zeros((0, 7, 7), dtype=np.float32)
    assert cam_results([], none, opened(labels)) == []
    assert cam_ap_sweep(opened(labels), [], none, [0.5])[0.5].summary["AP"] == 0
    empty = opened({**labels, "annotations": []})
    frame = cam_iou_on_boxes(empty, Cams(none, np.zeros(0, dtype=np.int64)))
    assert frame.empty and "iou" in frame


def test_maps_that_do_not_fit_are_sentences(rectangles: Maker) -> None:
    labels, found = rectangles([(1, 1, BOX)], [(1, 1, BOX, 0.9)])
    coco_set, maps = opened(labels), np.zeros((1, 7, 7), dtype=np.float32)
    with pytest.raises(BadDetections, match="1 detections and 2 class activation maps"):
        cam_results(found, np.zeros((2, 7, 7)), coco_set)
    with pytest.raises(BadDetections, match=r"1 detections are of images.*\(77\)"):
        cam_results([{**found[0], "image_id": 77}], maps, coco_set)
    for threshold in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="above 0 and up to 1"):
            cam_ap_sweep(coco_set, found, maps, [0.5, threshold])
        with pytest.raises(ValueError, match="above 0 and up to 1"):
            cam_iou_on_boxes(coco_set, Cams(maps, np.array([0])), [threshold])
    with pytest.raises(ValueError, match="are of detections"):
        cam_iou_on_boxes(coco_set, Cams(maps, None))
    with pytest.raises(ValueError, match=r"1 of 1 instances .* \(0\)"):
        cam_iou_on_boxes(coco_set, Cams(maps[:0], np.zeros(0, dtype=np.int64)))
    with pytest.raises(ValueError, match=r"1 are of unknown annotations \(5\)"):
        cam_iou_on_boxes(coco_set, Cams(maps[[0, 0]], np.array([0, 5])))
    with pytest.raises(ValueError, match="1 of annotations that have one already"):
        cam_iou_on_boxes(coco_set, Cams(maps[[0, 0]], np.array([0, 0])))


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
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="not a NumPy archive"):
        read_cams(tmp_path / "text.npz")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(ValueError, match="not a NumPy archive"):
        read_cams(tmp_path / "empty.npz")
    np.savez(tmp_path / "flat.npz", maps=np.zeros((3, 49)))
    with pytest.raises(ValueError, match=r"found \{'maps': \(3, 49\)\}"):
        read_cams(tmp_path / "flat.npz")
    np.savez(tmp_path / "short.npz", maps=np.zeros((3, 7, 7)), annotation_id=np.arange(2))
    with pytest.raises(ValueError, match="expected 'maps'"):
        read_cams(tmp_path / "short.npz")
    np.savez(tmp_path / "nan.npz", maps=np.full((3, 7, 7), np.nan))
    with pytest.raises(ValueError, match="infinite values or NaN"):
        read_cams(tmp_path / "nan.npz")

"""Pictures of paper B: which objects they show, and that they show what they say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from lib.data.coco import CocoSet, Instance, from_coco, load
from lib.data.pictures.images import read_image
from lib.files import write_json
from lib.masks.quality import mask_iou
from lib.masks.rle import decode, encode
from lib.metrics.cam_masks import Cams
from lib.models.config import ModelConfig
from lib.opmask import fig1_fig4, fig5, fig7
from lib.opmask import prior_over_training as prior
from lib.opmask.predictions import METHODS, Models, Predictions
from lib.pages import rois
from lib.pages.mask_gallery import overlay
from lib.pages.style import COLOURS, use_style
from lib.training.activation_maps import OverTraining, write_arrays

NAMES = {1: "person", 18: "dog", 22: "elephant", 47: "cup"}  # two of VOC, two others
HEIGHT, WIDTH = 90, 120
BOXES = {  # class and box (xywh) of each image's objects: the first two overlap by half or more
    22: (10, 10, 40, 40), 47: (14, 12, 40, 40), 1: (70, 45, 40, 40), 18: (75, 2, 10, 30),
}  # fmt: skip


@pytest.fixture(autouse=True)
def look() -> Iterator[None]:
    mpl.use("agg")
    use_style()
    yield
    plt.close("all")


def pixels(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + height, x : x + width] = True
    return encode(mask)


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> CocoSet:
    """Five images with the same objects, and one crowd region each; cups alone in the last."""
    folder = tmp_path_factory.mktemp("val")
    rng = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    images = []
    for image in range(1, 6):
        picture = rng.integers(100, 156, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{image}.png")
        images.append({"id": image, "file_name": f"{image}.png", "height": HEIGHT, "width": WIDTH})
        boxes = BOXES if image < 5 else {47: (20, 20, 40, 40)}
        for category, (x, y, w, h) in [*boxes.items(), (22, (60, 50, 50, 40))]:
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image, "category_id": category,
                    "bbox": [x, y, w, h], "area": w * h, "segmentation": pixels(x, y, w, h),
                    "iscrowd": int((x, y) == (60, 50)),
                }
            )  # fmt: skip
    categories = [{"id": i, "name": name} for i, name in NAMES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(folder / "labels.json", content)
    return load(folder / "labels.json", folder)


def make_run(val: CocoSet, method: str, split: str, *, missing: int) -> Predictions:
    """Masks lack some columns on their right side."""
    found, on_boxes = [], []
    for instance in val.all_instances():
        x1, y1, x2, y2 = (int(v) for v in instance.box)
        common = {
            "image_id": instance.image_id,
            "category_id": instance.category_id,
            "segmentation": pixels(x1, y1, x2 - x1 - missing, y2 - y1),
        }
        on_boxes.append({**common, "annotation_id": instance.id})
        found.append({**common, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": 0.9})
    config = ModelConfig(method="opmask" if method == "opmask" else "mask_rcnn", backbone="small")
    supervised = val.categories.split(split)
    variant = f"{method}.{split}"
    return Predictions(variant, method, split, supervised, config, found, on_boxes, Path())


@pytest.fixture(scope="module")
def runs(val: CocoSet) -> Models:
    return {
        f"{method}.voc": make_run(val, method, "voc", missing=missing)
        for method, missing in zip(METHODS, (20, 10), strict=True)
    }


def cams_of(val: CocoSet, *, ids: list[int] | None = None, seed: int = 0) -> Cams:
    names = [x.id for x in val.all_instances()] if ids is None else ids
    maps = np.random.default_rng(seed).normal(size=(len(names), 7, 7)).astype(np.float32)
    return Cams(maps, np.array(names))


def without_masks(val: CocoSet) -> CocoSet:
    content = val.to_coco()
    content["annotations"] = [a | {"segmentation": []} for a in content["annotations"]]
    return from_coco(content, val.annotations_path, val.image_root)


def titles(figure: Figure) -> list[str]:
    return [title for axes in figure.axes if (title := axes.get_title(loc="center"))]


def notes(figure: Figure) -> list[str]:
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [text for text in texts if text[0].isdigit()]


def test_chosen_objects_depend_on_their_ids_alone_and_images_take_turns(val: CocoSet) -> None:
    some = list(val.all_instances())
    chosen = rois.choose(some, count=7)
    assert [x.id for x in chosen] == [x.id for x in rois.choose(some[::-1], count=7)]
    assert [x.id for x in rois.choose(some, count=3)] == [x.id for x in chosen[:3]]
    assert {x.image_id for x in chosen[:5]} == {1, 2, 3, 4, 5}  # then each a second time
    assert {x.image_id for x in chosen[5:]} < {1, 2, 3, 4}
    every = rois.choose(some, count=99)
    assert not any(x.iscrowd for x in every)
    assert sorted(x.id for x in every) == [
        x.id for x in some if not x.iscrowd and x.box[2] - x.box[0] > 10
    ]


def test_a_region_is_the_part_of_the_image_around_its_box(val: CocoSet) -> None:
    rng = np.random.default_rng(1)
    picture = read_image(val.images[0])
    for _ in range(50):
        x1, y1 = rng.uniform(0, [WIDTH - 5, HEIGHT - 5])
        x2, y2 = rng.uniform([x1 + 3, y1 + 3], [WIDTH, HEIGHT])
        box = (x1, y1, x2, y2)
        part = rois.roi(val, Instance(1, 1, 1, 1, box, 1.0))
        bottom, right = part.top + part.side, part.left + part.side
        assert np.array_equal(part.picture, picture[part.top : bottom, part.left : right])
        assert part.left <= x1 and part.top <= y1 and x2 <= right and y2 <= bottom
        assert part.side <= max(WIDTH, HEIGHT)
        mask = rng.random((HEIGHT, WIDTH)) > 0.5
        assert part.part(mask).shape == part.picture.shape[:2]


def test_the_prior_is_the_map_scaled_to_its_range_then_interpolated() -> None:
    maps = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float32)
    maps[1] = 5.0
    made = rois.prior_maps(maps, side=8)
    for one, result in zip(maps, made, strict=True):
        scaled = (one - one.min()) / max(one.max() - one.min(), 1e-9)
        for i in range(8):
            for j in range(8):  # at the centres of the cells, clamped at the border
                y, x = (min(max((k + 0.5) / 2 - 0.5, 0), 3) for k in (i, j))
                top, left = min(int(y), 2), min(int(x), 2)
                v, u = y - top, x - left
                square = scaled[top : top + 2, left : left + 2]
                expected = np.array([1 - v, v]) @ square @ np.array([1 - u, u])
                assert result[i, j] == pytest.approx(expected, abs=1e-5)
    assert (made[1] == 0).all()


def test_the_prior_is_scaled_as_its_model_scales_it() -> None:
    maps = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float32)
    scaled = {
        "min_max": (maps - maps.min((1, 2), keepdims=True)) / np.ptp(maps, (1, 2), keepdims=True),
        "relu_max": np.maximum(maps, 0) / maps.max((1, 2), keepdims=True),
        "sigmoid": 1 / (1 + np.exp(-maps)),
        "none": maps,
    }
    for norm, expected in scaled.items():
        made = rois.prior_maps(maps, side=4, norm=norm)  # type: ignore[arg-type]
        np.testing.assert_allclose(made, expected, atol=1e-6)


def test_a_heat_map_lies_on_its_box(val: CocoSet) -> None:
    _, panels = rois.grid(["row"], 1, 4)
    instance = val.instances(1)[2]
    part = rois.roi(val, instance)
    heat = np.arange(49.0).reshape(7, 7)
    rois.draw_heat(panels[0][0], part, heat)
    picture, drawn = panels[0][0].images
    left, right, bottom, top = drawn.get_extent()
    at = np.array([left, top, right, bottom]) + 0.5 + np.tile([part.left, part.top], 2)
    assert at == pytest.approx(instance.box)
    assert np.array_equal(np.asarray(drawn.get_array()), heat)
    assert picture.get_array().shape == part.picture.shape


def test_an_outline_runs_around_the_mask(val: CocoSet) -> None:
    _, panels = rois.grid(["row"], 1, 4)
    part = rois.roi(val, val.instances(1)[0])
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[20:30, 15:35] = True
    rois.outline(panels[0][0], part, mask)
    points = np.concatenate(
        [path.vertices for lines in panels[0][0].collections for path in lines.get_paths()]
    )
    places = points + np.array([part.left, part.top])  # pixels are drawn centred on whole numbers
    assert places.min(axis=0) == pytest.approx([14.5, 19.5])
    assert places.max(axis=0) == pytest.approx([34.5, 29.5])
    rois.outline(panels[0][0], part, np.zeros_like(mask))  # nothing to draw, no warning


def test_ambiguous_objects_of_unsupervised_classes_are_shown_and_all_others_of_them_apart(
    val: CocoSet, runs: Models
) -> None:
    ours = fig1_fig4.object_grid(val, runs, cams_of(val), "voc", count=20)
    rest = fig1_fig4.object_grid(val, runs, cams_of(val), "voc", count=20, ambiguous=False)
    assert sorted(titles(ours)) == ["cup"] * 4 + ["elephant"] * 4  # never persons or dogs
    assert titles(rest) == ["cup"]  # the one that is alone
    few = fig1_fig4.object_grid(val, runs, cams_of(val), "voc", count=2)
    assert titles(few) == titles(ours)[:2]


def test_what_is_shown_does_not_depend_on_results(val: CocoSet, runs: Models) -> None:
    worse = {name: make_run(val, run.method, "voc", missing=39) for name, run in runs.items()}
    first = fig1_fig4.object_grid(val, runs, cams_of(val), "voc", count=3)
    second = fig1_fig4.object_grid(val, worse, cams_of(val, seed=1), "voc", count=3)
    pairs = zip(first.axes[:3], second.axes[:3], strict=True)
    assert all(np.array_equal(a.images[0].get_array(), b.images[0].get_array()) for a, b in pairs)
    assert notes(first) != notes(second)


def test_each_column_has_the_masks_and_the_iou_of_its_own_object(
    val: CocoSet, runs: Models
) -> None:
    figure = fig1_fig4.object_grid(val, runs, cams_of(val), "voc", count=3)
    assert notes(figure) == ["0.50"] * 3 + ["0.75"] * 3  # 20 and 10 of 40 columns are missing
    panels = np.array([axes for axes in figure.axes if axes.images]).reshape(4, 3)
    found = {x["annotation_id"]: x for x in runs["opmask.voc"].masks_on_boxes}
    cams = fig7.by_annotation(cams_of(val))
    shown = rois.choose(
        [x for x in val.all_instances() if x.category_id in (22, 47) and x.image_id < 5], count=3
    )
    for column, instance in zip(panels.T, shown, strict=True):
        part = rois.roi(val, instance)
        mask = decode(found[instance.id]["segmentation"], HEIGHT, WIDTH)
        painted = overlay(part.picture, part.part(mask), COLOURS["opmask"])
        assert np.array_equal(np.asarray(column[3].images[0].get_array()), painted)
        drawn = np.asarray(column[1].images[1].get_array())
        assert np.array_equal(drawn, rois.prior_maps(cams[instance.id][None])[0])
        truth = decode(instance.segmentation, HEIGHT, WIDTH)
        assert mask_iou(mask, truth) == pytest.approx(0.75)


def test_a_grid_without_its_runs_or_objects_is_not_drawn(val: CocoSet, runs: Models) -> None:
    one = {"opmask.voc": runs["opmask.voc"]}
    assert fig1_fig4.object_grid(val, one, cams_of(val), "voc", count=3) is None
    assert fig1_fig4.object_grid(val, runs, cams_of(val), "non_voc", count=3) is None
    assert fig1_fig4.object_grid(val, runs, cams_of(val, ids=[]), "voc", count=3) is None
    everything = {name: make_run(val, r.method, "all", missing=1) for name, r in runs.items()}
    everything = {name.replace("voc", "all"): run for name, run in everything.items()}
    assert fig1_fig4.object_grid(val, everything, cams_of(val), "all", count=3) is None
    assert fig5.scenes_to_show(val, everything, "all", count=3) == []


def test_without_true_masks_there_is_no_iou_to_show(val: CocoSet, runs: Models) -> None:
    bare = without_masks(val)
    figure = fig1_fig4.object_grid(bare, runs, cams_of(val), "voc", count=3)
    figure.canvas.draw()
    assert notes(figure) == []
    assert prior.prior_quality(bare, recorded(val)).empty


def test_maps_of_several_models_are_compared_on_the_boxes_that_all_have(val: CocoSet) -> None:
    some = [x.id for x in val.all_instances() if not x.iscrowd and x.category_id == 1]
    given = {"faster_rcnn": cams_of(val), "opmask": cams_of(val, ids=some, seed=1)}
    figure = fig7.cam_grid(val, given, count=9)
    assert titles(figure) == ["person"] * 4
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert labels == ["picture", "Faster R-CNN", "OPMask"]
    assert fig7.cam_grid(val, {**given, "baseline": cams_of(val, ids=[])}, count=9) is None
    assert fig7.cam_grid(val, {}, count=9) is None
    with pytest.raises(ValueError, match=r"read cams_on_boxes_val\.npz"):
        fig7.cam_grid(val, {"opmask": Cams(np.zeros((1, 7, 7), np.float32), None)}, count=9)


def test_scenes_colour_classes_by_supervision_and_ignore_results(
    val: CocoSet, runs: Models
) -> None:
    chosen = fig5.scenes_to_show(val, runs, "voc", count=3)
    assert len(chosen) == 3 and chosen == fig5.scenes_to_show(val, runs, "voc", count=3)
    assert fig5.scenes_to_show(val, runs, "non_voc", count=3) == []  # no such runs
    assert fig5.scenes(val, runs, "voc", [], score_from=0.0) is None
    drawn = fig5.scenes(val, runs, "voc", [1, 2], score_from=0.5)
    panels = [axes for axes in drawn.axes if axes.images]
    assert len(panels) == 6
    picture = read_image(val.images[0])
    truth = np.asarray(panels[0].images[0].get_array())
    for (x, y), name in (((90, 65), "supervised"), ((12, 30), "unsupervised")):
        tinted = overlay(picture, np.ones((HEIGHT, WIDTH), dtype=bool), COLOURS[name])
        assert np.array_equal(truth[y, x], tinted[y, x])
    nothing = fig5.scenes(val, runs, "voc", [1], score_from=1.1)
    panel = [axes for axes in nothing.axes if axes.images][1]
    assert np.array_equal(np.asarray(panel.images[0].get_array()), picture)


def recorded(val: CocoSet, ids: tuple[int, ...] = (1, 2, 6, 7)) -> OverTraining:
    """The prior of each box: constant, then the wrong half, then the right one."""
    maps = np.zeros((3, len(ids), 28, 28), np.float16)
    maps[1, :, :, 14:] = 3
    maps[2, :, :, :14] = 3
    return OverTraining(np.array(ids), np.array([0, 10, 500]), maps)


def half_masks(val: CocoSet) -> CocoSet:
    """Objects fill the left half of their boxes."""
    content = val.to_coco()
    for a in content["annotations"]:
        x, y, w, h = (int(v) for v in a["bbox"])
        a["segmentation"] = pixels(x, y, w // 2, h)
    return from_coco(content, val.annotations_path, val.image_root)


def test_contrast_and_iou_of_a_prior_are_those_of_its_cells(val: CocoSet) -> None:
    frame = prior.prior_quality(half_masks(val), recorded(val))
    assert len(frame) == 12
    means = frame.groupby("iteration")[["contrast", "iou"]].mean()
    assert means.loc[0].tolist() == [0, 0]  # a constant map says nothing, and is an empty mask
    assert means.loc[10].tolist() == [-1, 0]
    assert means.loc[500].tolist() == [1, 1]
    full = prior.prior_quality(val, recorded(val))  # objects that fill their boxes
    assert full["contrast"].isna().all()
    assert full.groupby("iteration")["iou"].mean().tolist() == [0, 0.5, 0.5]


def test_curves_are_the_means_over_objects(val: CocoSet) -> None:
    frame = prior.prior_quality(half_masks(val), recorded(val, ids=(1, 6, 11, 16, 2)))
    figure = prior.prior_curves(frame, resamples=20, seed=0)
    for axes, measure in zip(figure.axes, prior.MEASURES, strict=True):
        (line,) = axes.lines
        expected = frame.groupby("iteration")[measure].mean()
        assert line.get_xdata().tolist() == [0, 10, 500]
        assert line.get_ydata().tolist() == expected.tolist()
    assert prior.prior_curves(frame.iloc[:0], resamples=20, seed=0) is None
    few = prior.prior_quality(half_masks(val), recorded(val, ids=(1, 6)))  # no intervals
    prior.prior_curves(few, resamples=20, seed=0).canvas.draw()
    full = prior.prior_quality(val, recorded(val))  # without a contrast at all
    assert isinstance(full, pd.DataFrame)
    prior.prior_curves(full, resamples=20, seed=0).canvas.draw()


def test_the_prior_is_shown_from_the_first_iteration_to_the_last(val: CocoSet) -> None:
    figure = prior.prior_over_training(val, recorded(val), count=2)
    assert titles(figure) == ["truth", "iteration 0", "10", "500"]
    assert sum(bool(axes.images) for axes in figure.axes) == 8
    many = OverTraining(np.array([1]), np.arange(0, 3300, 100), np.zeros((33, 1, 7, 7), np.float16))
    shown = titles(prior.prior_over_training(val, many, count=2))
    assert (len(shown), shown[1], shown[-1]) == (1 + prior.SHOWN, "iteration 0", "3,200")
    assert prior.prior_over_training(val, recorded(val, ids=()), count=2) is None


def test_recorded_maps_are_read_as_written_and_strangers_are_named(
    val: CocoSet, tmp_path: Path
) -> None:
    wanted = recorded(val)
    write_arrays(tmp_path / "prior.npz", vars(wanted))
    found = prior.read_recorded(tmp_path / "prior.npz")
    for name, values in vars(wanted).items():
        assert np.array_equal(getattr(found, name), values)
    with pytest.raises(ValueError, match=r"does not have \(.*999.*\)"):
        prior.prior_quality(val, recorded(val, ids=(1, 999)))

"""Figs. 1, 4, 5 and 7 of paper B: which objects they show, and that they show what they say."""

from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.data.coco import CocoSet
from lib.data.overlap import ambiguous_ids
from lib.data.pictures.images import read_image
from lib.masks.rle import decode
from lib.metrics.cam_masks import Cams
from lib.opmask.fig1_fig4 import object_grid
from lib.opmask.fig5 import scenes, scenes_to_show
from lib.opmask.fig7 import by_annotation, cam_grid
from lib.pages import rois
from lib.pages.drawing import overlay
from lib.pages.style import COLOURS, use_style
from tests.fixtures.opmask import HEIGHT, WIDTH, Made, without_masks


@pytest.fixture(autouse=True)
def look() -> Iterator[None]:
    mpl.use("agg")
    use_style()
    yield
    plt.close("all")


def cams_of(val: CocoSet, *, ids: list[int] | None = None, seed: int = 0) -> Cams:
    names = [x.id for x in val.all_instances()] if ids is None else ids
    maps = np.random.default_rng(seed).normal(size=(len(names), 7, 7)).astype(np.float32)
    return Cams(maps, np.array(names))


def titles(figure: Figure | None) -> list[str]:
    assert figure is not None
    return [title for axes in figure.axes if (title := axes.get_title(loc="center"))]


def notes(figure: Figure | None) -> list[str]:
    assert figure is not None
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [text for text in texts if text[0].isdigit()]


def test_ambiguous_objects_of_unsupervised_classes_are_shown_and_all_others_of_them_apart(
    opmask_study: Made,
) -> None:
    val, _, models = opmask_study
    ours = object_grid(val, models, cams_of(val), "voc", count=40)
    rest = object_grid(val, models, cams_of(val), "voc", count=40, ambiguous=False)
    names = {x.id: val.categories.name_of(x.label) for x in val.all_instances()}
    chosen = [name for i, name in names.items() if i in ambiguous_ids(val)]
    others = [name for i, name in names.items() if i not in ambiguous_ids(val)]
    for figure, of in ((ours, chosen), (rest, others)):  # never persons or dogs
        assert sorted(titles(figure)) == sorted(n for n in of if n in ("cup", "elephant"))
    few = object_grid(val, models, cams_of(val), "voc", count=2)
    assert titles(few) == titles(ours)[:2]


def test_what_is_shown_does_not_depend_on_results(opmask_study: Made) -> None:
    val, _, models = opmask_study
    given = {v.replace("opmask", "x"): m for v, m in models.items()}
    worse = given | {
        "opmask.voc": replace(models["baseline.voc"], config=models["opmask.voc"].config)
    }
    first, second = (
        object_grid(val, of, cams_of(val, seed=seed), "voc", count=3)
        for seed, of in enumerate((models, worse))
    )
    assert first is not None and second is not None
    pairs = zip(first.axes[:3], second.axes[:3], strict=True)
    assert all(np.array_equal(a.images[0].get_array(), b.images[0].get_array()) for a, b in pairs)
    assert notes(first) != notes(second)


def test_each_column_has_the_masks_and_the_iou_of_its_own_object(opmask_study: Made) -> None:
    val, _, models = opmask_study
    figure = object_grid(val, models, cams_of(val), "voc", count=3)
    assert notes(figure) == ["0.58"] * 3 + ["0.75"] * 3  # 10 and 6 of 24 columns are missing
    assert figure is not None
    panels = np.array([axes for axes in figure.axes if axes.images]).reshape(4, 3)
    found = {x["annotation_id"]: x for x in models["opmask.voc"].first.masks_on_boxes}
    cams, labels = by_annotation(cams_of(val)), val.categories.split("non_voc")
    some = [x for x in val.all_instances() if x.id in ambiguous_ids(val) and x.label in labels]
    for column, instance in zip(panels.T, rois.choose(some, count=3), strict=True):
        part = rois.roi(val, instance)
        mask = decode(found[instance.id]["segmentation"], HEIGHT, WIDTH)
        painted = overlay(part.picture, part.part(mask), COLOURS["opmask"])
        assert np.array_equal(np.asarray(column[3].images[0].get_array()), painted)
        drawn = np.asarray(column[1].images[1].get_array())
        assert np.array_equal(drawn, rois.prior_maps(cams[instance.id][None])[0])


def test_a_grid_without_its_models_objects_or_true_masks(opmask_study: Made) -> None:
    val, _, models = opmask_study
    one = {"opmask.voc": models["opmask.voc"]}
    assert object_grid(val, one, cams_of(val), "voc", count=3) is None
    assert object_grid(val, models, cams_of(val, ids=[]), "voc", count=3) is None
    assert object_grid(val, models, cams_of(val), "all", count=3) is None  # all are supervised
    assert scenes_to_show(val, models, "all", count=3) == []
    bare = object_grid(without_masks(val), models, cams_of(val), "voc", count=3)
    assert notes(bare) == []  # no IoU


def test_maps_of_several_models_are_compared_on_the_boxes_that_all_have(
    opmask_study: Made,
) -> None:
    val = opmask_study.val
    some = [x.id for x in val.all_instances() if x.category_id == 22]
    given = {"faster_rcnn": cams_of(val), "opmask": cams_of(val, ids=some, seed=1)}
    figure = cam_grid(val, given, count=99)
    assert titles(figure) == ["elephant"] * len(some)
    assert figure is not None
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert labels == ["picture", "Faster R-CNN", "OPMask"]
    assert cam_grid(val, {**given, "baseline": cams_of(val, ids=[])}, count=9) is None
    assert cam_grid(val, {}, count=9) is None


def test_scenes_colour_classes_by_supervision_and_ignore_results(opmask_study: Made) -> None:
    val, _, models = opmask_study
    chosen = scenes_to_show(val, models, "voc", count=3)
    assert len(chosen) == 3 and chosen == scenes_to_show(val, models, "voc", count=3)
    assert scenes_to_show(val, models, "official_40", count=3) == []  # no such models
    assert scenes(val, models, "voc", [], score_from=0.0) is None
    figure = scenes(val, models, "voc", [1, 2], score_from=0.5)
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    picture, truth = read_image(val.images[0]), np.asarray(panels[0].images[0].get_array())
    for place, name in ((1, "supervised"), (2, "unsupervised")):
        x, y = (int(v) + 12 for v in val.instances(1)[place].box[:2])
        tinted = overlay(picture, np.ones((HEIGHT, WIDTH), dtype=bool), COLOURS[name])
        assert np.array_equal(truth[y, x], tinted[y, x])
    nothing = scenes(val, models, "voc", [1], score_from=1.1)
    assert nothing is not None
    panel = [axes for axes in nothing.axes if axes.images][1]
    assert np.array_equal(np.asarray(panel.images[0].get_array()), picture)

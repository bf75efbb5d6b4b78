"""The panel that asks OPMask what it sees for any class."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.data.categories import Categories
from lib.data.coco import CocoSet, from_coco
from lib.data.overlap import ambiguous_ids
from lib.masks.paste import paste
from lib.models.build import build_model
from lib.opmask import panel
from lib.opmask.panel import LoadedModels
from lib.pages import rois
from lib.pages.style import use_style
from lib.training.checkpoint import load_model, save_model
from lib.training.inputs import picture
from tests.fixtures.models import tiny_config
from tests.fixtures.opmask import HEIGHT, IMAGES, NAMES, WIDTH, Made


@pytest.fixture(autouse=True)
def look() -> Iterator[None]:
    mpl.use("agg")
    use_style()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def val(opmask_study: Made) -> CocoSet:
    """The made set, but for one object alone in the third image and none in the last."""
    whole = opmask_study.val
    content = whole.to_coco()
    left_out = {x.id for x in (*whole.instances(3)[1:], *whole.instances(IMAGES))}
    content["annotations"] = [a for a in content["annotations"] if a["id"] not in left_out]
    return from_coco(content, whole.annotations_path, whole.image_root)


@pytest.fixture(scope="module")
def files(val: CocoSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = {}
    for seed, (name, method) in enumerate({"baseline": "mask_rcnn", "opmask": "opmask"}.items()):
        torch.manual_seed(seed)
        config = tiny_config(method)
        model = build_model(config, num_classes=len(NAMES))
        paths[name] = folder / f"{name}.pt"
        save_model(paths[name], model, config, val.categories, run="made")
    return paths


def test_maps_and_masks_are_those_of_the_models_asked_for_one_class(
    val: CocoSet, files: dict[str, Path]
) -> None:
    models = LoadedModels(val, files)
    models.device = torch.device("cpu")
    loaded = {name: load_model(path).model for name, path in files.items()}
    instance = val.instances(1)[1]
    image = [picture(val.images[0])]
    box = torch.tensor([instance.box])
    for label in range(1, 5):
        asked = [{"boxes": box, "labels": torch.tensor([label])}]
        cam = loaded["opmask"].cams_on_boxes(image, asked)[0][0]
        assert np.allclose(models.cams(instance)[label - 1], cam, atol=1e-5)
        for name, model in loaded.items():
            probability = model.masks_on_boxes(image, asked)[0][0]
            mask = paste(probability, box[0], HEIGHT, WIDTH)
            assert np.array_equal(models.mask(name, instance, label), mask)


def test_models_are_loaded_when_they_are_needed_and_must_fit(
    val: CocoSet, files: dict[str, Path], tmp_path: Path
) -> None:
    missing = LoadedModels(val, {"baseline": files["baseline"], "opmask": tmp_path / "none.pt"})
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        missing.cams(val.instances(1)[0])
    config = tiny_config("opmask")
    other = Categories.from_coco([{"id": 1, "name": "zebra"}])
    model = build_model(config, num_classes=1)
    save_model(tmp_path / "other.pt", model, config, other, run="made")
    with pytest.raises(ValueError, match="The model knows zebra"):
        panel.prior_panel(val, {**files, "opmask": tmp_path / "other.pt"})


def test_where_nobody_can_choose_a_grid_shows_overlapping_objects_first(
    val: CocoSet, files: dict[str, Path]
) -> None:
    figure = panel.prior_panel(val, files)
    assert isinstance(figure, Figure)
    shown = [axes for axes in figure.axes if axes.images]
    rows = [axes.texts[0].get_text() for axes in shown[::8]]
    overlapping = [x for x in val.all_instances() if x.id in ambiguous_ids(val)]
    chosen = rois.choose(overlapping, count=panel.STILL)
    assert rows == [val.categories.name_of(x.label) for x in chosen]
    for row, name in enumerate(rows):
        own, other = (shown[8 * row + place].texts[-1].get_text() for place in (1, 4))
        assert own == name != other
    figure.canvas.draw()


def test_without_objects_there_is_no_panel(val: CocoSet, files: dict[str, Path]) -> None:
    empty = from_coco(val.to_coco() | {"annotations": []}, val.annotations_path, val.image_root)
    assert panel.prior_panel(empty, files) is None
    content = val.to_coco()
    content["annotations"] = [a | {"bbox": [5, 5, 6, 6]} for a in content["annotations"]]
    small = from_coco(content, val.annotations_path, val.image_root)
    assert panel.prior_panel(small, files) is None


def test_image_object_and_class_can_be_chosen_and_each_choice_is_drawn_once(
    val: CocoSet, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel, "interactive", lambda: True)
    drawn = []

    def counted(models: LoadedModels, instance: Any, label: int) -> Figure:
        drawn.append((instance.id, label))
        figure = plt.figure(figsize=(2, 1))
        figure.text(0, 0, str(drawn[-1]))
        return figure

    monkeypatch.setattr(panel, "panel_figure", counted)
    made: Any = panel.prior_panel(val, files)
    (images, boxes, classes), view = made.children[0].children, made.children[1]
    first, second = val.instances(1)[:2]
    assert [value for _, value in images.options] == list(range(1, IMAGES))  # not the empty one
    assert drawn == [(first.id, first.label)]
    seen = {view.value}
    classes.value = 3
    seen.add(view.value)
    boxes.value = second.id
    seen.add(view.value)
    assert classes.value == second.label  # a new object starts with its own class
    images.value = 2
    seen.add(view.value)
    assert [name for name, _ in boxes.options][:2] == ["1: person", "2: dog"]
    person = val.instances(2)[0]
    assert drawn[1:] == [(first.id, 3), (second.id, second.label), (person.id, person.label)]
    assert len(seen) == 4
    images.value = 3
    assert drawn[-1] == (val.instances(3)[0].id, 1) and len(drawn) == 5


def test_the_panel_draws_every_box_and_says_as_what_one_is_seen(
    val: CocoSet, files: dict[str, Path]
) -> None:
    figure = panel.panel_figure(LoadedModels(val, files), val.instances(1)[1], 4)
    picture_axes, *others = [axes for axes in figure.axes if axes.images]
    assert picture_axes.get_title(loc="left") == "dog, seen as cup"
    assert [text.get_text() for text in picture_axes.texts] == ["1", "2", "3", "4", "5"]
    assert len(others) == 4

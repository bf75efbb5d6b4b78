import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from lib.data.coco import CocoSet, from_coco
from lib.data.prepare import prepare
from lib.data.sources import SetFiles
from lib.files import write_json
from lib.metrics.data_statistics import (
    class_table,
    instance_table,
    split_table,
    summary,
)
from lib.pages import data_figures as figures
from lib.pages.tables import show

mpl.use("Agg")


CONTENT = {
    "images": [
        {"id": k, "file_name": f"{name}.png", "width": 80, "height": 60}
        for k, name in enumerate("ab", start=1)
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 70, 50],
         "segmentation": [[5, 5, 75, 5, 75, 55]]},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [10, 10, 20, 20]},
    ],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "zebra"}],
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> CocoSet:
    """Two pictures: one with a masked and a boxed object, one empty."""
    for name in ("a", "b"):
        Image.fromarray(np.full((60, 80, 3), 128, np.uint8)).save(tmp_path / f"{name}.png")
    return from_coco(CONTENT, tmp_path / "made.json", tmp_path)


@pytest.fixture(autouse=True)
def closed() -> None:
    plt.close("all")


def test_size_bars_sum_to_all_boxes_and_small_ones_have_their_colour(made: CocoSet) -> None:
    figure = figures.size_figure({"train": instance_table(made)})
    bars = figure.axes[0].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    assert len({bar.get_facecolor() for bar in bars[:4]}) == 1
    assert bars[3].get_facecolor() != bars[4].get_facecolor()


@pytest.mark.parametrize("case", ["no object in val", "no mask anywhere", "one set", "crowds"])
def test_every_legal_set_goes_through_the_whole_notebook(
    made: CocoSet, case: str, tmp_path: Path
) -> None:
    train, val = made.to_coco(), made.to_coco()
    if case == "no object in val":
        val["annotations"] = []
    elif case == "no mask anywhere":
        for annotation in train["annotations"] + val["annotations"]:
            annotation["segmentation"] = []
    elif case == "crowds":
        val["annotations"] = [{**val["annotations"][0], "iscrowd": 1}]
    contents = {"train": train} if case == "one set" else {"train": train, "val": val}
    files = {name: SetFiles(tmp_path / f"{name}.json", tmp_path) for name in contents}
    for name, content in contents.items():
        write_json(files[name].annotations, content)
    sets = prepare(files, out=tmp_path / "sets.json")
    instances = {name: instance_table(coco_set) for name, coco_set in sets.items()}
    classes = {name: class_table(instances[name], s.categories) for name, s in sets.items()}
    shares = ["with_mask", "small", "ambiguous", "with_guests"]
    overview = summary(sets, instances)
    assert overview["instances"].tolist() == [len(table) for table in instances.values()]
    show(overview, percent=shares, digits=1)
    show(split_table(instances), percent=["small", "with_mask", "ambiguous"], digits=1)
    for figure in (
        figures.scene_sheet(sets["train"]),
        figures.class_figure(classes),
        figures.size_figure(instances),
        figures.overlap_figure(instances, classes["train"]),
    ):
        assert figure is not None
        figure.canvas.draw()


EVIL = ["$\\frac{$ \\input{x}", "$x$ $y", "\U0001f9a5 cat", "a\nb\\", "y" * 3000]


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("name", EVIL)
def test_any_class_name_can_be_drawn_within_the_page(made: CocoSet, name: str) -> None:
    categories = [{"id": 1, "name": name}, {"id": 2, "name": "100 % $a"}]
    odd = from_coco(
        CONTENT | {"categories": categories}, made.annotations_path, made.annotations_path.parent
    )
    instances = instance_table(odd)
    classes = class_table(instances, odd.categories)
    sheet = figures.scene_sheet(odd)
    assert sheet
    for figure in (
        figures.class_figure({"train": classes}),
        figures.overlap_figure({"train": instances}, classes),
        sheet,
    ):
        buffer = io.BytesIO()
        figure.savefig(buffer, bbox_inches="tight")
        assert plt.imread(io.BytesIO(buffer.getvalue())).shape[1] < 1000


def test_a_sheet_shows_labelled_pictures_only(made: CocoSet) -> None:
    sheet = figures.scene_sheet(made)
    assert sheet is not None
    assert sum(bool(axes.images) for axes in sheet.axes) == 1
    shown = np.asarray(sheet.axes[0].images[0].get_array())
    assert (shown[58:, :4] == 128).all() and not (shown[15, 60] == 128).all()  # tinted by the mask
    assert figures.scene_sheet(made.subset([2])) is None

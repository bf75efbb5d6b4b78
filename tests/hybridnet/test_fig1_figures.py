from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from lib.data.coco import CocoSet, from_coco
from lib.hybridnet import fig1, fig1_figures, validity
from lib.masks import rle
from lib.pages import mask_gallery, panels, style
from lib.workspace import STEP_VARIABLE


@pytest.fixture(autouse=True)
def closed() -> None:
    mpl.use("agg")
    style.use_style()
    yield
    plt.close("all")


def table(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    side = rng.uniform(5, 300, count)
    box_iou = rng.random(count)
    return pd.DataFrame(
        {
            "image_id": np.arange(count) // 2,
            "box_area": side**2,
            "box_iou": box_iou,
            "valid": box_iou >= 0.5,
            "true_iou": rng.random(count),
            "fill": rng.random(count),
        }
    )


@pytest.mark.parametrize("count", [1, 60])
def test_every_figure_can_be_drawn_at_page_width(count: int) -> None:
    frame = table(count)
    shares = fig1.shares(frame, resamples=20)
    figures = [
        fig1_figures.box_iou_histogram(frame, valid_from=0.5),
        fig1_figures.size_histogram(fig1.histogram(frame)),
        fig1_figures.shares_beside_paper(shares.assign(paper=0.3)),
        fig1_figures.mosaic({"here": fig1.shape(shares), "there": (0.3, 0.8, 0.2)}),
        fig1_figures.validity_curves(validity.curve(frame), valid_from=0.5),
        fig1_figures.box_against_true(frame, valid_from=0.5, good_from=0.5),
    ]
    for figure in figures:
        figure.canvas.draw()
        assert figure.get_figwidth() <= style.WIDTH


@pytest.fixture
def pseudo(tmp_path: Path) -> CocoSet:
    rng = np.random.default_rng(0)
    content: dict = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    for image in (1, 2, 3):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(
            tmp_path / f"{image}.png"
        )
        content["images"].append(
            {"id": image, "file_name": f"{image}.png", "width": 60, "height": 40}
        )
        for number, box_iou in enumerate((0.2, 0.9) if image == 2 else (0.8,)):
            mask = np.zeros((40, 60), bool)
            mask[5:20, 10:30] = box_iou > 0.5
            content["annotations"].append(
                {
                    "id": 10 * image + number,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [10, 5, 20, 15],
                    "segmentation": rle.encode(mask) if mask.any() else [],
                    "pseudo": {"box_iou": box_iou, "valid": box_iou >= 0.5},
                }
            )
    return from_coco(content, tmp_path / "made.json", tmp_path)


def test_the_gallery_shows_what_was_asked_for_and_leaves_out_empty_groups(pseudo: CocoSet) -> None:
    valid = mask_gallery.choose(pseudo, valid=True, count=12)
    assert sorted(i.id for i in valid) == [10, 21, 30]
    assert [i.id for i in mask_gallery.choose(pseudo, valid=False, count=12)] == [20]
    assert len(mask_gallery.choose(pseudo, valid=True, count=2)) == 2
    figure = mask_gallery.gallery(pseudo, {"valid": valid, "none": []})
    assert figure is not None
    assert sum(len(axes.images) for axes in figure.axes) == 3
    assert mask_gallery.gallery(pseudo, {"none": []}) is None


def test_a_panel_without_somebody_to_use_it_is_a_figure(
    pseudo: CocoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not panels.interactive()
    figure = panels.mask_panel(pseudo, valid_from=0.5)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["2.png", "1 of 2 masks valid from box IoU 0.50"]
    monkeypatch.setenv(STEP_VARIABLE, "02_pseudo_masks")
    assert not panels.interactive()


def test_the_slider_and_the_picker_redraw_the_panel(
    pseudo: CocoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panels, "interactive", lambda: True)
    panel = panels.mask_panel(pseudo, valid_from=0.5)
    (picker, slider), view = panel.children[0].children, panel.children[1]
    assert picker.value == 2
    shown = {view.value}
    slider.value = 0.95
    shown.add(view.value)
    picker.value = 3
    shown.add(view.value)
    assert len(shown) == 3


def test_the_line_of_small_stands_at_its_size() -> None:
    side = 50
    bins = fig1.histogram(table(60), side=side)
    for axes in fig1_figures.size_histogram(bins, side=side).axes:
        line = axes.lines[-1].get_xdata()[0]
        assert bins["size_to"][int(line - 0.5)] == bins["size_from"][int(line + 0.5)] == side
        assert f"{side} px" in [text.get_text() for text in axes.texts]

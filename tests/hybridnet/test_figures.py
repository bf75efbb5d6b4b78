"""Figures and pictures of paper A's results, on a small made set."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from lib.hybridnet import (
    ablation,
    boxes,
    fig5,
    figures,
    mask_iou,
    predictions,
    table1,
    table2,
)
from lib.metrics.verdicts import judged
from lib.models.config import ModelConfig
from lib.pages import style
from lib.pages.ablation import MASK_IOU, side_by_side
from tests.fixtures.hybridnet import CLAIMS, DRAWN, FUSION, LARGE, SMALL, Made, make_study

GREY = 128


@pytest.fixture(autouse=True)
def closed() -> object:
    mpl.use("agg")
    style.use_style()
    yield
    plt.close("all")


def points(axes: Axes) -> list[np.ndarray]:
    """Return the points of every scatter plot of a panel, [N, 2] each."""
    return [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]


def pixels(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_table_2_is_drawn_number_by_number(made: Made) -> None:
    drawn = figures.branches(made.second)
    drawn.canvas.draw()
    assert drawn.get_figwidth() == style.WIDTH
    for axes, metric in zip(drawn.axes, figures.METRICS, strict=True):
        rows = made.second[made.second["metric"] == metric].set_index("method")
        ours, paper = points(axes)
        expected = rows.loc[list(table2.METHODS)]
        assert len(ours) == len(table2.METHODS)
        assert ours[:, 0].tolist() == expected["ours"].tolist()
        np.testing.assert_array_equal(paper[:, 0], expected["paper"])


def test_differences_are_those_that_the_paper_claims(made: Made) -> None:
    axes = figures.differences(made.second).axes[0]
    claims = [c for c in CLAIMS.claims if c.id.startswith("A.table2.") and c.kind == "direction"]
    drawn = points(axes)
    assert sum(map(len, drawn[1::2])) == len(claims)  # ours and the paper's in turns
    assert sorted(np.concatenate(drawn[1::2])[:, 0]) == sorted(c.expected for c in claims)
    assert len(axes.get_yticklabels()) == len(claims)


def test_the_ablation_shows_changes_and_no_default(made: Made) -> None:
    figure = figures.ablation(made.switches)
    assert figure is not None
    figure.canvas.draw()
    compared = made.switches[~made.switches["is_default"]]
    for axes, metric in zip(figure.axes, [*figures.METRICS, MASK_IOU], strict=True):
        shown = np.concatenate(points(axes))[:, 0]
        assert shown.tolist() == compared.loc[compared["metric"] == metric, "difference"].tolist()
    alone = made.switches[made.switches["is_default"]]
    assert figures.ablation(alone) is None
    assert figures.ablation(alone.iloc[:0]) is None


def test_fig_5_shows_image_single_branch_hybrid_and_truth(made: Made) -> None:
    scenes = fig5.scenes_to_show(made.val, count=2)
    assert len(scenes) == 2 and scenes == fig5.scenes_to_show(made.val, count=2)
    columns = made.found("baseline"), made.found("hybrid")
    drawn = fig5.pictures(made.val, *columns, scenes, score_from=0.0)
    assert drawn is not None
    drawn.canvas.draw()
    image, single, hybrid, truth = pixels(drawn)[:4]
    assert (image == GREY).all()
    covered = [int((x != GREY).any(axis=-1).sum()) for x in (single, hybrid, truth)]
    small = SMALL**2, SMALL * (SMALL - 12)
    assert covered[2] == LARGE**2 + small[0]
    assert covered[0] == LARGE * (LARGE - 30) + small[1]
    assert [len(axes.lines) for axes in drawn.axes[:4]] == [
        0,
        0,
        2,
        0,
    ]  # what the small branch gave: two lines
    nothing = fig5.pictures(made.val, *columns, scenes, score_from=1.1)
    assert nothing is not None
    assert (pixels(nothing)[2] == GREY).all() and (pixels(nothing)[3] != GREY).any()
    assert fig5.pictures(made.val, *columns, [], score_from=0.5) is None


def _found(score: float) -> predictions.Predictions:
    runs = {
        seed: predictions.Run("", [{"image_id": 1, "category_id": 1, "score": score + seed}])
        for seed in (1, 0)
    }
    return predictions.Predictions(ModelConfig(method="mask_rcnn"), runs)


@pytest.mark.parametrize("images", [21, 9])
def test_the_single_branch_of_fig_5_is_the_large_branch_trained_on_all_masks(images: int) -> None:
    some = ("baseline", "large", "ablation.all")
    models = {name: _found(score) for name, score in zip(some, (0.1, 0.2, 0.3), strict=True)}
    learnt = pd.DataFrame({"variant": some, "images_seen": [21, 21, images]})
    found, what = fig5.single_branch(models, learnt)
    assert found[0]["score"] == 0.3 and "large branch" in what
    assert ("9 images" in what and "21" in what) == (images == 9)


def test_the_baseline_stands_in_where_that_branch_was_not_trained_and_it_is_said() -> None:
    models = {name: _found(score) for name, score in (("baseline", 0.1), ("large", 0.2))}
    learnt = pd.DataFrame({"variant": list(models), "images_seen": [21, 21]})
    found, what = fig5.single_branch(models, learnt)
    assert found[0]["score"] == 0.1 and "baseline" in what


@pytest.mark.parametrize("case", ["nothing found", "only large", "no true masks"])
def test_what_lacks_something_still_gives_every_table_and_figure(case: str, tmp_path: Path) -> None:
    sides = (LARGE,) if case == "only large" else (SMALL, LARGE)
    bare = case == "no true masks"
    made = make_study(tmp_path, sides=sides, empty=case == "nothing found", bare=bare)
    values = made.second[made.second["method"] == "hybrid"].set_index("metric")["ours"]
    assert np.isnan(values["AP_S"]) == (case in ("only large", "no true masks"))
    assert np.isnan(values["AP_L"]) == (case == "no true masks")
    if case == "nothing found":
        assert (values[["AP", "AP_S", "AP_L"]] == 0).all()
    predictions.named(table1.beside_paper(made.first))
    predictions.named(table2.beside_paper(made.second))
    counts = predictions.branch_table(made.rows, FUSION, score_from=0.5)
    assert counts["kept"].sum() == len(made.found("hybrid"))
    boxes.box_table(made.val, made.models)
    side_by_side(made.switches, ablation.GROUPS)
    seen = table2.observations(made.second, claims=CLAIMS, backbone="lite0")
    verdicts = judged(CLAIMS, seen, profile="demo").set_index("id")["verdict"]
    unknown = "A.table2.AP_S.hybrid_above_baseline"
    assert case != "only large" or verdicts[unknown] == "not run"
    frame = mask_iou.masks_on_boxes_frame(made.val, made.models)
    mask_iou.mask_iou_table(frame, **DRAWN)
    scenes = [image.id for image in made.val.images[:1]]
    shown = [
        figures.branches(made.second),
        figures.differences(made.second),
        figures.ablation(made.switches),
        fig5.pictures(
            made.val, made.found("baseline"), made.found("hybrid"), scenes, score_from=0.0
        ),
    ]
    for figure in shown:
        assert figure is not None
        figure.canvas.draw()

"""Figures and pictures of paper A's results, on a small made set."""

from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.data.coco import CocoSet
from lib.hybridnet import ablation, figures, tables
from lib.hybridnet import fig5 as pictures
from lib.hybridnet import further_tables as details
from lib.hybridnet import trained as reading
from lib.hybridnet.fusion import FusionSettings
from lib.metrics.claims import load_claims
from lib.pages import style
from lib.pages.ablation import MASK_IOU
from tests.fixtures.hybridnet import LARGE, SMALL, make_set, make_workspace, without_masks

FUSION = FusionSettings()
DRAWN = {"resamples": 20, "seed": 0}
GREY = 128


class Study(NamedTuple):
    """The set, its runs and methods, and their tables."""

    val: CocoSet
    runs: reading.Runs
    rows: dict[str, list[reading.Result]]
    table2: pd.DataFrame
    switches: pd.DataFrame


def study(
    folder: Path,
    *,
    sides: tuple[int, ...] = (SMALL, LARGE),
    empty: bool = False,
    bare: bool = False,
) -> Study:
    val = make_set(folder, sides=sides)
    runs = reading.read_runs(make_workspace(val, folder / "study", empty=empty))
    val = without_masks(val) if bare else val
    rows = reading.rows(val, runs, FUSION, poor_below=0.5, shape_when_poor="ellipse")
    table2 = tables.table2(tables.judge(val, rows, **DRAWN), claims=load_claims())
    compared = ablation.trials(val, runs, FUSION, poor_below=0.5, shape_when_poor="ellipse")
    return Study(val, runs, rows, table2, ablation.ablation_table(val, compared, **DRAWN))


@pytest.fixture(autouse=True)
def closed() -> object:
    mpl.use("agg")
    style.use_style()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study(tmp_path_factory.mktemp("study"))


def points(axes: Axes) -> list[np.ndarray]:
    """Return the points of every scatter plot of a panel, [N, 2] each."""
    return [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]


def pixels(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_table_2_is_drawn_number_by_number(made: Study) -> None:
    drawn = figures.branches(made.table2)
    drawn.canvas.draw()
    assert drawn.get_figwidth() == style.WIDTH
    for axes, metric in zip(drawn.axes, figures.METRICS, strict=True):
        rows = made.table2[made.table2["metric"] == metric].set_index("method")
        ours, paper = points(axes)
        expected = rows.loc[list(tables.TABLE2_METHODS)]
        assert ours[:, 0].tolist() == expected["ours"].tolist()
        assert paper[:4, 0].tolist() == expected["paper"].tolist()[:4]


def test_differences_are_those_that_the_paper_claims(made: Study) -> None:
    axes = figures.differences(made.table2).axes[0]
    claims = [
        c for c in load_claims().claims if c.id.startswith("A.table2.") and c.kind == "direction"
    ]
    drawn = points(axes)
    assert sum(map(len, drawn[1::2])) == len(claims)  # ours and the paper's in turns
    assert sorted(np.concatenate(drawn[1::2])[:, 0]) == sorted(c.expected for c in claims)
    assert len(axes.get_yticklabels()) == len(claims)


def test_the_ablation_shows_changes_and_no_default(made: Study) -> None:
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


def test_curves_are_shares_of_boxes(made: Study) -> None:
    frame = details.masks_on_boxes_frame(made.val, made.runs)
    for axes, size in zip(figures.mask_iou(frame).axes, ("small", "large"), strict=True):
        for line, method in zip(axes.lines, reading.VARIANTS, strict=True):
            values = frame.loc[(frame["size"] == size) & (frame["method"] == method), "iou"]
            places, shares = line.get_data()
            for at in (0.3, 0.6, 0.9):
                shown = np.asarray(shares)[np.searchsorted(places, at)]
                assert shown == pytest.approx((values >= at).mean())


def test_fig_5_shows_image_single_branch_hybrid_and_truth(made: Study) -> None:
    scenes = pictures.scenes_to_show(made.val, count=2)
    assert len(scenes) == 2 and scenes == pictures.scenes_to_show(made.val, count=2)
    columns = made.rows["baseline"], made.rows["hybrid"]
    drawn = pictures.pictures(made.val, *columns, scenes, score_from=0.0)
    assert drawn is not None
    drawn.canvas.draw()
    image, single, hybrid, truth = pixels(drawn)[:4]
    assert (image == GREY).all()
    covered = [int((x != GREY).any(axis=-1).sum()) for x in (single, hybrid, truth)]
    small = SMALL**2, SMALL * (SMALL - 12)
    assert covered[2] == LARGE**2 + small[0]
    assert covered[0] == LARGE * (LARGE - 30) + small[1]
    boxes = [[p for p in axes.patches if isinstance(p, Rectangle)] for axes in drawn.axes[:4]]
    assert [len(found) for found in boxes] == [0, 0, 2, 0]  # what the small branch gave: two lines
    nothing = pictures.pictures(made.val, *columns, scenes, score_from=1.1)
    assert nothing is not None
    assert (pixels(nothing)[2] == GREY).all() and (pixels(nothing)[3] != GREY).any()
    assert pictures.pictures(made.val, *columns, [], score_from=0.5) is None


def test_scenes_without_small_objects_are_not_drawn(tmp_path: Path) -> None:
    assert pictures.scenes_to_show(make_set(tmp_path, sides=(LARGE,)), count=3) == []


def test_the_gallery_shows_small_detections_kept_and_replaced(made: Study) -> None:
    segmented = reading.segmented(made.runs)
    drawn = pictures.gallery(made.val, segmented, made.rows["small_branch"], score_from=0.0)
    assert drawn is not None
    assert "ellipse" in drawn.subfigs[2].get_suptitle()
    titles = [[a.get_title(loc="left") for a in part.axes if a.images] for part in drawn.subfigs]
    assert [len(t) for t in titles] == [4, 2, 2]  # of six small ones, every third has no mask
    assert all(title.endswith("0.00") for title in titles[1])
    assert [t.split()[0] for t in titles[1]] == [t.split()[0] for t in titles[2]]
    few = pictures.gallery(made.val, segmented, made.rows["small_branch"], score_from=0.0, count=1)
    assert few is not None and len([a for a in few.axes if a.images]) == 3
    assert pictures.gallery(made.val, segmented, made.rows["small_branch"], score_from=1.0) is None


@pytest.mark.parametrize("case", ["nothing found", "only small", "only large", "no true masks"])
def test_every_figure_can_be_drawn_where_something_is_lacking(case: str, tmp_path: Path) -> None:
    sides = {"only small": (SMALL,), "only large": (LARGE,)}.get(case, (SMALL, LARGE))
    bare = case == "no true masks"
    made = study(tmp_path, sides=sides, empty=case == "nothing found", bare=bare)
    frame = details.masks_on_boxes_frame(made.val, made.runs)
    scenes = [image.id for image in made.val.images[:1]]
    shown = [
        figures.branches(made.table2),
        figures.differences(made.table2),
        figures.ablation(made.switches),
        figures.mask_iou(frame),
        pictures.pictures(
            made.val, made.rows["baseline"], made.rows["hybrid"], scenes, score_from=0.0
        ),
    ]
    for figure in shown:
        assert figure is not None
        figure.canvas.draw()
    segmented = reading.segmented(made.runs)
    crops = pictures.gallery(made.val, segmented, made.rows["small_branch"], score_from=0.0)
    assert (crops is None) == (case in ("nothing found", "only large"))

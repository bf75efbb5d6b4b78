"""The object mask prior during training: as pictures, and how well it fits the true masks."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.opmask import prior_over_training as prior
from lib.training.activation_maps import CamHistory, write_arrays
from tests.fixtures.opmask import SIDE, Made, square, without_masks


@pytest.fixture
def val(opmask_study: Made) -> CocoSet:
    mpl.use("agg")
    return opmask_study.val


@pytest.fixture
def halves(val: CocoSet) -> CocoSet:
    """Objects fill the left half of their boxes."""
    content = val.to_coco()
    for a in content["annotations"]:
        x, y, *_ = (int(v) for v in a["bbox"])
        a["segmentation"] = square(x, y, SIDE // 2)
    return from_coco(content, val.annotations_path, val.image_root)


def recorded(ids: tuple[int, ...] = (1, 2, 6, 7)) -> CamHistory:
    """The prior of each box: constant, then the wrong half, then the right one."""
    maps = np.zeros((3, len(ids), 28, 28), np.float16)
    maps[1, :, :, 14:] = 3
    maps[2, :, :, :14] = 3
    return CamHistory(np.array(ids), np.array([0, 10, 500]), maps)


def test_contrast_and_iou_of_a_prior_are_those_of_its_cells(val: CocoSet, halves: CocoSet) -> None:
    frame = prior.prior_quality(halves, recorded())
    assert len(frame) == 12
    means = frame.groupby("iteration")[["contrast", "iou"]].mean()
    assert means.loc[0].tolist() == [0, 0]  # a constant map says nothing, and is an empty mask
    assert means.loc[10].tolist() == [-1, 0]
    assert means.loc[500].tolist() == [1, 1]
    full = prior.prior_quality(val, recorded())  # objects that fill their boxes
    assert full["contrast"].isna().all()
    assert full.groupby("iteration")["iou"].mean().tolist() == [0, 0.5, 0.5]
    assert prior.prior_quality(without_masks(val), recorded()).empty


def test_curves_are_the_means_over_objects(val: CocoSet, halves: CocoSet) -> None:
    frame = prior.prior_quality(halves, recorded(ids=(1, 6, 11, 16, 2)))
    figure = prior.prior_curves(frame, resamples=20, seed=0)
    assert figure is not None
    for axes, measure in zip(figure.axes, prior.MEASURES, strict=True):
        (line,) = axes.lines
        expected = frame.groupby("iteration")[measure].mean()
        assert line.get_xdata().tolist() == [0, 10, 500]
        assert line.get_ydata().tolist() == expected.tolist()
    assert prior.prior_curves(frame.iloc[:0], resamples=20, seed=0) is None
    few = prior.prior_quality(halves, recorded(ids=(1, 6)))  # no intervals
    full = prior.prior_quality(val, recorded())  # without a contrast at all
    for part in (few, full):
        drawn = prior.prior_curves(part, resamples=20, seed=0)
        assert drawn is not None
        drawn.canvas.draw()


def test_the_prior_is_shown_from_the_first_iteration_to_the_last(val: CocoSet) -> None:
    def titles(maps: CamHistory) -> list[str]:
        figure = prior.prior_over_training(val, maps, count=2)
        assert figure is not None
        return [title for axes in figure.axes if (title := axes.get_title(loc="center"))]

    assert titles(recorded()) == ["truth", "iteration 0", "10", "500"]
    many = CamHistory(np.array([1]), np.arange(0, 3300, 100), np.zeros((33, 1, 7, 7), np.float16))
    shown = titles(many)
    assert (len(shown), shown[1], shown[-1]) == (1 + prior.SHOWN, "iteration 0", "3,200")
    assert prior.prior_over_training(val, recorded(ids=()), count=2) is None


def test_recorded_maps_are_read_as_written_and_strangers_are_named(
    val: CocoSet, tmp_path: Path
) -> None:
    wanted = recorded()
    write_arrays(tmp_path / "prior.npz", vars(wanted))
    found = prior.read_recorded(tmp_path / "prior.npz")
    for name, values in vars(wanted).items():
        assert np.array_equal(getattr(found, name), values)
    with pytest.raises(ValueError, match=r"does not have \(.*999.*\)"):
        prior.prior_quality(val, recorded(ids=(1, 999)))

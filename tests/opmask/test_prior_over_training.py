"""The object mask prior during training, as pictures."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from lib.data.coco import CocoSet
from lib.opmask import prior_over_training as prior
from lib.training.activation_maps import CamHistory, write_arrays
from tests.fixtures.opmask import Made


@pytest.fixture
def val(opmask_study: Made) -> CocoSet:
    mpl.use("agg")
    return opmask_study.val


def recorded(ids: tuple[int, ...] = (1, 2, 6, 7)) -> CamHistory:
    """The prior of each box: constant, then the wrong half, then the right one."""
    maps = np.zeros((3, len(ids), 28, 28), np.float16)
    maps[1, :, :, 14:] = 3
    maps[2, :, :, :14] = 3
    return CamHistory(np.array(ids), np.array([0, 10, 500]), maps)


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


def test_recorded_maps_are_read_as_written(tmp_path: Path) -> None:
    wanted = recorded()
    write_arrays(tmp_path / "prior.npz", vars(wanted))
    found = prior.read_recorded(tmp_path / "prior.npz")
    for name, values in vars(wanted).items():
        assert np.array_equal(getattr(found, name), values)

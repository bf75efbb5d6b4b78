"""Snapshots of a run: what they hold, and that no interruption changes them."""

import pytest

from lib.training.checkpoint import load_model, snapshot_path
from lib.training.train import prepare, train
from tests.fixtures.training import equal, interrupt, tiny_run

KEPT = (0, 2, 3)


def test_snapshots_are_the_model_after_so_many_iterations(drawn, tmp_path):
    config = tiny_run(tmp_path, snapshots=KEPT)
    train(config)
    assert sorted(p.name for p in (tmp_path / "out").glob("*.pt")) == [
        "model.pt",
        *(f"snapshot_{n}.pt" for n in KEPT),
    ]
    fresh = prepare(config, drawn).state_dict()
    for n in KEPT:
        found = load_model(snapshot_path(tmp_path / "out", n)).model.state_dict()
        wanted = fresh
        if n:
            short = tiny_run(tmp_path, iterations=n, out=str(tmp_path / f"short_{n}"))
            wanted = load_model(train(short)).model.state_dict()
        assert equal(found, wanted)


@pytest.mark.parametrize("moment", [0, 3])
def test_run_interrupted_before_any_step_has_the_snapshots_of_an_uninterrupted_one(
    drawn, tmp_path, moment
):
    config = tiny_run(tmp_path, snapshots=KEPT)
    whole = train(config.model_copy(update={"out": str(tmp_path / "whole")})).parent
    interrupt(config, moment)
    again = train(config).parent
    for name in ("model.pt", *(f"snapshot_{n}.pt" for n in KEPT)):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


def test_snapshots_of_other_settings_do_not_stay(drawn, tmp_path):
    train(tiny_run(tmp_path, snapshots=KEPT))
    train(tiny_run(tmp_path, snapshots=(1,)))
    assert [p.name for p in (tmp_path / "out").glob("snapshot_*")] == ["snapshot_1.pt"]


@pytest.mark.parametrize("wrong", [(6,), (-1,), (2, 2)])
def test_snapshots_that_cannot_be_are_a_sentence(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"different iterations from 0 to 5.*is model\.pt"):
        tiny_run(tmp_path, snapshots=wrong)

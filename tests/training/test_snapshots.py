"""Snapshots of a run: what they hold, and that no interruption changes them."""

import pytest
import torch

from lib.models.weights import read_tensors
from lib.training.checkpoint import load_model, snapshot_path
from lib.training.learner import Learner
from lib.training.train import prepare, train
from tests.fixtures.training import tiny_run

KEPT = (0, 2, 3, 5)


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
        assert all(torch.equal(found[k], wanted[k]) for k in wanted | found)


def test_taking_snapshots_does_not_change_the_run(drawn, tmp_path):
    with_them, without = (
        read_tensors(train(tiny_run(tmp_path, snapshots=kept, out=str(tmp_path / name))))["state"]
        for name, kept in [("a", KEPT), ("b", ())]
    )
    assert all(torch.equal(with_them[k], without[k]) for k in without | with_them)


@pytest.mark.parametrize("moment", range(6))
def test_run_interrupted_before_any_step_has_the_snapshots_of_an_uninterrupted_one(
    drawn, tmp_path, monkeypatch, moment
):
    config = tiny_run(tmp_path, snapshots=KEPT)
    whole = train(config.model_copy(update={"out": str(tmp_path / "whole")})).parent

    def killed(self, images, targets, iteration, **options):
        if iteration == moment:
            raise KeyboardInterrupt
        return step(self, images, targets, iteration, **options)

    step = Learner.step
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Learner, "step", killed)
        train(config)
    again = train(config).parent
    for name in ("model.pt", *(f"snapshot_{n}.pt" for n in KEPT)):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


def test_run_whose_snapshots_are_gone_is_repeated(drawn, tmp_path, capsys):
    config = tiny_run(tmp_path, snapshots=KEPT)
    train(config)
    kept = snapshot_path(tmp_path / "out", 3)
    wanted = kept.read_bytes()
    kept.unlink()
    capsys.readouterr()
    train(config)
    assert kept.read_bytes() == wanted
    assert "is there already" not in capsys.readouterr().out
    train(config)
    assert "is there already" in capsys.readouterr().out


def test_checkpoint_whose_earlier_snapshots_are_gone_is_not_continued(
    drawn, tmp_path, monkeypatch, capsys
):
    config = tiny_run(tmp_path, snapshots=KEPT)

    def killed(self, images, targets, iteration, **options):
        if iteration == 5:
            raise KeyboardInterrupt
        return step(self, images, targets, iteration, **options)

    step = Learner.step
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Learner, "step", killed)
        train(config)
    snapshot_path(tmp_path / "out", 0).unlink()
    train(config)
    assert "A snapshot from before the checkpoint is missing" in capsys.readouterr().out
    assert all(snapshot_path(tmp_path / "out", n).exists() for n in KEPT)


def test_snapshots_of_other_settings_do_not_stay(drawn, tmp_path):
    train(tiny_run(tmp_path, snapshots=KEPT))
    train(tiny_run(tmp_path, snapshots=(1,)))
    assert [p.name for p in (tmp_path / "out").glob("snapshot_*")] == ["snapshot_1.pt"]


@pytest.mark.parametrize("wrong", [(6,), (-1,), (2, 2)])
def test_snapshots_that_cannot_be_are_a_sentence(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"different iterations from 0 to 5.*is model\.pt"):
        tiny_run(tmp_path, snapshots=wrong)

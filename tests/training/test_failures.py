"""What ends a run is a sentence, and leaves what it can be continued from."""

import errno
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lib.files import write_json
from lib.models.weights import read_tensors
from lib.paths import ROOT
from lib.training.distributed import World
from lib.training.failures import STOPPED, RunEndedError, RunState, explained
from lib.training.learner import Learner
from lib.training.lock import alone_in
from lib.training.train import main, train
from tests.fixtures.training import tiny_run

ALONE = World(torch.device("cpu"))


def at_step(monkeypatch, iteration: int, act) -> None:
    """Call ``act`` before a step, counted from 0."""
    step = Learner.step

    def acted(self, images, targets, number, **options):
        if number == iteration:
            act()
        return step(self, images, targets, number, **options)

    monkeypatch.setattr(Learner, "step", acted)


def test_full_disk_leaves_the_previous_checkpoint_whole(drawn, tmp_path, monkeypatch):
    config = tiny_run(tmp_path, method="faster_rcnn", checkpoint_every=2)
    write = Path.write_bytes

    def full(path: Path, content) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        at_step(patched, 3, lambda: patched.setattr(Path, "write_bytes", full))
        wanted = r"disk is full.*in iteration 4.*iteration 2 is whole"
        with pytest.raises(RunEndedError, match=wanted):
            train(config)
    assert read_tensors(tmp_path / "out" / "checkpoint.pt")["iteration"] == 2
    assert not list((tmp_path / "out").glob(".tmp-*"))
    whole = train(config.model_copy(update={"out": str(tmp_path / "whole")}))
    assert train(config).read_bytes() == whole.read_bytes()


def test_device_out_of_memory_names_the_settings_and_the_images(
    drawn, tmp_path, monkeypatch, capsys
):
    def large() -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    at_step(monkeypatch, 3, large)
    path = tmp_path / "config.json"
    write_json(path, tiny_run(tmp_path, method="faster_rcnn").model_dump(mode="json"))
    assert main([str(path)]) == 2
    said = capsys.readouterr().err
    for part in ("error: ", "in iteration 4", "images ", "train.batch_size", "iteration 2"):
        assert part in said


def test_asked_to_stop_a_run_saves_the_iteration_at_hand(drawn, tmp_path, monkeypatch, capsys):
    config = tiny_run(tmp_path, method="faster_rcnn", checkpoint_every=100, workers=1)
    path = tmp_path / "config.json"
    write_json(path, config.model_dump(mode="json"))

    def all_asked() -> None:
        asked = [*(process.pid for process in multiprocessing.active_children()), os.getpid()]
        subprocess.run(["kill", *map(str, asked)], check=True)  # a queue's signal is sent to all

    at_step(monkeypatch, 2, all_asked)
    assert main([str(path)]) == STOPPED
    assert "Stopped as asked" in capsys.readouterr().err
    assert read_tensors(tmp_path / "out" / "checkpoint.pt")["iteration"] == 4


UNFORESEEN = """
from torch.utils.data import DataLoader
from lib.training.dataset import _begin

batches = iter(DataLoader(range(100), num_workers=2, worker_init_fn=_begin))
next(batches)
raise RuntimeError("unforeseen")
"""


def test_an_unforeseen_error_ends_the_processes_that_load_images():
    command = [sys.executable, "-c", UNFORESEEN]
    keep = {"capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run(command, cwd=ROOT, check=False, **keep)
    assert done.returncode == 1 and "RuntimeError: unforeseen" in done.stderr


def test_dead_loader_process_is_a_sentence_and_the_run_goes_on(drawn, tmp_path, monkeypatch):
    config = tiny_run(tmp_path, method="faster_rcnn", workers=1, checkpoint_every=1)
    before = set(multiprocessing.active_children())  # of other tests, not collected yet

    def kill() -> None:
        (loader,) = set(multiprocessing.active_children()) - before
        loader.kill()
        loader.join()

    with monkeypatch.context() as patched:
        at_step(patched, 1, kill)
        wanted = r"loads images died.*train\.workers.*iteration \d is"  # it had loaded ahead
        with pytest.raises(RunEndedError, match=wanted):
            train(config)
    assert train(config).exists()


def test_errors_that_are_no_news_pass_unchanged():
    for error in (RuntimeError("shape mismatch"), OSError(errno.EACCES, "denied"), KeyError("x")):
        with pytest.raises(type(error)) as caught, explained(RunState(Path("c.pt")), ALONE):
            raise error
        assert caught.value is error


def test_one_run_at_a_time_in_a_folder_and_no_half_files_of_killed_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.training.lock.PATIENCE", 0.05)
    (tmp_path / ".tmp-checkpoint.pt-x1.pt").touch()
    with alone_in(tmp_path, ALONE):
        assert not list(tmp_path.glob(".tmp-*"))
        with (
            pytest.raises(ValueError, match="Another process is training"),
            alone_in(tmp_path, ALONE),
        ):
            pass

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
from lib.training import checkpoint
from lib.training.distributed import World
from lib.training.failures import STUCK, RunEndedError, RunState, explained
from lib.training.learner import Learner
from lib.training.lock import alone_in
from lib.training.train import main, train
from tests.fixtures.training import tiny_run

ALONE = World(torch.device("cpu"))


class SmallDisk:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data) -> int:
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return self.file.write(data)

    def __getattr__(self, name: str):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.file.close()


@pytest.mark.parametrize("room", [0, 100, 3000])
def test_full_disk_leaves_the_previous_checkpoint_whole(drawn, tmp_path, monkeypatch, room):
    config = tiny_run(tmp_path, method="faster_rcnn", checkpoint_every=2)
    saves = []
    save = checkpoint.torch.save

    def fill(content, file) -> None:
        saves.append(1)
        save(content, file if len(saves) == 1 else SmallDisk(file, room))

    monkeypatch.setattr(checkpoint.torch, "save", fill)
    with pytest.raises(
        RunEndedError, match=r"disk of .* is full.*in iteration 4.*iteration 2 is w"
    ):
        train(config)
    saved = tmp_path / "out" / "checkpoint.pt"
    assert read_tensors(saved)["iteration"] == 2
    assert not list((tmp_path / "out").glob(".tmp-*"))
    monkeypatch.undo()
    whole = train(config.model_copy(update={"out": str(tmp_path / "whole")}))
    assert train(config).read_bytes() == whole.read_bytes()


def test_log_that_cannot_be_written_is_the_same_sentence(drawn, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lib.training.log.MetricsLog.append", full)
    with pytest.raises(RunEndedError, match=r"disk of .* is full.*No checkpoint was written yet"):
        train(tiny_run(tmp_path, method="faster_rcnn"))


def test_device_out_of_memory_names_the_settings_and_the_images(
    drawn, tmp_path, monkeypatch, capsys
):
    step = Learner.step

    def large(self, images, targets, iteration, **options):
        if iteration == 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return step(self, images, targets, iteration, **options)

    monkeypatch.setattr(Learner, "step", large)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 24 * 2**30))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 22 * 2**30)
    path = tmp_path / "config.json"
    write_json(path, tiny_run(tmp_path, method="faster_rcnn").model_dump(mode="json"))
    assert main([str(path)]) == 2
    said = capsys.readouterr().err
    for part in (
        "in iteration 4",
        "images ",
        "22.0 of 24.0 GiB",
        "train.batch_size",
        "iteration 2",
    ):
        assert part in said


def test_dead_loader_process_is_a_sentence_and_the_run_goes_on(drawn, tmp_path, monkeypatch):
    config = tiny_run(tmp_path, method="faster_rcnn", workers=1, checkpoint_every=1)
    step = Learner.step
    before = set(multiprocessing.active_children())  # of other tests, not collected yet

    def kill(self, images, targets, iteration, **options):
        if iteration == 1:
            (loader,) = set(multiprocessing.active_children()) - before
            loader.kill()
            loader.join()
        return step(self, images, targets, iteration, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "step", kill)
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
    with alone_in(tmp_path, ALONE):
        pass


SLOW = """
import sys, time
from lib.training.failures import stop_on_sigterm
with stop_on_sigterm(grace={grace}) as asked:
    print("ready", flush=True)
    end = time.monotonic() + 30
    while not ({polite} and asked.is_set()) and time.monotonic() < end:
        time.sleep(0.01)
print("in order", flush=True)
"""


@pytest.mark.parametrize(
    ("grace", "polite", "code", "said"),
    [
        (20, True, 0, "in order"),
        (None, True, 0, "in order"),
        (0.1, False, STUCK, "waits for another"),
    ],
)
def test_asked_to_stop_a_program_ends_in_order_or_says_that_it_cannot(grace, polite, code, said):
    program = SLOW.format(grace=grace, polite=polite)
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=subprocess.STDOUT, text=True) as p:
        assert p.stdout is not None and p.stdout.readline() == "ready\n"
        p.terminate()
        text = p.stdout.read()
    assert p.returncode == code and said in text

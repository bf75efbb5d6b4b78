"""Several processes that share the batches learn what one does, and end together."""

import functools
import os
import re
import signal
import time
from itertools import chain
from pathlib import Path

import pytest
import torch

from lib.data.coco import CocoSet, load
from lib.files import read_json, write_json
from lib.models.weights import read_tensors
from lib.training import dataset
from lib.training.config import TrainConfig
from lib.training.distributed import ToldElsewhereError, World, joined
from lib.training.failures import STOPPED
from lib.training.learner import Learner
from lib.training.log import read_metrics
from lib.training.order import Batches, share_of
from lib.training.supervision import Supervision
from tests.fixtures.models import tiny_config
from tests.fixtures.training import draw_set, tiny_run
from tests.training.several import Several, check_together, train, train_in_double


def written(config: TrainConfig) -> Path:
    """Write a configuration beside its folder and return its path."""
    path = Path(config.out).with_suffix(".json")
    write_json(path, config.model_dump(mode="json"))
    return path


def leave_masks_to(drawn: CocoSet, images: set[int]) -> CocoSet:
    """Take the masks from all other images."""
    path = drawn.annotations_path
    content = read_json(path)
    for annotation in content["annotations"]:
        if annotation["image_id"] not in images:
            annotation["segmentation"] = []
    write_json(path, content)
    return load(path, path.parent / "images")


def supervised_in_shares(coco: CocoSet, config: TrainConfig) -> list[list[int]]:
    """Return for each iteration how many instances with a mask each of two processes has."""
    supervision = Supervision(coco.categories.split(config.supervised))
    masks = [sum(map(supervision.reads_mask, coco.instances(image.id))) for image in coco.images]
    size, stop = config.batch_size, config.iterations
    shapes = [image.width / image.height for image in coco.images]
    batches = Batches(shapes, size, start=0, stop=stop, seed=config.seed)
    shares = [share_of(size, rank, 2) for rank in range(2)]
    return [[sum(masks[batch[i][0]] for i in share) for share in shares] for batch in batches]


def assert_same_run(one: Path, other: Path) -> None:
    """Check that two runs logged the same, and ended with the same weights."""
    logs = [read_metrics(folder / "metrics.jsonl") for folder in (one, other)]
    names = [name for name in logs[0][0] if name.startswith(("iteration", "lr", "loss"))]
    first, second = ([[record[n] for n in names] for record in log] for log in logs)
    assert second == [pytest.approx(values, abs=2e-6) for values in first]
    state, same = (read_tensors(folder / "model.pt")["state"] for folder in (one, other))
    assert state.keys() == same.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(same[name], tensor, rtol=1e-7, atol=1e-9, msg=name)


CASES = {
    "baseline": {"model": tiny_config("mask_rcnn", norm="syncbn"), "batch_size": 3},
    "opmask": {"model": tiny_config("opmask", norm="syncbn"), "batch_size": 4},
}


@functools.cache
def done_by_one(folder: Path, case: str) -> TrainConfig:
    """Return a run that one process has done, in double precision, on a set with few masks."""
    coco = leave_masks_to(draw_set(folder / "set"), {1, 3, 5})
    config = tiny_run(
        folder,
        supervised="voc",
        iterations=20,
        steps=(15,),
        snapshots=(0, 7),
        out=str(folder / "one"),
        **CASES[case],
    )
    shares = supervised_in_shares(coco, config)
    assert any(a == 0 < b for a, b in shares) and any(b == 0 < a for a, b in shares)
    codes, said = Several(train_in_double, written(config), processes=1).end()
    assert codes == [0], said
    return config


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {case: tmp_path_factory.mktemp(case) for case in CASES}


@pytest.fixture
def opmask(folders: dict[str, Path]) -> TrainConfig:
    return done_by_one(folders["opmask"], "opmask")


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_does_though_one_has_no_supervised_instance(
    folders, tmp_path, case
):
    whole = done_by_one(folders[case], case)
    config = whole.model_copy(update={"out": str(tmp_path / "two")})
    codes, said = Several(train_in_double, written(config)).end()
    assert codes == [0, 0], said
    assert "2 processes with" in said and said.count("wrote ") == 1
    assert_same_run(Path(whole.out), Path(config.out))
    one, two = (read_tensors(Path(c.out) / "snapshot_7.pt")["state"] for c in (whole, config))
    assert all(torch.allclose(one[n].double(), two[n].double(), atol=1e-9) for n in one)


def kill_at(run: Several, config: TrainConfig, iteration: int, ranks: list[int]) -> None:
    """Kill processes as soon as so many iterations are logged."""
    log = Path(config.out) / "metrics.jsonl"
    while len(read_metrics(log)) < iteration:
        assert all(p.is_alive() for p in run.processes), run.end()
        time.sleep(0.005)
    for rank in ranks:
        os.kill(run.processes[rank].pid or 0, signal.SIGKILL)


def test_run_goes_on_after_kills_and_on_other_numbers_of_processes(opmask, tmp_path):
    config = opmask.model_copy(update={"out": str(tmp_path / "parts"), "checkpoint_every": 3})
    path = written(config)
    run = Several(train_in_double, path)
    kill_at(run, config, 4, ranks=[1])
    codes, said = run.end()
    assert codes == [2, -signal.SIGKILL]
    assert "Process 0 of 2 lost another one in iteration" in said
    assert re.search(r"The checkpoint of iteration \d+ is whole", said)
    run = Several(train_in_double, path, processes=1)
    kill_at(run, config, 10, ranks=[0])
    assert run.end()[0] == [-signal.SIGKILL]
    run = Several(train_in_double, path)
    kill_at(run, config, 14, ranks=[0, 1])
    run.end()
    codes, said = Several(train_in_double, path).end()
    assert codes == [0, 0], said
    assert "continuing from iteration 1" in said
    assert_same_run(Path(opmask.out), Path(config.out))
    assert {p.name for p in Path(config.out).glob("*.pt")} == {
        "model.pt",
        "snapshot_0.pt",
        "snapshot_7.pt",
    }


def test_process_asked_to_stop_stops_all_after_the_iteration_and_they_go_on(opmask, tmp_path):
    changes = {"out": str(tmp_path / "out"), "checkpoint_every": 100, "log_every": 5}
    config = opmask.model_copy(update=changes)
    path = written(config)
    codes, said = Several(stopped_in_process_1, path).end()
    assert codes == [STOPPED, STOPPED], said
    assert said.count("Stopped as asked") == 1
    assert "The checkpoint of iteration 13 is whole" in said
    assert read_tensors(tmp_path / "out" / "checkpoint.pt")["iteration"] == 13
    assert Several(train_in_double, path, processes=1).end()[0] == [0]
    losses = [record["loss"] for record in read_metrics(Path(opmask.out) / "metrics.jsonl")]
    means = [sum(losses[i : i + 5]) / 5 for i in range(0, 20, 5)]  # also over what was before
    found = [record["loss"] for record in read_metrics(tmp_path / "out" / "metrics.jsonl")]
    assert found == pytest.approx(means, abs=2e-6)


def stopped_in_process_1(path: Path) -> None:
    """Train; process 1 gets SIGTERM during the thirteenth iteration."""
    step = Learner.step

    def asked(self, images, targets, iteration, **options):
        if iteration == 11 and self.world.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, images, targets, iteration, **options)

    Learner.step = asked  # type: ignore[method-assign]
    train_in_double(path)


def broken_image(path: Path) -> None:
    """Train on pictures of which one is not a number."""
    pixels = dataset.pixels
    dataset.pixels = lambda record: pixels(record) / (float("nan") if record.id == 2 else 255)
    train(path)


def test_loss_that_is_not_finite_in_one_process_ends_all_with_one_sentence(drawn, tmp_path):
    config = tiny_run(tmp_path, method="faster_rcnn", iterations=9, checkpoint_every=1)
    codes, said = Several(broken_image, written(config)).end()
    assert codes == [2, 2], said
    (sentence,) = [line for line in said.splitlines() if line.startswith("error:")]
    batches = list(Batches([1.0] * 6, 2, start=0, stop=9, seed=0))
    bad = next(i for i, batch in enumerate(batches) if 1 in [index for index, _ in batch])
    rank = [index for index, _ in batches[bad]].index(1)
    assert f"not finite at iteration {bad + 1} (" in sentence
    assert f"process {rank}: loss_" in sentence and "images 2" in sentence
    assert bad == 0 or f"The checkpoint of iteration {bad} is whole" in sentence


def numbers(world: World, folder: Path) -> None:
    """What processes tell each other."""
    assert world.share(world.rank + 5) == 5
    assert world.gather(world.rank) == [0, 1]
    assert world.mean(torch.tensor([1.0 + world.rank])).tolist() == [1.5]
    assert world.largest([world.rank, -world.rank]) == [1, 0]
    error = ValueError if world.main else ToldElsewhereError
    with pytest.raises(error, match="not here"), world.together():
        if world.rank == 1:
            raise FileNotFoundError("not here")
    with world.together():
        (folder / str(world.rank)).touch()
    world.wait()
    assert len(list(folder.iterdir())) == 2


def test_processes_tell_each_other_what_they_have_and_what_went_wrong(tmp_path):
    check_together(numbers, tmp_path)


def test_one_process_on_its_own_talks_to_nobody():
    with joined("cpu") as world:
        assert (world.size, world.main, world.share(3), world.gather(4)) == (1, True, 3, [4])
        assert world.largest([1.5, 2]) == [1.5, 2]
        with pytest.raises(FileNotFoundError, match="this"), world.together():
            raise FileNotFoundError("this")


def test_processes_without_torchrun_are_a_sentence(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    wanted = r"RANK, LOCAL_RANK, MASTER_ADDR is not set\. .* torchrun"
    with pytest.raises(ValueError, match=wanted), joined("cpu"):
        pass


@pytest.mark.parametrize(("size", "processes"), [(16, 1), (16, 8), (7, 3), (5, 5), (6, 4)])
def test_shares_cover_every_batch_exactly_once_and_differ_by_one_at_most(size, processes):
    def yielded(share: range | None) -> list[list[tuple[int, int]]]:
        shapes = [1.5] * 7 + [0.7] * 4
        return list(Batches(shapes, size, start=2, stop=9, seed=3, share=share))

    shares = [share_of(size, rank, processes) for rank in range(processes)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    parts = [yielded(share) for share in shares]
    whole = [list(chain(*together)) for together in zip(*parts, strict=True)]
    assert whole == yielded(None)


def test_fewer_images_than_processes_are_a_sentence():
    with pytest.raises(ValueError, match=r"batch_size is 3, fewer images than the 4 processes"):
        share_of(3, 0, 4)

"""Several processes that share the batches learn what one does, and end together."""

import os
import signal
from itertools import chain
from pathlib import Path

import pytest
import torch

from lib.data.coco import CocoSet, load
from lib.files import read_json, write_json
from lib.models.weights import read_tensors
from lib.training.config import TrainConfig
from lib.training.distributed import World, joined
from lib.training.failures import STOPPED
from lib.training.learner import Learner
from lib.training.log import read_metrics
from lib.training.order import Batches, share_of
from lib.training.supervision import Supervision
from tests.fixtures.models import tiny_config
from tests.fixtures.training import draw_set, tiny_run
from tests.training.several import Several, check_together, train_in_double


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run that one process has done, in double precision, on a set with few masks."""
    folder = tmp_path_factory.mktemp("whole")
    coco = leave_masks_to(draw_set(folder / "set"), {1, 3, 5})
    config = tiny_run(
        folder,
        model=tiny_config("opmask", norm="syncbn"),
        batch_size=3,
        supervised="voc",
        iterations=12,
        steps=(9,),
        snapshots=(0, 7),
        log_every=4,
        out=str(folder / "one"),
    )
    shares = supervised_in_shares(coco, config)
    assert any(a == 0 < b for a, b in shares) and any(b == 0 < a for a, b in shares)
    codes, said = Several(train_in_double, written(config), processes=1).end()
    assert codes == [0], said
    return config


def test_two_processes_learn_what_one_does_though_one_has_no_supervised_instance(whole, tmp_path):
    config = whole.model_copy(update={"out": str(tmp_path / "two")})
    codes, said = Several(train_in_double, written(config)).end()
    assert codes == [0, 0], said
    assert "2 processes with" in said and said.count("wrote ") == 1
    assert_same_run(Path(whole.out), Path(config.out))
    one, two = (read_tensors(Path(c.out) / "snapshot_7.pt")["state"] for c in (whole, config))
    assert all(torch.allclose(one[n].double(), two[n].double(), atol=1e-9) for n in one)


def signal_at(path: Path, rank: int, iteration: int, number: signal.Signals) -> None:
    """Train; a process gets a signal before a step, counted from 0."""
    step = Learner.step

    def ended(self, images, targets, at, **options):
        if at == iteration and self.world.rank == rank:
            os.kill(os.getpid(), number)
        return step(self, images, targets, at, **options)

    Learner.step = ended  # type: ignore[method-assign]
    train_in_double(path)


def test_run_goes_on_after_signals_and_on_other_numbers_of_processes(whole, tmp_path):
    config = whole.model_copy(update={"out": str(tmp_path / "parts"), "checkpoint_every": 3})
    path = written(config)
    codes, said = Several(signal_at, path, 1, 1, signal.SIGTERM).end()
    assert codes == [STOPPED, STOPPED], said
    stopped = read_tensors(Path(config.out) / "checkpoint.pt")["iteration"]
    assert stopped in (2, 3) and f"The checkpoint of iteration {stopped} is whole" in said
    codes, said = Several(signal_at, path, 1, 7, signal.SIGKILL).end()
    assert codes == [2, -signal.SIGKILL]
    assert f"continuing from iteration {stopped}" in said
    assert "Another process was lost" in said and "iteration 6 is whole" in said
    codes, said = Several(train_in_double, path, processes=1).end()
    assert codes == [0] and "continuing from iteration 6" in said
    assert_same_run(Path(whole.out), Path(config.out))
    assert {p.name for p in Path(config.out).glob("*.pt")} == {
        "model.pt",
        "snapshot_0.pt",
        "snapshot_7.pt",
    }


def numbers(world: World, folder: Path) -> None:
    """What processes tell each other."""
    assert world.share(world.rank + 5) == 5
    assert world.gather(world.rank) == [0, 1]
    assert world.mean(torch.tensor([1.0 + world.rank])).tolist() == [1.5]
    error = ValueError if world.main else FileNotFoundError
    with pytest.raises(error, match="not here"), world.together():
        if world.rank == 1:
            raise FileNotFoundError("not here")
    with world.together():
        (folder / str(world.rank)).touch()
    assert len(list(folder.iterdir())) == 2


def test_processes_tell_each_other_what_they_have_and_what_went_wrong(tmp_path):
    check_together(numbers, tmp_path)


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

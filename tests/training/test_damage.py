"""A run whose models were damaged ends as if they had not been."""

import shutil
from pathlib import Path

import pytest

from lib.training.config import TrainConfig
from lib.training.train import train
from tests.fixtures.training import draw_set, interrupt, tiny_run


def _run(folder: Path, name: str) -> TrainConfig:
    changes = {"iterations": 3, "snapshots": (1,), "out": str(folder / name)}
    return tiny_run(folder, method="faster_rcnn", checkpoint_every=2, **changes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run and an interrupted one."""
    folder = tmp_path_factory.mktemp("runs")
    draw_set(folder / "set")
    train(_run(folder, "whole"))
    interrupt(_run(folder, "interrupted"), 2)
    return folder


@pytest.mark.parametrize("damage", ["half", "changed", "gone"])
@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("interrupted", "checkpoint.pt"),
        ("interrupted", "snapshot_1.pt"),
        ("whole", "model.pt"),
        ("whole", "snapshot_1.pt"),
    ],
)
def test_a_run_whose_files_are_damaged_ends_as_if_they_were_not(
    runs: Path, run: str, name: str, damage: str
) -> None:
    config = _run(runs, f"{run}-{name}-{damage}")
    shutil.copytree(runs / run, config.out)
    path = Path(config.out) / name
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        changed = data[:200] + bytes([data[200] ^ 1]) + data[201:]
        path.write_bytes(data[: len(data) // 2] if damage == "half" else changed)
    train(config)
    for kept in ("model.pt", "snapshot_1.pt"):
        assert (Path(config.out) / kept).read_bytes() == (runs / "whole" / kept).read_bytes()

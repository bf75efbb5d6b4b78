"""A run whose files were damaged ends as if they had not been."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.training.config import TrainConfig
from lib.training.log import read_metrics
from lib.training.train import train
from tests.fixtures.training import interrupt, tiny_run

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "null": lambda data: b"null",
    "list": lambda data: b"[]\n",
    "half": lambda data: data[: len(data) // 2],
    "binary": lambda data: bytes(range(256)),
    "changed": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
}


def _run(folder: Path, name: str) -> TrainConfig:
    places = {"out": str(folder / name)}
    return tiny_run(folder, iterations=6, snapshots=(2,), log_every=1, checkpoint_every=2, **places)


def _damage(path: Path, kind: str) -> None:
    if kind == "gone":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[kind](path.read_bytes()))


def _files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in [*folder.glob("*.pt"), folder / "batch.json"]}


def _logged(folder: Path) -> list[tuple[float, float]]:
    return [(r["iteration"], r["loss"]) for r in read_metrics(folder / "metrics.jsonl")]


@pytest.fixture
def whole(drawn, tmp_path: Path) -> Path:
    return train(_run(tmp_path, "whole")).parent


@pytest.mark.parametrize("name", ["checkpoint.pt", "metrics.jsonl", "snapshot_2.pt", "batch.json"])
def test_an_interrupted_run_whose_files_are_damaged_ends_as_if_they_were_not(
    whole: Path, tmp_path: Path, name: str
) -> None:
    interrupt(_run(tmp_path, "interrupted"), 5)
    for kind in [*DAMAGES, "gone"]:
        config = _run(tmp_path, kind)
        shutil.copytree(tmp_path / "interrupted", config.out)
        _damage(Path(config.out) / name, kind)
        folder = train(config).parent
        assert _files(folder) == _files(whole)
        assert _logged(folder) == _logged(whole)


@pytest.mark.parametrize("name", ["model.pt", "metrics.jsonl", "snapshot_2.pt", "batch.json"])
def test_a_finished_run_whose_files_are_damaged_is_repeated(
    whole: Path, tmp_path: Path, name: str
) -> None:
    files, logged = _files(whole), _logged(whole)
    for kind in [*DAMAGES, "gone"]:
        if kind == "changed" and not name.endswith(".pt"):
            continue  # nothing depends on what a finished run tells of itself
        _damage(whole / name, kind)
        train(_run(tmp_path, "whole"))
        assert _files(whole) == files
        assert _logged(whole) == logged

"""GPUs are shared by trainings and by nothing else; none of these tests needs one."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lib.runner import machine
from lib.runner.machine import choose, described, shares, visible_gpus
from lib.runner.problems import UsageError
from tests.runner.fake_gpus import show_gpus
from tests.runner.toy import STEPS, Toy

SEE = """
import json, os, time
def mark(what):
    seen = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "BOXES_TO_MASKS_PROCESSES")]
    with open("marks", "a") as file:
        file.write(json.dumps([ws.step, what, time.time(), *seen]) + "\\n")
mark("begins")
time.sleep(0.3)
mark("ends")
"""


@pytest.fixture
def seen(toy: Toy) -> Toy:
    """A toy whose steps write down when they run and which GPUs they see."""
    for step in STEPS:
        toy.edit(step.notebook, "ws.file(", SEE + "ws.file(")
    return toy


def marks(toy: Toy) -> dict[str, tuple[float, float, list[str] | None, str | None]]:
    """Return for each step when it began and ended, its GPUs' numbers, and its processes."""
    found: dict[str, tuple[float, float, list[str] | None, str | None]] = {}
    for line in (toy.root / "marks").read_text().splitlines():
        step, what, at, gpus, processes = json.loads(line)
        ids = None if gpus is None else [name for name in gpus.split(",") if name]
        listed = ids and [str(int(name.removeprefix("GPU-")[:4], 16)) for name in ids]
        begin = at if what == "begins" else found[step][0]
        found[step] = (begin, at, listed, processes)
    return found


def test_each_training_has_an_equal_share_of_its_own(
    seen: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [81_559] * 4)
    seen.steps = tuple(replace(s, kind="train") for s in (STEPS[0], STEPS[2]))
    assert len(seen.ran("--jobs", "2", "--gpus", "0,1,2,3")) == 2
    (begin, end, one, count), (other_begin, other_end, two, other) = marks(seen).values()
    assert max(begin, other_begin) < min(end, other_end), "not side by side"
    assert sorted([*(one or []), *(two or [])]) == ["0", "1", "2", "3"]
    assert count == other == "2"
    record = json.loads((seen.root / "results/toy/provenance.json").read_text())["steps"]
    assert {entry["device"] for entry in record.values()} == {"1 x Toy 0, 1 x Toy 1"}


def test_one_training_at_a_time_has_all_gpus_that_are_named(
    seen: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [81_559] * 4)
    seen.steps = (replace(STEPS[0], kind="train"), replace(STEPS[2], kind="alone"))
    _, output = seen.run("--jobs", "1", "--gpus", "1,3")
    assert "01_numbers starts on 2 GPUs" in output
    assert marks(seen)["01_numbers"][2:] == (["1", "3"], "2")
    # What measures time measures that of one GPU.
    assert marks(seen)["03_other"][2:] == (["1"], "1")
    # The time that is remembered is that on one.
    past = json.loads((seen.root / "cache/toy/times.json").read_text())
    taken = json.loads((seen.root / "results/toy/provenance.json").read_text())["steps"]
    assert past["01_numbers"] == pytest.approx(2 * taken["01_numbers"]["seconds"], abs=0.2)
    assert past["03_other"] == pytest.approx(taken["03_other"]["seconds"], abs=0.1)


def test_more_trainings_than_gpus_take_turns_and_other_steps_need_none(
    seen: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [81_559])
    trainings = tuple(replace(STEPS[2], variant=name, kind="train") for name in ("", "b"))
    seen.steps = (STEPS[0], *trainings)
    seen.edit("03_other", "'03_other')", "__import__('os').environ['BOXES_TO_MASKS_STEP'])")
    assert len(seen.ran("--jobs", "3")) == 3
    there = marks(seen)
    assert there["01_numbers"][2:] == ([], "1"), "a step of the CPU sees a GPU"
    (begin, end, one, _), (other_begin, other_end, two, _) = there["03_other"], there["03_other.b"]
    assert one == two == ["0"]
    assert end <= other_begin or other_end <= begin
    assert there["01_numbers"][0] < max(end, other_end), "a step of the CPU waited for a GPU"


def test_a_training_that_is_to_stay_on_the_cpu_takes_no_gpu(
    seen: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [81_559])
    cell = "numbers_count: int = 3  # how many"
    seen.edit("01_numbers", cell, cell + "\ntrain_device: str = 'cpu'  # where")
    seen.steps = (replace(STEPS[0], kind="train"),)
    seen.run()
    assert marks(seen)["01_numbers"][2:] == ([], "1")


def test_a_training_has_no_more_processes_than_images(
    seen: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [81_559] * 4)
    cell = "numbers_count: int = 3  # how many"
    seen.edit("01_numbers", cell, cell + "\ntrain_batch_size: int = 3  # images")
    seen.steps = (replace(STEPS[0], kind="train"),)
    assert "01_numbers starts on 3 GPUs" in seen.run()[1]
    assert marks(seen)["01_numbers"][2:] == (["0", "1", "2"], "3")


def test_without_gpus_nothing_is_said_to_cuda_and_gpus_are_refused(
    seen: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [])
    monkeypatch.delenv("BOXES_TO_MASKS_PROCESSES", raising=False)
    seen.steps = (replace(STEPS[0], kind="train"),)
    code, output = seen.run("--gpus", "0")
    assert code == 2
    assert "--gpus 0: neither nvidia-smi nor PyTorch shows a GPU" in output
    assert not (seen.root / "marks").exists()
    assert seen.run()[0] == 0
    assert marks(seen)["01_numbers"][2:] == (None, None)


TORCH = """
import os
from types import SimpleNamespace as Of
assert "CUDA_VISIBLE_DEVICES" not in os.environ and os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
gpus = [Of(uuid=f"{n:04x}-b", total_memory=81_559 * 2**20, name=f"Toy {n}") for n in range(4)]
cuda = Of(device_count=lambda: len(gpus), get_device_properties=gpus.__getitem__)
"""


@pytest.fixture
def torch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a driver and a PyTorch that sees four GPUs; ``nvidia-smi`` fails."""
    show_gpus(monkeypatch, tmp_path, [])
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(machine, "_has_driver", lambda: True)


@pytest.mark.usefixtures("torch_alone")
def test_without_nvidia_smi_the_gpus_are_those_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = visible_gpus()
    assert [gpu.number for gpu in found] == ["0", "1", "2", "3"]
    assert found[2] == machine.Gpu("2", "GPU-0002-b", 85.5, "Toy 2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-0003,1")
    assert [gpu.number for gpu in visible_gpus()] == ["3", "1"]


def test_pytorch_is_not_asked_where_there_is_no_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_alone: None
) -> None:
    monkeypatch.setattr(machine, "_has_driver", lambda: False)
    assert visible_gpus() == ()


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("0,7", "there is no GPU '7' here. There are: 0 (Toy 0, 86 GB), 1 (Toy 1)"),
        ("0,0", "--gpus 0,0 names a GPU twice"),
        ("", "there is no GPU '' here"),
        ("two", "there is no GPU 'two' here"),
    ],
)
def test_gpus_that_are_not_there_are_refused_with_a_list_of_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, text: str
) -> None:
    show_gpus(monkeypatch, tmp_path, [81_559, "[N/A]"])
    with pytest.raises(UsageError) as error:
        choose(option, visible_gpus())
    assert text in str(error.value)


def test_only_gpus_that_the_environment_shows_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [1000] * 4)

    def numbers(variable: str) -> list[str]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
        return [gpu.number for gpu in visible_gpus()]

    assert numbers("3,1") == ["3", "1"]
    assert numbers("GPU-0002, 0") == ["2", "0"]
    assert numbers("MIG-5") == ["MIG-5"]
    # CUDA stops at the first that it does not know.
    assert numbers("1,9,2") == ["1"]
    assert numbers("") == numbers("-1") == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert choose("all", visible_gpus()) == choose(None, visible_gpus()) == visible_gpus()
    assert described(visible_gpus()) == "2 x Toy 0, 2 x Toy 1"


def test_shares_are_disjoint_equal_and_as_large_as_can_be() -> None:
    for count, jobs in itertools.product(range(1, 9), range(1, 10)):
        groups = shares(range(count), jobs)  # type: ignore[arg-type]
        members = [gpu for group in groups for gpu in group]
        assert len(set(members)) == len(members)
        assert len({len(group) for group in groups}) == 1
        assert len(groups) == min(count, jobs)
        assert count - len(members) < len(groups)

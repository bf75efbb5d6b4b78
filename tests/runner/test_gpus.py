"""GPUs are shared by trainings and by nothing else; none of these tests needs one."""

import ctypes
import itertools
import json
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lib.runner.jobs import Job, Outcome, Say, environment_of
from lib.runner.machine import Gpu, choose, described, visible_gpus
from lib.runner.places import Shares
from lib.runner.problems import UsageError
from tests.runner.fake_gpus import show_gpus
from tests.runner.toy import STEPS, Toy


@dataclass(frozen=True)
class Ran:
    """When a step ran, on which GPUs, by their numbers, and with how many processes."""

    begin: float
    end: float
    gpus: list[int] | None
    processes: int


@pytest.fixture
def ran(toy: Toy) -> dict[str, Ran]:
    """Gets how the steps of the toy ran; nothing is executed."""
    found: dict[str, Ran] = {}

    def run(job: Job, _: Say) -> Outcome:
        begin = time.monotonic()
        time.sleep(0.1)
        shutil.copy(job.source, job.executed)
        gpus = None if job.gpus is None else [int(gpu[4:8], 16) for gpu in job.gpus]
        found[job.step] = Ran(begin, time.monotonic(), gpus, job.processes)
        return Outcome(0.1)

    toy.how = run
    return found


def test_each_training_has_an_equal_share_of_its_own(
    toy: Toy, ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, [81_559] * 4)
    toy.steps = tuple(replace(s, kind="train") for s in (STEPS[0], STEPS[2]))
    assert len(toy.ran("--jobs", "2", "--gpus", "0,1,2,3")) == 2
    one, two = ran.values()
    assert max(one.begin, two.begin) < min(one.end, two.end), "not side by side"
    assert sorted([*(one.gpus or []), *(two.gpus or [])]) == [0, 1, 2, 3]
    assert one.processes == two.processes == 2
    record = json.loads((toy.root / "results/toy/provenance.json").read_text())["steps"]
    assert {entry["device"] for entry in record.values()} == {"1 x Toy 0, 1 x Toy 1"}


def test_one_training_at_a_time_has_all_gpus_that_are_named(
    toy: Toy, ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, [81_559] * 4)
    toy.steps = (replace(STEPS[0], kind="train"), replace(STEPS[2], kind="alone"))
    assert "01_numbers starts on 2 GPUs" in toy.run("--jobs", "1", "--gpus", "1,3")[1]
    assert (ran["01_numbers"].gpus, ran["01_numbers"].processes) == ([1, 3], 2)
    # What measures time measures that of one GPU.
    assert (ran["03_other"].gpus, ran["03_other"].processes) == ([1], 1)
    # The time that is remembered is that on one.
    past = json.loads((toy.root / "cache/toy/times.json").read_text())
    assert past == {"01_numbers": 0.2, "03_other": 0.1}


def test_more_trainings_than_gpus_take_turns_and_other_steps_need_none(
    toy: Toy, ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, [81_559])
    trainings = [replace(STEPS[2], variant=name, kind="train") for name in ("", "b")]
    toy.steps = (STEPS[0], *trainings)
    assert len(toy.ran("--jobs", "3")) == 3
    one, two = ran["03_other"], ran["03_other.b"]
    assert one.gpus == two.gpus == [0]
    assert one.end <= two.begin or two.end <= one.begin
    assert ran["01_numbers"].gpus == [], "a step of the CPU sees a GPU"
    assert ran["01_numbers"].begin < max(one.end, two.end), "a step of the CPU waited for a GPU"


@pytest.mark.parametrize(
    ("parameter", "used"),
    [("train_device: str = 'cpu'", ([], 1)), ("train_batch_size: int = 3", ([0, 1, 2], 3))],
)
def test_a_training_on_the_cpu_takes_no_gpu_and_none_has_more_than_images(
    toy: Toy,
    ran: dict[str, Ran],
    monkeypatch: pytest.MonkeyPatch,
    parameter: str,
    used: tuple[list[int], int],
) -> None:
    show_gpus(monkeypatch, [81_559] * 4)
    cell = "numbers_count: int = 3  # how many"
    toy.edit("01_numbers", cell, f"{cell}\n{parameter}  # one more")
    toy.steps = (replace(STEPS[0], kind="train"),)
    toy.run()
    assert (ran["01_numbers"].gpus, ran["01_numbers"].processes) == used


def test_without_gpus_nothing_is_said_to_cuda_and_gpus_are_refused(
    toy: Toy, ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, [])
    toy.steps = (replace(STEPS[0], kind="train"),)
    code, output = toy.run("--gpus", "0")
    assert code == 2
    assert "There are: none" in output
    assert not ran
    assert toy.run()[0] == 0
    assert ran["01_numbers"].gpus is None


def test_a_kernel_sees_the_gpus_of_its_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CUDA_VISIBLE_DEVICES", "BOXES_TO_MASKS_PROCESSES")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    job = Job("step", "source", "folder", "root", (), "", gpus=("GPU-a", "GPU-b"), processes=2)
    assert [environment_of(job)[name] for name in names] == ["GPU-a,GPU-b", "2"]
    assert not set(names) & environment_of(replace(job, gpus=None)).keys()


TORCH = """
import os
from types import SimpleNamespace as Of
assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
gpus = [Of(uuid=f"{n:04x}-b", total_memory=81_559 * 2**20, name=f"Toy, {n}") for n in range(2)]
cuda = Of(device_count=lambda: len(gpus), get_device_properties=gpus.__getitem__)
"""


def test_gpus_are_those_that_pytorch_shows_where_there_is_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(ctypes, "CDLL", lambda _: None)
        found = visible_gpus()
    assert found[1] == Gpu("1", "GPU-0001-b", 85.5, "Toy, 1")
    assert len(found) == 2

    def missing(_: str) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert visible_gpus() == ()


def test_gpus_have_the_names_that_the_environment_gives_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    show_gpus(monkeypatch, [1000] * 2)  # two that it leaves visible

    def found(variable: str) -> list[tuple[str, str]]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
        return [(gpu.number, gpu.uuid) for gpu in visible_gpus()]

    assert found("3, 1") == [("3", "GPU-0000-b"), ("1", "GPU-0001-b")]
    assert found("GPU-0000,GPU-0001,9") == [("0", "GPU-0000-b"), ("1", "GPU-0001-b")]
    assert found("MIG-5,MIG-6") == [("0", "MIG-5"), ("1", "MIG-6")]
    assert choose("all", visible_gpus()) == choose(None, visible_gpus()) == visible_gpus()
    assert described(visible_gpus()) == "1 x Toy 0, 1 x Toy 1"


@pytest.mark.parametrize("option", ["0,7", "0,0", "", "two"])
def test_gpus_that_are_not_there_are_refused_with_a_list_of_those_that_are(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    show_gpus(monkeypatch, [81_559, 1000])
    with pytest.raises(UsageError, match=r"There are: 0 \(Toy 0, 86 GB\), 1 \(Toy 1, 1 GB\)"):
        choose(option, visible_gpus())


def test_shares_are_disjoint_equal_and_as_large_as_can_be() -> None:
    for count, jobs in itertools.product(range(1, 9), range(1, 10)):
        shares = Shares([Gpu(str(n), str(n), 80.0, "GPU") for n in range(count)], jobs)
        with ExitStack() as stack:
            held = [stack.enter_context(shares.held("train")) for _ in range(min(count, jobs))]
        members = [gpu for share in held for gpu in share]
        assert len(set(members)) == len(members)
        assert {len(share) for share in held} == {shares.size}
        assert count - len(members) < len(held)

"""What is said before a run: how long it takes, and what of it is not on this machine."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lib import paths
from lib.data import prepare
from lib.runner import preview
from lib.runner.fingerprint import Fingerprint
from lib.runner.machine import choose, visible_gpus
from lib.runner.places import LocalMachine, Room
from lib.runner.plan import Decision, Planner
from lib.runner.preview import expected_wall, makespan, print_preview
from lib.runner.setup import Setup
from lib.runner.setup import prepare as set_up
from lib.runner.steps import Kind, Step
from lib.steps import STEPS as ALL_STEPS
from lib.study import Study
from tests.runner.fake_gpus import show_gpus
from tests.runner.toy import STEPS, Toy, run_as_script

GB = 10**9


@pytest.fixture(autouse=True)
def _no_gpus_nor_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has: no GPU, no data, much memory and disk."""
    show_gpus(monkeypatch, [])
    monkeypatch.setattr(paths, "data_folders", lambda: [tmp_path / "data"])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    room(monkeypatch)


def room(monkeypatch: pytest.MonkeyPatch, *, memory: float = 4000, disk: float = 4000) -> None:
    there = SimpleNamespace(total=memory * GB)
    monkeypatch.setattr(preview.psutil, "virtual_memory", lambda: there)
    monkeypatch.setattr(preview.shutil, "disk_usage", lambda _: SimpleNamespace(free=disk * GB))


@pytest.fixture(scope="module")
def paper() -> Setup:
    """The profile that needs most."""
    return set_up(Study(), ALL_STEPS, profile="paper", planned=True)


@dataclass
class Bare:
    """A planner of a machine on which nothing has run, without the time to look."""

    setup: Setup

    def plan(self) -> list[Decision]:
        reasons, nothing = ("it has not run yet",), Fingerprint("", {}, {}, {}, {}, {})
        return [Decision(step, "run", reasons, nothing) for step in self.setup.chosen]

    def expected_seconds(self, step: Step) -> float:
        return 60 * step.minutes


@pytest.fixture
def plan(paper: Setup, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Returns a dry run of the paper's profile, and what it says is missing, in one line."""

    def run(option: str | None = None, *, jobs: int = 1) -> tuple[str, str]:
        gpus = choose(option, visible_gpus(), absent=True)
        place = LocalMachine(run_as_script, jobs=jobs, gpus=gpus)
        planner = Bare(paper)
        print_preview(cast(Planner, planner), planner.plan(), place, gpus)
        text = capsys.readouterr().out
        return text, " ".join(text.partition("Missing on this machine:")[2].split())

    return run


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(b"x" * 1000)


def test_everything_that_a_bare_machine_lacks_is_named(
    plan: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    room(monkeypatch, memory=16, disk=20)
    _, lacking = plan()
    assert "- COCO 2017, 118,287 + 5,000 images: not found. It takes 21 GB, and 41 GB" in lacking
    assert "- PASCAL VOC 2012 with SBD, 10,582 + 1,449 images: not found. It takes 2.2" in lacking
    assert "python -m lib.data.download coco voc sbd weights -" in lacking
    assert "- A GPU: PyTorch shows none." in lacking
    assert "GB for what runs side by side; there are 16 GB." in lacking
    assert "GB for data and cache; 20 GB are free." in lacking


def test_several_gpus_that_are_not_here_can_be_planned_with(
    plan: Callable[..., tuple[str, str]],
) -> None:
    text, lacking = plan("0,1,2,3", jobs=2)
    assert re.search(r"On 4 x GPU .*: 2 steps at a time, 2 trainings among them, 2 GPUs", text)
    assert "GPUs named by --gpus that are not here: 0, 1, 2, 3." in lacking
    assert "A GPU:" not in lacking


def test_gpus_that_are_here_are_planned_with_and_their_memory_is_compared(
    plan: Callable[..., tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, [48_000] * 2)
    text, lacking = plan(jobs=2)
    assert "On 1 x Toy 0, 1 x Toy 1: 2 steps at a time, 2 trainings among them, 1 GPU" in text
    assert "r101.baseline.voc.seed0 takes about 72 GB on each GPU, and the smallest" in lacking
    assert "GPU" not in plan()[1]


def test_a_whole_set_is_found_and_a_part_of_it_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Callable[..., tuple[str, str]]
) -> None:
    whole = {"coco": {"train": 30, "val": 5}, "voc": {"train": 20, "val": 4}}
    monkeypatch.setattr(prepare, "WHOLE", whole)
    coco, voc = tmp_path / "data/coco2017", tmp_path / "data/voc2012"
    for folder, stem in ((coco, "instances_{}2017.json"), (voc, "{}.json")):
        (folder / "annotations").mkdir(parents=True)
        for name in ("train", "val"):
            (folder / "annotations" / stem.format(name)).write_text("{}")
    pictures(coco / "train2017", 30)
    pictures(coco / "val2017", 5)
    pictures(voc / "JPEGImages", 23)
    weights = tmp_path / "torch/hub/checkpoints"
    pictures(weights, 0)
    (weights / "resnet101-63fe2227.pth").write_text("")
    text, lacking = plan()
    assert "COCO" not in lacking
    assert "Data: COCO 2017, 30 + 5 images, in " in text
    assert "10,582" not in text
    assert "20 + 4 images: only 23 images are here" in lacking
    assert "ResNet-101" not in lacking
    assert "To fetch: python -m lib.data.download voc sbd weights -" in lacking
    shutil.rmtree(coco / "val2017")
    assert "COCO 2017, 30 + 5 images: not found" in plan()[1]


def test_a_toy_lacks_nothing_and_its_time_follows_the_jobs(toy: Toy) -> None:
    toy.profile("description: a toy\nminutes: {01_numbers: 60, 03_other: 50, 04_report: 10}\n")
    output = toy.run("--dry-run")[1]
    assert "4 steps to run: about 2 h 00 min." in output
    assert output.rstrip().endswith("Nothing is missing on this machine.")
    assert "4 steps to run: about 1 h 10 min." in toy.run("--dry-run", "--jobs", "2")[1]
    toy.run()
    assert "Every step is up to date." in toy.run("--dry-run")[1]
    assert all("up to date" in text for text in toy.planned().values())


def test_a_file_that_nobody_has_is_named_once_in_a_plan_and_an_error_in_a_run(toy: Toy) -> None:
    toy.steps = (*STEPS, replace(STEPS[2], variant="more"))
    choice = ("--set", "other.word=boxes/nothing.json")
    code, output = toy.run(*choice, "--dry-run")
    assert code == 0
    (line,) = [line for line in output.splitlines() if "does not exist" in line]
    assert "'boxes/nothing.json', which other.word of step 03_other names" in line
    assert toy.run(*choice)[0] == 2


def test_a_dry_run_writes_nothing(toy: Toy) -> None:
    toy.run()
    before = {path: path.stat().st_mtime_ns for path in toy.root.rglob("*")}
    (toy.root / "mine.json").write_text("{}")  # another file to take a digest of
    toy.run("--dry-run", "--set", "other.word=mine.json", "--name", "toy2")
    toy.run("--dry-run")
    (toy.root / "mine.json").unlink()
    after = {path: path.stat().st_mtime_ns for path in toy.root.rglob("*")}
    assert {path for path in after if after[path] != before.get(path)} <= {toy.root}


def _time(room: Room, *steps: tuple[str, Kind, float, tuple[str, ...]]) -> float:
    made = [Step(name, kind=kind, needs=needs) for name, kind, _, needs in steps]
    kinds = {name: kind for name, kind, *_ in steps}
    return makespan(made, kinds, {name: seconds for name, _, seconds, _ in steps}, room)


TWO = (("data", "cpu", 10.0, ()), ("a", "train", 60.0, ("data",)), ("b", "train", 40.0, ("data",)))


def test_times_by_hand() -> None:
    assert _time(Room(1, 1), *TWO) == 110
    assert _time(Room(2, 2), *TWO) == 70
    # A second job does not give a second GPU, but steps of the CPU run beside a training.
    assert _time(Room(2, 1, 1), *TWO) == 110
    assert _time(Room(2, 1, 1), ("a", "train", 60.0, ()), ("c", "cpu", 50.0, ())) == 60
    # Nothing runs beside a step that measures time.
    alone = ("m", "alone", 5.0, ())
    assert _time(Room(8, 8, 1), ("a", "train", 60.0, ()), alone, ("b", "train", 60.0, ())) == 65
    # What is needed and does not run is there already.
    assert _time(Room(2, 2), *TWO[1:]) == 60
    assert _time(Room(1, 1)) == 0


def test_the_gpu_with_most_images_decides_and_none_is_without() -> None:
    def share(images: int, room: Room, kind: Kind = "train") -> float:
        step = Step("s", kind=kind, minutes=1 / 60)
        planner = Bare(cast(Setup, SimpleNamespace(parameters={"s": {"train_batch_size": images}})))
        return expected_wall(cast(Planner, planner), step, room)

    shares = [share(6, Room(1, 1, gpus)) for gpus in (1, 2, 3, 4, 6, 8)]
    assert shares == [1, 1 / 2, 1 / 3, 2 / 6, 1 / 6, 1 / 6]
    assert share(16, Room(1, 1, 3)) == 6 / 16
    assert share(6, Room(1, 1, 4), "alone") == share(6, Room(4, 4)) == 1

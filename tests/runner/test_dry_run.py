"""What a dry run says: everything that a run needs, and what of it is not on this machine."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lib import paths
from lib.data import prepare
from lib.runner import missing
from lib.runner.data_needs import distinct, needed_data
from lib.runner.dry_run import WIDTH, print_dry_run
from lib.runner.fingerprint import Fingerprint
from lib.runner.gpus import choose, visible_gpus
from lib.runner.places import LocalMachine
from lib.runner.plan import Decision, Planner
from lib.runner.setup import Request, Setup
from lib.runner.setup import prepare as set_up
from lib.runner.steps import STEPS as ALL_STEPS
from lib.runner.steps import Step
from lib.study import Study
from tests.runner.fake_gpus import show_gpus
from tests.runner.toy import STEPS, Toy, run_as_script

GB = 10**9


@pytest.fixture(autouse=True)
def _no_gpus_nor_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has: no GPU, no data, much memory and disk."""
    show_gpus(monkeypatch, tmp_path, [])
    monkeypatch.setattr(paths, "data_folders", lambda: [tmp_path / "data"])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    room(monkeypatch)


def room(monkeypatch: pytest.MonkeyPatch, *, memory: float = 4000, disk: float = 4000) -> None:
    there = SimpleNamespace(total=memory * GB)
    monkeypatch.setattr(missing.psutil, "virtual_memory", lambda: there)
    monkeypatch.setattr(missing.shutil, "disk_usage", lambda _: SimpleNamespace(free=disk * GB))


@pytest.fixture(scope="module")
def paper() -> Setup:
    """The profile that needs most."""
    return set_up(Study(), ALL_STEPS, Request(profile="paper", planned=True))


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
        print_dry_run(cast(Planner, Bare(paper)), place, gpus)
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= WIDTH
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
    text, lacking = plan()
    assert "- COCO 2017, 118,287 + 5,000 images: not found. It takes 21 GB, and 41 GB" in lacking
    assert "- PASCAL VOC 2012 with SBD, 10,582 + 1,449 images: not found. It takes 2.2" in lacking
    assert "python -m lib.data.download coco voc sbd weights -" in lacking
    assert "- A GPU: neither nvidia-smi nor PyTorch shows one." in lacking
    assert "GB for what runs side by side; there are 16 GB." in lacking
    assert "GB for data and cache; 20 GB are free." in lacking
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "voc!, resnet50!" in lines["ablation.plain"]
    assert "coco!, resnet101!" in lines["r101.opmask.voc"]
    assert "1 GPU, 72 GB" in lines["r101.opmask.voc"]
    assert lines["99_summary"].endswith("  not run yet")


def test_several_gpus_that_are_not_here_can_be_planned_with(
    plan: Callable[..., tuple[str, str]],
) -> None:
    text, lacking = plan("0,1,2,3", jobs=2)
    assert "2 GPUs x 36 GB" in text
    assert "4 GPUs; 2 steps at a time, 2 GPUs for each training" in text
    assert "GPUs named by --gpus that are not here: 0, 1, 2, 3." in lacking
    assert "A GPU:" not in lacking
    wider = plan("0,1,2", jobs=2)[0]
    assert "one GPU for each training; 1 GPU left over" in wider


def test_gpus_that_are_here_are_planned_with_and_their_memory_is_compared(
    plan: Callable[..., tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, tmp_path, [48_000] * 2)
    text, lacking = plan(jobs=2)
    assert "1 x Toy 0, 1 x Toy 1; 2 steps at a time, one GPU for each training" in text
    assert "r101.baseline.voc takes about 72 GB on each GPU, and the smallest has 50" in lacking
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
    assert "coco: COCO 2017, 30 + 5 images, " in text
    assert "10,582" not in text
    assert "20 + 4 images: only 23 images are here" in lacking
    assert "ResNet-101" not in lacking
    assert "To fetch: python -m lib.data.download voc sbd weights -" in lacking
    shutil.rmtree(coco / "val2017")
    assert "COCO 2017, 30 + 5 images: not found" in plan()[1]


def test_each_training_needs_the_data_of_the_step_it_names(paper: Setup) -> None:
    data = needed_data(paper, paper.chosen)
    names = {step: [entry.name for entry in entries] for step, entries in data.items()}
    assert names["04_train_hybrid.large"] == ["voc", "resnet50"]
    assert names["06_train_opmask.opmask.voc"] == ["coco", "resnet50"]
    assert names["06_train_opmask.r101.opmask.voc"] == ["coco", "resnet101"]
    assert names["07_opmask_results"] == names["10_speed"] == ["coco"]
    assert names["99_summary"] == []
    assert [entry.name for entry in distinct(data.values())] == [
        "voc", "coco", "resnet50", "resnet101",
    ]  # fmt: skip
    demo = set_up(Study(), ALL_STEPS, Request(profile="demo", planned=True))
    (scenes,) = distinct(needed_data(demo, demo.chosen).values())
    assert (scenes.name, scenes.problem) == ("scenes", "")


def test_a_toy_lacks_nothing_and_its_time_follows_the_jobs(toy: Toy) -> None:
    toy.profile("description: a toy\nminutes: {01_numbers: 60, 03_other: 50, 04_report: 10}\n")
    output = toy.run("--dry-run")[1]
    assert "4 steps to run: about 2.0 h" in output
    assert output.rstrip().endswith("Nothing is missing on this machine.")
    assert "4 steps to run: about 70 min" in toy.run("--dry-run", "--jobs", "2")[1]
    toy.run()
    assert "nothing to run" in toy.run("--dry-run")[1]
    assert all("up to date" in text for text in toy.planned().values())


def test_a_file_that_nobody_has_is_missing_in_a_plan_and_an_error_in_a_run(toy: Toy) -> None:
    choice = ("--set", "other.word=boxes/nothing.json")
    code, output = toy.run(*choice, "--dry-run")
    assert code == 0
    missing_here = " ".join(output.partition("Missing on this machine:")[2].split())
    assert "other.word of step 03_other names 'boxes/nothing.json'" in missing_here
    assert toy.run(*choice)[0] == 2


def test_what_is_missing_is_said_before_a_run_as_well(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.profile("description: a toy\ngigabytes: {03_other: {gpu: 8, memory: 30, disk: 7}}\n")
    room(monkeypatch, memory=16, disk=3)
    output = toy.run("--only", "03_other")[1]
    before = output.partition("03_other starts")[0]
    assert "Missing on this machine:\n  - A GPU" in before
    assert "Main memory: about 30 GB" in before
    assert "Room on disk: 7.0 GB" in before
    # It does run: these are estimates.
    assert toy.output("03_other", "other.txt") == "oneoneone"


def test_room_on_disk_is_for_archives_first_and_for_outputs_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXES_TO_MASKS_DATA", str(tmp_path / "data"))
    room(monkeypatch, disk=20)

    def lacking(*, written: float, kept: float, fetched: float) -> list[str]:
        return list(missing.disk_problems(written, kept, fetched, tmp_path / "cache"))

    assert lacking(written=10, kept=5, fetched=19) == []
    (archives,) = lacking(written=10, kept=5, fetched=40)
    assert archives == "Room on disk: 40 GB for data and cache; 20 GB are free."
    (outputs,) = lacking(written=50, kept=5, fetched=40)
    assert outputs == "Room on disk: 55 GB for data and cache; 20 GB are free."


def test_packages_that_are_missing_or_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"torch": "2.14.1+cpu", "numpy": "1.9"}

    def version(name: str) -> str:
        if name not in there:
            raise missing.metadata.PackageNotFoundError(name)
        return there[name]

    asked = ["torch>=2.11", "numpy>=2.0", "scipy", 'nothing; extra == "dev"']
    monkeypatch.setattr(missing.metadata, "requires", lambda _: asked)
    monkeypatch.setattr(missing.metadata, "version", version)
    found = "\n".join(missing.package_problems(gpu=True))
    assert "numpy>=2.0: 1.9 is installed" in found
    assert "scipy: not installed" in found
    assert "2.14.1+cpu is for the CPU alone" in found
    assert "nothing" not in found
    assert "CPU alone" not in "\n".join(missing.package_problems(gpu=False))


def test_a_profile_states_room_for_groups_of_steps_and_the_longest_name_counts(toy: Toy) -> None:
    toy.steps = (*STEPS, replace(STEPS[2], variant="big"))
    text = "description: a toy\ngigabytes: {03_other: {disk: 1}, 03_other.big: {disk: 3}}\n"
    toy.profile(text)
    planned = toy.planned()
    assert "1.0 GB" in planned["03_other"]
    assert "3.0 GB" in planned["03_other.big"]
    toy.profile("description: a toy\ngigabytes: {03_other: {dsk: 1}}\n")
    code, output = toy.run("--dry-run")
    assert code == 2
    assert "'gigabytes.03_other.dsk' is not a part of a profile" in output

"""Places that cannot be written to are told before any work, on the disk as it is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lib.paths import ROOT
from tests.runner.toy import Toy

PLACES = (
    "cache",
    "cache/toy",
    "cache/toy/02_sum",
    "results/toy",
    "results/toy/tables",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_no_folder_is_told_before_work(toy: Toy, place: str, kind: str) -> None:
    path = toy.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine") if kind == "file" else path.symlink_to("nowhere")
    code, output = toy.run()
    assert code == 2
    assert f"{place} " in output
    assert "Traceback" not in output
    assert not list(toy.root.rglob("numbers.json"))
    assert kind != "file" or path.read_text() == "mine"


@pytest.mark.parametrize("place", PLACES)
def test_a_read_only_folder_is_told_before_work(toy: Toy, place: str) -> None:
    path = toy.root / place
    path.mkdir(parents=True)
    command = toy.command("--only", "02_sum")
    if os.geteuid():
        path.chmod(0o500)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        path.chmod(0o700)
    else:  # modes do not bind this user: a mount does
        done = mounted('mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"', path, command)
    assert done.returncode == 2, done.stdout + done.stderr
    assert place in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(toy.root.rglob("numbers.json"))


def test_a_place_is_told_once_and_only_for_steps_that_are_asked_for(toy: Toy) -> None:
    toy.run()
    for step in toy.steps[:2]:
        shutil.rmtree(toy.study.step_folder("toy", step.id))
        toy.study.step_folder("toy", step.id).write_text("mine")
    assert toy.run("--only", "03_other")[0] == 0
    assert toy.run("--dry-run")[0] == 0
    assert toy.run("--only", "02_sum")[1].count("error: ") == 2
    shutil.rmtree(toy.root / "cache")
    (toy.root / "cache").write_text("mine")
    assert toy.run()[1].count("error: ") == 1


@pytest.mark.parametrize("place", ["cache", "results"])
def test_a_full_disk_is_told_in_a_sentence_and_finished_work_is_kept(toy: Toy, place: str) -> None:
    for name in ("cache", "results"):
        (toy.root / name).mkdir()
    path = toy.root / place
    script = f'mount -t tmpfs -o size=64k tmpfs "$0" && head -c 40k /dev/zero > {path}/filler'
    done = mounted(script, path, toy.command())
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"error: The disk of {place}/toy" in done.stderr
    assert "is full. Make room and give the same command again" in done.stderr
    assert "Traceback" not in done.stderr


def mounted(script: str, path: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command after a script that mounts something at a path, for this command alone."""
    if not shutil.which("unshare"):
        pytest.skip("no mounts here")
    parts = ["unshare", "-m", "sh", "-c", f'{script} || exit 77; exec "$@"', str(path), *command]
    done = subprocess.run(parts, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip("no mounts here")
    return done

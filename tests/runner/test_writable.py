"""Places that cannot be written to are told before any work, on the disk as it is."""

import os
import shutil
import subprocess

import pytest

from lib.paths import ROOT
from tests.runner.toy import Toy

PLACES = (
    "cache",
    "cache/toy",
    "cache/toy/02_sum",
    "results",
    "results/toy",
    "results/toy/notebooks",
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
        script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" || exit 77; exec "$@"'
        if not shutil.which("unshare"):
            pytest.skip("no mounts here")
        parts = ["unshare", "-m", "sh", "-c", script, str(path), *command]
        done = subprocess.run(parts, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 77 or "unshare:" in done.stderr:
            pytest.skip("no mounts here")
    assert done.returncode == 2, done.stdout + done.stderr
    assert place in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(toy.root.rglob("numbers.json"))

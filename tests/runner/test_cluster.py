"""Steps on a dask cluster: the results of this machine, whatever happens to workers and runners.

The clusters are of processes or threads on this machine, which see its folders as machines with a
common disk would.
"""

import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib.paths import ROOT
from lib.runner import execute, remote
from lib.runner.jobs import Job, Outcome, Say, run_job
from lib.runner.places import Room
from lib.runner.remote import GPU, DaskCluster, look, unfit, versions
from tests.runner.fake_gpus import show_gpus
from tests.runner.toy import STEPS, WAITING, Toy, is_alive, make, run_as_script, wait_for

distributed = pytest.importorskip("distributed")


def written(toy: Toy) -> dict[str, Any]:
    """Return what steps wrote, and of their stamps what depends on no clock."""
    paths = (toy.root / "cache/toy").glob("0*/*")
    found = {f"{p.parent.name}/{p.name}": p.read_text() for p in paths if p.name != "job.json"}
    stamps = {name: json.loads(found.pop(name)) for name in [*found] if name.endswith("stamp.json")}
    return found | {
        name: (stamp["fingerprint"], [*stamp["outputs"]]) for name, stamp in stamps.items()
    }


def test_a_cluster_makes_what_this_machine_makes(
    toy: Toy, two: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = make(tmp_path / "here", capsys)
    for made in (toy, here):
        made.edit("03_other", "ws.file(", "print('seen from afar')\nws.file(")
        made.steps = tuple(replace(s, kind="train" if s.id < "03" else "cpu") for s in STEPS)
    planned = toy.run("--dask", two, "--jobs", "9", "--dry-run")[1]
    assert "the cluster: 2 steps at a time, 2 trainings among them" in planned
    code, output = toy.run("--dask", two, "--jobs", "2")
    assert code == 0, output
    assert "Traceback" not in output
    wait_for(lambda: "  03_other | seen from afar" in output + toy.capsys.readouterr().out)
    assert here.run()[0] == 0
    assert written(toy) == written(here)


KILL_WORKER = """
import os, pathlib, time, psutil
first = not pathlib.Path('pids').exists()
with open('pids', 'a') as file:
    file.write(f'{os.getpid()} ')
if first:
    psutil.Process().parents()[1].kill()
    time.sleep(600)
"""


def in_a_kernel_first(job: Job, say: Say) -> Outcome:
    """Execute a notebook in a kernel, which takes long, and as a script when it is repeated."""
    first = not (Path(job.root) / "pids").exists()
    return run_job(job, say) if first else run_as_script(job, say)


def test_a_step_whose_worker_is_killed_is_repeated(toy: Toy, two: str) -> None:
    toy.edit("03_other", "ws.file(", KILL_WORKER + "ws.file(")
    toy.how = in_a_kernel_first
    code, output = toy.run("--dask", two, "--only", "03_other")
    assert code == 0, output
    first, *others = [int(pid) for pid in (toy.root / "pids").read_text().split()]
    assert len(others) == 1
    wait_for(lambda: not is_alive(first), 3)  # the notebook does not outlive its worker
    assert toy.output("03_other", "other.txt") == "oneoneone"


DIE = """
import os, pathlib, psutil
if not pathlib.Path('mended').exists():
    psutil.Process().parent().kill()
    os._exit(1)
"""


def test_a_step_that_kills_its_workers_fails_in_a_sentence_and_can_be_continued(
    toy: Toy, two: str
) -> None:
    toy.edit("03_other", "ws.file(", DIE + "ws.file(")
    code, output = toy.run("--dask", two, "--jobs", "2")
    assert code == 1
    assert "workers died on the same piece of work, perhaps for want of memory" in output
    assert "Step 04_report did not run: it needs 03_other." in output
    assert "Traceback" not in output
    assert toy.output("02_sum", "sum.json") == "3.0"
    (toy.root / "mended").touch()
    assert toy.ran("--dask", two) == ["03_other", "04_report"]


@pytest.mark.parametrize("how", ["Ctrl-C", "kill -9"])
def test_a_runner_that_is_stopped_leaves_nothing_on_the_cluster_and_a_second_one_continues(
    toy: Toy, two: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    toy.edit("03_other", "ws.file(", WAITING + "ws.file(")
    folder = toy.root / "cache/toy/03_other"

    def interrupted(*_: object, **__: object) -> None:
        wait_for((folder / "checkpoint").exists)
        raise KeyboardInterrupt

    if how == "Ctrl-C":
        with monkeypatch.context() as patch:
            patch.setattr(execute, "wait", interrupted)
            code, output = toy.run("--dask", two, "--only", "03_other", kernels=True)
        assert code == 130
        assert "the same command continues" in output
        assert not any(is_alive(int(pid)) for pid in (folder / "pids").read_text().split())
    else:
        command = toy.command("--dask", two, "--only", "03_other")
        runner = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        wait_for((folder / "checkpoint").exists)
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    # The next runner waits until what was left has ended.
    assert toy.ran("--dask", two, "--only", "03_other") == ["03_other"]
    assert not any(is_alive(int(pid)) for pid in (folder / "pids").read_text().split())
    assert toy.output("03_other", "other.txt") == "oneoneone"


def cluster_of(toy: Toy, *workers: tuple[int, int, int]) -> DaskCluster:
    """Return a cluster whose workers have threads, declare trainings and see GPUs."""
    known = {
        str(n): {"nthreads": threads, "resources": {GPU: trainings} if trainings else {}}
        for n, (threads, trainings, _) in enumerate(workers)
    }
    looked = {str(n): ("", [f"{n}.{at}" for at in range(w[2])]) for n, w in enumerate(workers)}
    client = SimpleNamespace(
        run=lambda *_, **__: looked,
        scheduler_info=lambda **_: {"workers": known},
        subscribe_topic=lambda *_: None,
    )
    return DaskCluster(client, toy.study.cache("toy"), run_as_script, jobs=None)


def test_only_as_many_trainings_as_gpus_and_one_step_for_each_thread(toy: Toy) -> None:
    assert cluster_of(toy, (1, 0, 0), (1, 0, 0)).room() == Room(2, 2, 0)
    assert cluster_of(toy, (4, 2, 2), (4, 2, 2)).room() == Room(8, 4, 1)
    # Two trainings share eight GPUs; a machine without GPUs runs other steps.
    assert cluster_of(toy, (3, 2, 8), (1, 1, 4)).room() == Room(4, 3, 4)


def test_workers_that_are_not_fit_say_why(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "is_seen", lambda path, _: path.exists())
    assert look(toy.root, versions())[0] == ""
    assert "need the study under the same path" in look(toy.root / "gone", versions())[0]
    assert "numpy is 1.0 here and" in look(toy.root, versions() | {"numpy": "1.0"})[0]
    one, eight = ({"nthreads": n, "resources": {}} for n in (1, 8))
    declared = eight | {"resources": {GPU: 2.0}}
    assert unfit({"a": one, "b": declared}, {"a": ("", ["GPU-1"]), "b": ("", ["GPU-2"])}) == []
    assert unfit({"a": one}, {"a": ("it is old", [])}) == ["it is old"]
    assert "would run several steps at once" in unfit({"a": eight}, {"a": ("", [])})[0]
    same = {"a": ("", ["GPU-1"]), "b": ("", ["GPU-2", "GPU-1"])}
    assert "Two workers see the same GPU" in unfit({"a": one, "b": declared}, same)[0]


def test_a_wrong_address_and_gpus_of_this_machine_are_refused(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.cluster.CONNECT_SECONDS", 0.3)
    code, output = toy.run("--dask", "nonsense")
    assert code == 2
    assert "The dask cluster at 'nonsense' cannot do the work" in output
    assert "Traceback" not in output
    show_gpus(monkeypatch, [81_559])
    code, output = toy.run("--dask", "nonsense", "--gpus", "0")
    assert code == 2
    assert "--gpus are those of this machine" in output


def test_trainings_on_one_worker_have_gpus_of_their_own(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, [81_559] * 4)
    monkeypatch.setattr(remote, "_gpus", remote.visible_gpus)
    remote._shares.cache_clear()
    tell = "import os\n(ws.folder / 'gpus').write_text(os.environ['CUDA_VISIBLE_DEVICES'])\n"
    toy.steps = tuple(replace(step, kind="train") for step in (STEPS[0], STEPS[2]))
    for step in toy.steps:
        toy.edit(step.id, "ws.file(", tell + "ws.file(")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        dashboard_address=":0",
        resources={GPU: 2},
    ) as cluster:
        code, output = toy.run("--dask", cluster.scheduler_address, "--jobs", "2")
    remote._shares.cache_clear()
    assert code == 0, output
    assert output.count("starts on 2 GPUs") == 2
    gpus = ",".join(toy.output(step.id, "gpus") for step in toy.steps).split(",")
    assert sorted(gpus) == [f"GPU-{n:04x}-b" for n in range(4)]

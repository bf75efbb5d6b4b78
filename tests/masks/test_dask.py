import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib import cluster as cluster_module
from lib.cluster import connected
from lib.data.coco import CocoSet, load
from lib.data.pictures.images import read_rgb
from lib.hybridnet import small_branch
from lib.masks import shards
from lib.masks.__main__ import main
from lib.masks.grabcut.exact import GrabCutSettings
from lib.masks.pseudo import generate
from lib.progress import Progress
from lib.workers import WorkerLostError

distributed = pytest.importorskip("distributed")
TWO = GrabCutSettings(iterations=2)


def local(**options: Any) -> Any:
    """Return a small cluster, to be closed by a ``with``; its workers have one thread each."""
    options = {"threads_per_worker": 1, "dashboard_address": ":0"} | options
    return distributed.LocalCluster(**options)


@pytest.fixture(scope="module")
def threads() -> Iterator[str]:
    """The address of a worker with three threads."""
    with local(n_workers=1, threads_per_worker=3, processes=False) as cluster:
        yield cluster.scheduler_address


def made(coco_set: CocoSet, out: Path, **changes) -> bytes:
    options = {"settings": TWO, "seed": 1, "workers": 1}
    return generate(coco_set, out=out, **(options | changes)).read_bytes()


def on(address: str, units, work, folder: Path, made_by=dict) -> dict:
    with connected(address, "lib.workers") as cluster:
        options = {"folder": folder, "workers": 1, "cluster": cluster, "made_by": made_by}
        return dict(shards.run(units, work, **options))


def test_a_cluster_writes_the_file_of_one_worker(
    make_set, two, threads, tmp_path, monkeypatch
) -> None:
    make_set(images=12)
    monkeypatch.chdir(tmp_path)  # where workers are not
    coco_set = load(Path("boxes.json"), Path("pictures"))
    one = made(coco_set, Path("one.json"))
    steps: list[Progress] = []
    assert made(coco_set, Path("cluster.json"), dask=two, on_progress=steps.append) == one
    assert len(steps) == 12
    assert made(coco_set, Path("threads.json"), dask=threads) == one
    assert not list(tmp_path.glob("*.shards"))


def test_what_was_interrupted_is_continued_by_others(make_set, two, tmp_path: Path) -> None:
    coco_set = make_set(images=12)
    one = made(coco_set, tmp_path / "one.json")

    def stop(progress: Progress) -> None:
        if progress.done >= progress.total // 3:
            raise KeyboardInterrupt

    ways = {"here": {}, "cluster": {"dask": two}}
    for first, second in (("here", "cluster"), ("cluster", "here")):
        out = tmp_path / f"{first}.json"
        with pytest.raises(KeyboardInterrupt):
            made(coco_set, out, on_progress=stop, **ways[first])
        steps: list[Progress] = []
        assert made(coco_set, out, on_progress=steps.append, **ways[second]) == one
        assert 4 * 3 <= steps[-1].earlier < 12 * 3


def test_detections_are_segmented_alike_on_a_cluster(make_set, threads, tmp_path: Path) -> None:
    coco_set = make_set()
    results = [
        {"image_id": i.id, "category_id": 3, "bbox": [x, 5.5, 30.0, 28.0], "score": 0.5}
        for i in coco_set.images
        for x in (2.25, 20.0)
    ]
    options = {"settings": TWO, "seed": 1, "workers": 1}
    one = small_branch.segment(coco_set, results, out=tmp_path / "one.json", **options)
    options |= {"dask": threads}
    many = small_branch.segment(coco_set, results, out=tmp_path / "many.json", **options)
    assert many.read_bytes() == one.read_bytes()
    assert "3 workers needed" in small_branch.cost_line(small_branch.seconds_log(many))


def test_a_killed_worker_process_changes_nothing(make_set, two, tmp_path: Path) -> None:
    coco_set = make_set(images=16)
    one = made(coco_set, tmp_path / "one.json")
    with distributed.Client(two, set_as_default=False) as client:
        processes = list(client.run(os.getpid).values())

    def kill(progress: Progress) -> None:
        if processes:
            os.kill(processes.pop(), signal.SIGKILL)
            processes.clear()

    assert made(coco_set, tmp_path / "killed.json", dask=two, on_progress=kill) == one


def test_a_scheduler_that_stops_ends_in_a_sentence(tmp_path: Path) -> None:
    cluster = local(n_workers=1, processes=False)
    with connected(cluster.scheduler_address, "lib.workers") as client:
        options = {"folder": tmp_path, "workers": 1, "cluster": client}
        results = shards.run([0.05] * 500, time.sleep, **options)
        next(results)
        cluster.close()
        with pytest.raises(WorkerLostError, match=r"scheduler is gone\. The finished part is kept"):
            list(results)


def test_workers_of_other_versions_are_refused(two, tmp_path: Path) -> None:
    here = os.getpid()

    def versions() -> dict[str, str]:
        import os

        return {"numpy": "2.1" if os.getpid() == here else "2.0", "pillow": "1"}

    with pytest.raises(ValueError, match=r"numpy is 2\.1 here and 2\.0 there\. All need the same"):
        on(two, range(4), abs, tmp_path, versions)
    assert not list(tmp_path.glob("*.json"))


def test_a_picture_that_workers_do_not_see_is_an_error_that_says_so(
    threads, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"no picture gone\.png.* same path"):
        on(threads, ["gone.png"], read_rgb, tmp_path)


def test_an_address_without_a_scheduler_is_a_sentence(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.3)
    command = ["--annotations", "not looked at", "--images", "so far", "--out"]
    command += [str(tmp_path / "masks.json"), "--dask", "tcp://127.0.0.1:9", "--workers", "2"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "The dask cluster at 'tcp://127.0.0.1:9' cannot do the work" in said
    assert "--workers is not used" in said
    assert "Traceback" not in said


def test_a_cluster_without_the_study_or_without_workers_is_refused(threads, monkeypatch) -> None:
    with (
        pytest.raises(ValueError, match=r"No module .*lib\.nothing"),
        connected(threads, "lib.nothing"),
    ):
        pass
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.3)
    with (
        local(n_workers=0, processes=False) as cluster,
        pytest.raises(ValueError, match="a worker"),
        connected(cluster.scheduler_address, "lib.workers"),
    ):
        pass

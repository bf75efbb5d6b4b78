import importlib
import io
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
cluster_module = importlib.import_module("lib.cluster")

TWO = GrabCutSettings(iterations=2)


@pytest.fixture
def local() -> Iterator:
    """Start small clusters of processes, which end with the test."""
    running = []

    def start(workers: int, threads: int = 1):
        cluster = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=threads, processes=True, dashboard_address=":0"
        )
        running.append(cluster)
        return cluster

    yield start
    for cluster in running:
        cluster.close()


@pytest.fixture(scope="module")
def two() -> Iterator[str]:
    """The address of a cluster of two worker processes."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


def made(coco_set: CocoSet, out: Path, **changes) -> bytes:
    options = {"settings": TWO, "seed": 1, "workers": 1}
    return generate(coco_set, out=out, **(options | changes)).read_bytes()


def stopped(coco_set: CocoSet, out: Path, **changes) -> None:
    """Begin and interrupt after a few shards."""

    def stop(progress: Progress) -> None:
        if progress.done >= progress.total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(coco_set, out, on_progress=stop, **changes)
    assert len(list(out.with_suffix(".shards").glob("*/[0-9]*.json"))) >= len(coco_set.images) // 3


def on(address: str, units, work, folder: Path, made_by=dict) -> dict:
    with shards.cluster_at(address, "lib.workers") as cluster:
        options = {"folder": folder, "workers": 1, "cluster": cluster, "made_by": made_by}
        return dict(shards.run(units, work, **options))


@pytest.mark.parametrize("method", ["fast", "exact"])
def test_a_cluster_writes_the_file_of_one_worker_and_of_two(make_set, two, tmp_path, method):
    coco_set = make_set(images=12)
    settings = GrabCutSettings(iterations=2, method=method)
    one = made(coco_set, tmp_path / "one.json", settings=settings)
    assert made(coco_set, tmp_path / "two.json", settings=settings, workers=2) == one
    steps: list[Progress] = []
    there = {"settings": settings, "dask": two, "on_progress": steps.append}
    assert made(coco_set, tmp_path / "cluster.json", **there) == one
    assert len(steps) == 12
    assert not list(tmp_path.glob("*.shards"))


def test_workers_find_pictures_of_a_relative_folder(make_set, two, tmp_path, monkeypatch) -> None:
    make_set(images=2)
    monkeypatch.chdir(tmp_path)
    coco_set = load(Path("boxes.json"), Path("pictures"))
    assert made(coco_set, Path("two.json"), dask=two) == made(coco_set, Path("one.json"))
    results = [{"image_id": 1, "category_id": 3, "bbox": [9, 9, 30, 30], "score": 0.5}]
    options = {"settings": TWO, "seed": 1, "workers": 1, "dask": two}
    assert small_branch.segment(coco_set, results, out=Path("detected.json"), **options).exists()


def test_what_was_interrupted_is_continued_by_others(make_set, two, tmp_path: Path) -> None:
    coco_set = make_set(images=12)
    one = made(coco_set, tmp_path / "one.json")
    ways = {"here": {}, "processes": {"workers": 2}, "cluster": {"dask": two}}
    for first, second in (("here", "cluster"), ("cluster", "processes"), ("cluster", "cluster")):
        out = tmp_path / f"{first} {second}.json"
        stopped(coco_set, out, **ways[first])
        steps: list[Progress] = []
        assert made(coco_set, out, on_progress=steps.append, **ways[second]) == one
        assert 4 * 3 <= steps[-1].earlier < 12 * 3


def test_threads_of_one_worker_do_not_mix_their_masks(make_set, local, tmp_path: Path) -> None:
    coco_set = make_set(images=12)
    address = local(1, threads=3).scheduler_address
    one = made(coco_set, tmp_path / "one.json")
    assert made(coco_set, tmp_path / "cluster.json", dask=address) == one


def test_detections_are_segmented_alike_on_a_cluster(make_set, two, tmp_path: Path) -> None:
    coco_set = make_set()
    results = [
        {"image_id": i.id, "category_id": 3, "bbox": [x, 5.5, 30.0, 28.0], "score": 0.5}
        for i in coco_set.images
        for x in (2.25, 20.0)
    ]
    options = {"settings": TWO, "seed": 1, "workers": 1}
    one = small_branch.segment(coco_set, results, out=tmp_path / "one.json", **options)
    many = small_branch.segment(coco_set, results, out=tmp_path / "two.json", dask=two, **options)
    assert many.read_bytes() == one.read_bytes()
    assert "2 workers needed" in small_branch.cost_line(small_branch.seconds_log(many))


def test_a_result_is_on_disk_while_others_are_worked_on(two, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(unit: int) -> bool:
        import time
        from pathlib import Path

        deadline = time.monotonic() + 10
        while unit == 1 and time.monotonic() < deadline:
            if (Path(folder) / "000000.json").exists():
                return True
            time.sleep(0.01)
        return False

    assert on(two, range(2), work, tmp_path) == {0: False, 1: True}


def test_a_cluster_of_one_core_does_the_work_itself(local, tmp_path: Path) -> None:
    address = local(1).scheduler_address
    workers = set(on(address, range(3), lambda _: os.getpid(), tmp_path).values())
    assert len(workers) == 1
    assert os.getpid() not in workers


def test_workers_that_join_later_are_used(local, tmp_path: Path) -> None:
    cluster = local(1)

    def work(unit: int) -> int:
        import time

        time.sleep(0.2)
        return os.getpid()

    seen = set()
    with shards.cluster_at(cluster.scheduler_address, "lib.workers") as place:
        options = {"folder": tmp_path, "workers": 1, "cluster": place}
        for _, worker in shards.run(range(200), work, **options):
            if not seen:
                cluster.scale(2)
            seen.add(worker)
            if len(seen) == 2:
                break
    assert len(seen) == 2


def test_a_killed_worker_process_changes_nothing(make_set, local, tmp_path: Path) -> None:
    coco_set = make_set(images=16)
    one = made(coco_set, tmp_path / "one.json")
    cluster = local(2)
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        processes = list(client.run(os.getpid).values())

    def kill(progress: Progress) -> None:
        if processes:
            os.kill(processes.pop(), signal.SIGKILL)
            processes.clear()

    address = cluster.scheduler_address
    assert made(coco_set, tmp_path / "killed.json", dask=address, on_progress=kill) == one


def test_work_that_kills_its_workers_ends_in_a_sentence(local, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(unit: int) -> int:
        import os
        import signal
        from pathlib import Path

        if unit == 4 and not (Path(folder) / "mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return -unit

    address = local(2).scheduler_address
    with pytest.raises(WorkerLostError, match=r"4 workers died on .* start the same command again"):
        on(address, range(8), work, tmp_path)
    (tmp_path / "mended").touch()
    assert on(address, range(8), work, tmp_path) == {n: -n for n in range(8)}


def test_a_cluster_that_loses_all_workers_ends_in_a_sentence(
    make_set, local, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(cluster_module, "ALONE_SECONDS", 0.4)
    coco_set = make_set(images=40)
    one = made(coco_set, tmp_path / "one.json")
    cluster, out = local(1), tmp_path / "masks.json"

    def stop(progress: Progress) -> None:
        cluster.scale(0)

    monkeypatch.setattr("lib.masks.__main__.printer", lambda: stop)
    command = ["--annotations", str(coco_set.annotations_path), "--images"]
    command += [str(coco_set.image_root), "--out", str(out), "--iterations", "2", "--seed", "1"]
    assert main([*command, "--dask", cluster.scheduler_address]) == 1
    said = capsys.readouterr().err
    assert "no worker for 0 s. The finished part is kept: start the same command again" in said
    assert "Traceback" not in said
    assert not out.exists()
    cluster.scale(1)
    monkeypatch.undo()
    assert main([*command, "--dask", cluster.scheduler_address]) == 0
    assert out.read_bytes() == one


def test_a_scheduler_that_stops_ends_in_a_sentence(local, tmp_path: Path) -> None:
    cluster = local(1)
    with shards.cluster_at(cluster.scheduler_address, "lib.workers") as place:
        options = {"folder": tmp_path, "workers": 1, "cluster": place}
        results = shards.run([0.1] * 500, time.sleep, **options)
        next(results)
        cluster.close()
        with pytest.raises(
            WorkerLostError, match=r"scheduler was lost\. The finished part is kept"
        ):
            list(results)


def test_workers_of_other_versions_are_refused(two, tmp_path: Path) -> None:
    here = os.getpid()

    def versions() -> dict[str, str]:
        import os

        return {"numpy": "2.1" if os.getpid() == here else "2.0", "pillow": "1"}

    with pytest.raises(ValueError, match=r"numpy is 2\.1 here and 2\.0 there\. All machines"):
        on(two, range(4), abs, tmp_path, versions)
    assert not list(tmp_path.glob("*.json"))


def test_a_picture_that_workers_do_not_see_is_an_error_that_says_so(two, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no picture gone\.png.* same path"):
        on(two, ["gone.png"], read_rgb, tmp_path)


def test_damage_is_not_blamed_on_the_cluster(make_set, two, tmp_path: Path) -> None:
    coco_set = make_set()
    coco_set.images[4].path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="näme 5") as error:
        made(coco_set, tmp_path / "masks.json", dask=two)
    assert "same path" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("nonsense", "missing port number"),
        ("http://host:1", "unknown address scheme"),
        ("tcp://127.0.0.1:9", "Timed out"),
    ],
)
def test_an_address_without_a_scheduler_is_a_sentence(
    tmp_path: Path, monkeypatch, capsys, address: str, text: str
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.3)
    command = ["--annotations", "not looked at", "--images", "so far", "--out"]
    command += [str(tmp_path / "masks.json")]
    assert main([*command, "--dask", address, "--workers", "2"]) == 2
    said = capsys.readouterr().err
    assert f"no dask scheduler at '{address}'" in said
    assert text in said
    assert "--workers is not used" in said
    assert "Traceback" not in said


def test_a_cluster_without_workers_or_without_the_study_is_refused(local, monkeypatch) -> None:
    cluster = local(1)
    with (
        pytest.raises(ValueError, match=r"2 processes .* cannot import lib\.nothing.* and all"),
        shards.cluster_at(cluster.scheduler_address, "lib.nothing"),
    ):
        pass
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.3)
    with (
        pytest.raises(ValueError, match="has no worker"),
        shards.cluster_at(local(0).scheduler_address, "lib.workers"),
    ):
        pass


def test_dask_does_not_print_into_a_run(two) -> None:
    said, logger = io.StringIO(), logging.getLogger("distributed")
    handler = logging.StreamHandler(said)
    logger.addHandler(handler)
    try:
        with shards.cluster_at(two, "lib.workers"):
            logger.error("inside")
        logger.error("afterwards")
    finally:
        logger.removeHandler(handler)
    assert said.getvalue() == "afterwards\n"

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

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

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
TWO = GrabCutSettings(iterations=2)


def local(workers: int, threads: int = 1):
    """Return a small cluster of processes, to be closed by a ``with``."""
    # Otherwise what was killed twice within this time would not be started again.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=threads, processes=True, dashboard_address=":0"
    )


@pytest.fixture(scope="module")
def two() -> Iterator[str]:
    """The address of a cluster of two worker processes."""
    with local(2) as cluster:
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
    with connected(address, "lib.workers") as cluster:
        options = {"folder": folder, "workers": 1, "cluster": cluster, "made_by": made_by}
        return dict(shards.run(units, work, **options))


def test_a_cluster_writes_the_file_of_one_worker_and_of_two(make_set, two, tmp_path) -> None:
    coco_set = make_set(images=12)
    one = made(coco_set, tmp_path / "one.json")
    assert made(coco_set, tmp_path / "two.json", workers=2) == one
    steps: list[Progress] = []
    assert made(coco_set, tmp_path / "cluster.json", dask=two, on_progress=steps.append) == one
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


def test_threads_of_one_worker_do_not_mix_their_masks(make_set, tmp_path: Path) -> None:
    coco_set = make_set(images=12)
    one = made(coco_set, tmp_path / "one.json")
    with local(1, threads=3) as cluster:
        assert made(coco_set, tmp_path / "cluster.json", dask=cluster.scheduler_address) == one


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


def test_a_killed_worker_process_changes_nothing(make_set, tmp_path: Path) -> None:
    coco_set = make_set(images=16)
    one = made(coco_set, tmp_path / "one.json")
    with local(2) as cluster:
        address = cluster.scheduler_address
        with distributed.Client(address, set_as_default=False) as client:
            processes = list(client.run(os.getpid).values())

        def kill(progress: Progress) -> None:
            if processes:
                os.kill(processes.pop(), signal.SIGKILL)
                processes.clear()

        assert made(coco_set, tmp_path / "killed.json", dask=address, on_progress=kill) == one


def test_work_that_kills_its_workers_ends_in_a_sentence(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(unit: int) -> int:
        import os
        import signal
        from pathlib import Path

        if unit == 4 and not (Path(folder) / "mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return -unit

    with local(2) as cluster:
        with pytest.raises(WorkerLostError, match=r"4 workers died on .* start the same command"):
            on(cluster.scheduler_address, range(8), work, tmp_path)
        (tmp_path / "mended").touch()
        assert on(cluster.scheduler_address, range(8), work, tmp_path) == {n: -n for n in range(8)}


def test_a_cluster_that_loses_all_workers_ends_in_a_sentence(
    make_set, tmp_path: Path, monkeypatch, capsys
) -> None:
    coco_set, out = make_set(images=40), tmp_path / "masks.json"
    one = made(coco_set, tmp_path / "one.json")
    command = ["--annotations", str(coco_set.annotations_path), "--images"]
    command += [str(coco_set.image_root), "--out", str(out), "--iterations", "2", "--seed", "1"]
    with local(1) as cluster, monkeypatch.context() as patch:
        patch.setattr(cluster_module, "ALONE_SECONDS", 0.4)
        patch.setattr("lib.masks.__main__.printer", lambda: lambda _: cluster.scale(0))
        assert main([*command, "--dask", cluster.scheduler_address]) == 1
    said = capsys.readouterr().err
    assert "no worker for 0 s. The finished part is kept: start the same command again" in said
    assert "Traceback" not in said
    assert not out.exists()
    with local(1) as cluster:
        assert main([*command, "--dask", cluster.scheduler_address]) == 0
    assert out.read_bytes() == one


def test_a_scheduler_that_stops_ends_in_a_sentence(tmp_path: Path) -> None:
    cluster = local(1)
    with connected(cluster.scheduler_address, "lib.workers") as client:
        options = {"folder": tmp_path, "workers": 1, "cluster": client}
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
    [("nonsense", "missing port number"), ("tcp://127.0.0.1:9", "Time")],
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


def test_a_cluster_without_the_study_is_refused(two: str) -> None:
    with (
        pytest.raises(ValueError, match=r"3 processes .* cannot import lib\.nothing.* and all"),
        connected(two, "lib.nothing"),
    ):
        pass


def test_a_cluster_without_workers_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.3)
    with (
        local(0) as cluster,
        pytest.raises(ValueError, match="has no worker"),
        connected(cluster.scheduler_address, "lib.workers"),
    ):
        pass

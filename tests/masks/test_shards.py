from pathlib import Path

import pytest

from lib.masks import shards


def test_finished_units_are_not_done_again(tmp_path: Path) -> None:
    done: list[int] = []

    def work(unit: int) -> int:
        done.append(unit)
        return unit**2

    begun = shards.run(range(5), work, folder=tmp_path, workers=1)
    for _ in range(3):
        next(begun)
    begun.close()
    assert len(done) == 3
    results = dict(shards.run(range(5), work, folder=tmp_path, workers=1))
    assert results == {n: n**2 for n in range(5)}
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_a_result_is_on_disk_while_others_are_worked_on(tmp_path: Path) -> None:
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

    assert dict(shards.run(range(2), work, folder=tmp_path, workers=2)) == {0: False, 1: True}


def test_processes_use_one_thread_each(tmp_path: Path, monkeypatch) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)

    def work(name: str) -> str | None:
        import os

        return os.environ.get(name)

    results = dict(shards.run(names, work, folder=tmp_path, workers=2))
    assert results == dict.fromkeys(range(3), "1")


@pytest.mark.parametrize(("images", "size"), [(0, 1), (256, 1), (257, 2), (118_287, 16)])
def test_small_sets_have_small_units_and_large_sets_whole_ones(images: int, size: int) -> None:
    assert shards.unit_size(images, most=16) == size


def test_stopping_early_is_silent(tmp_path: Path, recwarn) -> None:
    begun = shards.run(range(50), str, folder=tmp_path, workers=2)
    next(begun)
    begun.close()
    assert not recwarn.list


def test_a_killed_worker_ends_in_a_sentence_and_the_rest_can_be_continued(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(unit: int) -> int:
        import os
        import signal
        from pathlib import Path

        marker = Path(folder) / "killed"
        if unit == 4 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return -unit

    with pytest.raises(shards.WorkerLostError, match="start the same command again"):
        list(shards.run(range(8), work, folder=tmp_path, workers=2))
    results = dict(shards.run(range(8), work, folder=tmp_path, workers=2))
    assert results == {n: -n for n in range(8)}


def test_a_folder_in_use_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    with (
        shards.sole_user(tmp_path),
        pytest.raises(ValueError, match="Another process"),
        shards.sole_user(tmp_path),
    ):
        pass
    with shards.sole_user(tmp_path):
        pass

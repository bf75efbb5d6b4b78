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


def test_a_result_is_on_disk_before_it_is_handed_over(tmp_path: Path) -> None:
    for count, _ in enumerate(shards.run("abc", str.upper, folder=tmp_path, workers=1), start=1):
        assert len(list(tmp_path.glob("*.json"))) == count


def test_no_units_no_results(tmp_path: Path) -> None:
    assert list(shards.run([], str, folder=tmp_path, workers=2)) == []


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

import pytest

from lib.progress import Progress, duration, printer


def test_the_rate_and_the_time_left_count_this_run_alone() -> None:
    progress = Progress(done=60, total=100, earlier=40, invalid=15, seconds=10)
    assert progress.rate == 2
    line = progress.line()
    for words in ("60 of 100", "25.0%", "20 s left", "40 taken over"):
        assert words in line
    assert [duration(x) for x in (59.6, 7500)] == ["1 min 00 s", "2 h 05 min"]


def test_nothing_done_yet_is_no_division_by_zero() -> None:
    assert "none yet" in Progress(done=0, total=5, earlier=0, invalid=0, seconds=0).line()


def test_lines_are_rare_and_the_last_one_is_always_there(capsys: pytest.CaptureFixture) -> None:
    show = printer(every=1000)
    for done in range(1, 11):
        show(Progress(done=done, total=10, earlier=0, invalid=0, seconds=1))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "10 of 10" in lines[0]

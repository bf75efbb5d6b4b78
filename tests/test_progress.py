import pytest

from lib.progress import Progress, duration, printer


def test_the_rate_and_the_time_left_count_this_run_alone() -> None:
    progress = Progress(done=60, total=100, earlier=40, invalid=15, seconds=10)
    assert progress.rate == 2
    line = progress.line()
    assert "60 of 100 boxes" in line
    assert "25.0% invalid" in line
    assert "20 s left" in line
    assert "40 taken over" in line


def test_nothing_done_yet_is_no_division_by_zero() -> None:
    assert "none yet" in Progress(done=0, total=5, earlier=0, invalid=0, seconds=0).line()


def test_lines_are_rare_and_the_last_one_is_always_there(capsys: pytest.CaptureFixture) -> None:
    show = printer(every=1000)
    for done in range(1, 11):
        show(Progress(done=done, total=10, earlier=0, invalid=0, seconds=1))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "10 of 10" in lines[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text

import joblib
import pytest

from lib.workers import worker_count


def test_zero_stands_for_the_cores_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 5)
    assert worker_count(0) == 5
    assert worker_count(3) == 3


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="workers is -1"):
        worker_count(-1)

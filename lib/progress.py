"""Lines that say how far a long piece of work is, the same in a terminal and in a notebook."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where the making of pseudo-masks stands.

    Attributes:
        done: boxes that have their mask, those of an earlier, interrupted run included.
        total: boxes.
        earlier: boxes taken over from an earlier run.
        invalid: masks that failed the test so far.
        seconds: since this run began.
    """

    done: int
    total: int
    earlier: int
    invalid: int
    seconds: float

    @property
    def rate(self) -> float:
        """Boxes per second of this run; 0 before the first."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0

    def line(self) -> str:
        """Return one line of plain text with counts, rate and the time left."""
        share = f"{self.invalid / self.done:.1%} invalid" if self.done else "none yet"
        parts = [f"{self.done:,} of {self.total:,} boxes", share]
        if self.rate > 0:
            left = (self.total - self.done) / self.rate
            parts += [f"{self.rate:.1f} boxes/s", f"{duration(left)} left"]
        if self.earlier:
            parts.append(f"{self.earlier:,} taken over from an earlier run")
        return " · ".join(parts)


def printer(*, every: float = 15.0) -> Callable[[Progress], None]:
    """Return a function that prints `Progress` once in ``every`` seconds, and at the end."""
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every or progress.done == progress.total:
            print(f"pseudo-masks: {progress.line()}", flush=True)
            last = now

    return show


def duration(seconds: float) -> str:
    """Return a time as people say it: ``12 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"

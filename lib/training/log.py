"""Progress of a training run: one JSON line and one line to read, every so many iterations."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.files import write_text

Record = dict[str, float | int]

METRICS = "metrics.jsonl"
"""Name of the file in the folder of a run."""


class MetricsLog:
    """``metrics.jsonl``: one JSON object per line, each with its ``iteration``.

    Args:
        path: the file.
        resume_from: lines beyond this iteration are dropped, since the run will write them again.
    """

    def __init__(self, path: Path, *, resume_from: int) -> None:
        self.path = path
        kept = read_metrics(path, until=resume_from) if resume_from else []
        write_text(path, "".join(json.dumps(r) + "\n" for r in kept))

    def append(self, record: Record) -> None:
        """Add one line and hand it to the operating system at once."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def read_metrics(path: Path, *, until: int | None = None) -> list[Record]:
    """Return the records of a metrics file; a last line that was cut off is left out.

    Args:
        path: the file; it may be absent.
        until: the last iteration that counts; all by default.

    Raises:
        ValueError: if another line is no record.
    """
    records: list[Record] = []
    if not path.exists():
        return records
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        for line in lines:
            record = json.loads(line)
            records.append(record | {"iteration": int(record["iteration"])})
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"Line {len(records) + 1} of {path} is no record of a training: the file is damaged."
        ) from None
    return [r for r in records if until is None or r["iteration"] <= until]


def ends_at(path: Path, iteration: int) -> bool:
    """Return whether a metrics file is undamaged, as far as can be seen, up to this iteration."""
    try:
        return [r["iteration"] for r in read_metrics(path)][-1:] == [iteration]
    except ValueError:
        return False


class Averages:
    """The means of numbers since the last log line, which a run that is continued takes up again.

    Args:
        state: from :meth:`state`.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.count: int = state.get("count", 0)
        self.sums: dict[str, float] = dict(state.get("sums", {}))

    def add(self, values: Mapping[str, float]) -> None:
        """Count one iteration's numbers."""
        self.count += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """Return the means and start anew."""
        means = {name: round(value / self.count, 6) for name, value in self.sums.items()}
        self.count, self.sums = 0, {}
        return means

    def state(self) -> dict[str, Any]:
        """Return what to continue from."""
        return {"count": self.count, "sums": self.sums}


class Clock:
    """Times the iterations between two log lines: all of it, and the wait for data."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start a new interval."""
        self.begin, self.data, self.iterations = time.perf_counter(), 0.0, 0

    @property
    def seconds(self) -> float:
        """Mean seconds per iteration."""
        return (time.perf_counter() - self.begin) / max(self.iterations, 1)

    @property
    def data_seconds(self) -> float:
        """Mean seconds per iteration spent waiting for data."""
        return self.data / max(self.iterations, 1)


def line(record: Record, iterations: int) -> str:
    """Return a record as one line of text: iteration, rate, losses, times, memory, time left."""
    losses = "  ".join(f"{k[5:]} {v:.3f}" for k, v in record.items() if k.startswith("loss_"))
    left = (iterations - record["iteration"]) * record["seconds"]
    memory = f"  {record['max_mib']:.0f} MiB" if record["max_mib"] else ""
    return (
        f"{record['iteration']:>6}/{iterations}  lr {record['lr']:.2e}  loss {record['loss']:.3f}"
        f"  {losses}  {record['seconds']:.2f} s/it ({record['data']:.2f} data){memory}"
        f"  {left / 60:.1f} min left"
    )

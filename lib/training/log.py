"""Progress of a training run: one JSON line and one line to read, every so many iterations."""

import json
import time
from contextlib import suppress
from pathlib import Path

from lib.files import write_text

Record = dict[str, float | int]

METRICS = "metrics.jsonl"
"""Name of the file in the folder of a run."""


def read_metrics(path: Path) -> list[Record]:
    """Return the records of a metrics file, which may be absent; damaged lines are left out."""
    records = []
    for text in path.read_bytes().splitlines() if path.exists() else []:
        with suppress(ValueError):
            records.append(json.loads(text))
    return records


def cut_metrics(path: Path, iteration: int) -> None:
    """Write a metrics file anew with its records up to an iteration, none for 0."""
    kept = [r for r in read_metrics(path) if r["iteration"] <= iteration] if iteration else []
    write_text(path, "".join(json.dumps(r) + "\n" for r in kept))


class Clock:
    """Times the iterations since it was made: all of it, and the wait for data.

    Attributes:
        iterations: how many there were.
        data: seconds spent waiting for data.
    """

    def __init__(self) -> None:
        self.begin, self.data, self.iterations = time.perf_counter(), 0.0, 0

    def means(self) -> list[float]:
        """Return the seconds per iteration, and those of them spent waiting for data."""
        count = max(self.iterations, 1)
        return [(time.perf_counter() - self.begin) / count, self.data / count]


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

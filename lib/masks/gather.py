"""Masks of many boxes: the units of work, and the loop that gathers what they give."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from lib.cluster import connected
from lib.data.pictures.images import ImageRecord
from lib.files import digest_of
from lib.masks import shards
from lib.masks.quality import VALID_FROM, is_valid
from lib.progress import Progress
from lib.workers import worker_count


@dataclass(frozen=True)
class ImageBoxes:
    """An image and its boxes, each with the number by which its mask is found: xyxy in pixels."""

    image: ImageRecord
    boxes: tuple[tuple[int, tuple[float, float, float, float]], ...]


class BoxMask(NamedTuple):
    """The mask of a box.

    Attributes:
        number: of the box.
        code: run lengths; ``[]`` if the mask is empty.
        area: pixels.
        box_iou: of the mask's tight box and the box.
    """

    number: int
    code: dict[str, Any] | list[Any]
    area: int
    box_iou: float


class Cost(TypedDict):
    """What an image cost: its boxes, runs of GrabCut for them, and their seconds on one core."""

    image_id: int
    boxes: int
    runs: int
    seconds: float


class UnitResult(TypedDict):
    """What the work on a unit gives."""

    rows: list[BoxMask]
    costs: list[Cost]


@dataclass
class Gathered:
    """What the work on all units gave."""

    workers: int
    rows: dict[int, BoxMask] = field(default_factory=dict)  # by the boxes' numbers
    costs: list[Cost] = field(default_factory=list)  # of this run's images
    earlier: int = 0  # boxes taken over from an interrupted run
    seconds: float = 0.0  # of this run, by the clock


def into_units(
    items: Sequence[ImageBoxes], most: int, *, size: int | None = None
) -> list[tuple[ImageBoxes, ...]]:
    """Return units of ``size`` images, or of as many as `lib.masks.shards.unit_size` says."""
    size = size or shards.unit_size(len(items), most)
    return [tuple(items[at : at + size]) for at in range(0, len(items), size)]


@contextmanager
def gathered(
    units: Sequence[tuple[ImageBoxes, ...]],
    work: Callable[[tuple[ImageBoxes, ...]], UnitResult],
    *,
    out: Path,
    module: str,
    made_by: Callable[[], Mapping[str, Any]],
    workers: int,
    dask: str | None = None,
    valid_from: float = VALID_FROM,
    on_progress: Callable[[Progress], None] | None = None,
) -> Iterator[Gathered]:
    """Do all work, or what an interrupted run left of it, and give it to a block that writes it.

    Shards lie beside ``out`` until the block has ended without an error.

    Args:
        units: the work.
        work: a function of a module, see `lib.masks.shards.run`.
        out: the file that the block writes.
        module: of ``work``: what the processes of a cluster must be able to import.
        made_by: by name all but pictures and boxes that could change a mask.
        workers: processes, or 0 for all cores; not looked at with ``dask``.
        dask: address of a scheduler, see `lib.cluster.connected`.
        valid_from: box IoU from which a mask counts as valid, for ``on_progress``.
        on_progress: called after every shard.

    Raises:
        ValueError: if another process is writing ``out``, a file is where shards are to be, or the
            cluster is not there or not fit.
        FileNotFoundError: if a picture is gone, or not there for a worker.
        WorkerLostError: if a worker process was killed, or the cluster is gone.
    """
    workers, parent = worker_count(workers), out.with_suffix(".shards")
    total = sum(len(item.boxes) for unit in units for item in unit)
    with shards.sole_user(parent), connected(dask, module) as cluster:
        workers = sum(cluster.nthreads().values()) if cluster else workers
        folder = parent / key(units, made_by())
        done = shards.finished(folder, len(units))
        found, start, invalid = Gathered(workers), time.monotonic(), 0
        for index, made in shards.run(
            units,
            work,
            folder=folder,
            workers=workers,
            done=done,
            cluster=cluster,
            made_by=made_by,
        ):
            rows = [BoxMask(*row) for row in made["rows"]]  # a list each where they were in a file
            found.rows.update((row.number, row) for row in rows)
            found.seconds = time.monotonic() - start
            invalid += sum(not is_valid(row.box_iou, valid_from) for row in rows)
            if index in done:
                found.earlier += len(rows)
            else:
                found.costs += made["costs"]
            if on_progress:
                on_progress(
                    Progress(
                        done=len(found.rows),
                        total=total,
                        earlier=found.earlier,
                        invalid=invalid,
                        seconds=found.seconds,
                    )
                )
        yield found
        shards.clear(folder)


def key(units: Sequence[tuple[ImageBoxes, ...]], made_by: Mapping[str, Any]) -> str:
    """Return a name for the shards that changes with whatever could change their contents.

    Raises:
        FileNotFoundError: if a picture is gone.
    """
    pictures = []
    for item in (item for unit in units for item in unit):
        path = item.image.path
        try:
            state = path.stat()
        except OSError:
            raise FileNotFoundError(
                f"There is no picture {path} any more. Put it back, or run 01_data again, which "
                "lists all that are missing."
            ) from None
        stored = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, item.image.upright]
        pictures.append([str(path), item.image.id, *stored, item.boxes])
    return digest_of([made_by, list(map(len, units)), pictures])[:16]

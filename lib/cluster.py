"""A running dask cluster: a connection to it, and work done by its workers.

``lib.masks.shards`` sends it pieces of work, ``lib.runner.remote`` whole steps. As long as it has
no worker, dask lets both wait for one. The package ``distributed`` is an optional extra, and slow
to import: only who asks for a cluster needs it.
"""

import importlib
import logging
import platform
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

from lib.workers import WorkerLostError

CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer, and its first worker to appear."""

MadeBy = Callable[[], Mapping[str, Any]]
"""A function of a module that returns, by name, the versions of all that could change a result."""

Unit = TypeVar("Unit")

_compared: dict[str, str] = {}
"""In a worker process: what was expected and how it differs. Workers on threads share it."""


@contextmanager
def connected(address: str | None, module: str) -> Iterator[Any]:
    """Hold a connection to a dask scheduler, a ``distributed.Client``, inside the block.

    Args:
        address: for example ``tcp://host:8786``; None for no cluster, which gives None.
        module: what its processes must be able to import. A worker that cannot load its work does
            not report it: its process ends.

    Raises:
        ValueError: if ``distributed`` is not installed, nothing can work at that address, or the
            module cannot be imported there.
    """
    if address is None:
        yield None
        return
    try:
        import distributed
    except ImportError:
        raise ValueError(
            "A cluster needs the package distributed, here and on its machines: run "
            "pip install -e '.[cluster]' in the folder of the study."
        ) from None
    for name in ("distributed", "distributed.client"):  # what matters is said in an error
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        try:
            client = stack.enter_context(
                distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
            )
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            client.run_on_scheduler(importlib.import_module, module)
            client.run(importlib.import_module, module)
        except Exception as error:
            raise ValueError(
                f"The dask cluster at {address!r} cannot do the work: {type(error).__name__}: "
                f"{error}. It needs a scheduler that this machine may connect to (dask scheduler), "
                "a worker (dask worker ADDRESS --nthreads 1), and in the environment of both the "
                "study and its packages (pip install -e '.[cluster]' in its folder)."
            ) from error
        yield client


def completed(
    client: Any, work: Callable[[Unit], Any], units: Mapping[int, Unit], made_by: MadeBy
) -> Generator[tuple[int, Any], None, None]:
    """Yield the key and the result of every unit, in the order in which they end.

    Args:
        client: connected to the cluster.
        work: a function of a module, for the workers to find.
        units: what it takes, one at a time.
        made_by: returns the versions that have to be the same there as here.

    Raises:
        ValueError: if they are not.
        FileNotFoundError: if a worker cannot read a file.
        WorkerLostError: if the cluster gave up.
    """
    from distributed import as_completed

    there = partial(_there, work, made_by, dict(made_by()))
    futures = client.map(there, list(units.values()), pure=False, batch_size=500)
    running = dict(zip(futures, units, strict=True))
    del futures  # a result is forgotten, on the cluster too, once it was yielded
    for future in as_completed(running, loop=client.loop):
        try:
            result = result_of(future)
        except OSError as error:
            raise FileNotFoundError(
                f"{error} A worker of the cluster says so: all must see the pictures under the "
                "same path as this machine."
            ) from error
        yield running.pop(future), result


def result_of(future: Any) -> Any:
    """Return the result of one of dask's futures, or raise what the work raised.

    Raises:
        WorkerLostError: if the cluster gave up.
    """
    from distributed import KilledWorker

    try:
        return future.result()
    except (KilledWorker, CancelledError) as error:
        reason = "its scheduler is gone"
        if isinstance(error, KilledWorker):
            reason = "several workers died on the same piece of work, perhaps for want of memory"
        raise WorkerLostError(
            f"The cluster gave up: {reason}. The finished part is kept: start the same command "
            "again to continue."
        ) from error


def workers_of(client: Any) -> dict[str, dict[str, Any]]:
    """Return by address what the scheduler knows of its workers, such as ``nthreads``."""
    workers: dict[str, dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


def difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Return in a sentence in which versions this worker differs; empty if it does not.

    Args:
        here: the versions, or digests of files, of the machine that sends work.
        there: those of this process.
    """
    found = [
        f"{name} is {str(value)[:12]} here and {str(there.get(name, 'missing'))[:12]} there"
        for name, value in here.items()
        if there.get(name) != value
    ]
    if not found:
        return ""
    return (
        f"The worker on {platform.node()} differs from this machine: {'; '.join(found)}. All need "
        "the same code and packages; restart workers after a change."
    )


def _there(work: Callable[[Unit], Any], made_by: MadeBy, expected: Any, unit: Unit) -> Any:
    """Do the work, in a worker, which compares versions once."""
    known = repr(expected)
    if known not in _compared:
        _compared[known] = difference(expected, made_by())
    if _compared[known]:
        raise ValueError(_compared[known])
    return work(unit)

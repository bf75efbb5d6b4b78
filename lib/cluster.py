"""A running dask cluster: a connection to it, and work done by its workers.

``lib.masks.shards`` sends it pieces of work, ``lib.runner.remote`` whole steps. What is amiss is
said in sentences. The package ``distributed`` is an optional extra, and slow to import: only who
asks for a cluster needs it.
"""

import importlib
import logging
import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from lib.workers import WorkerLostError

CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer, and its first worker to appear."""

ALONE_SECONDS = 60.0
"""How long a cluster may be without any worker before a run ends."""

IN_FLIGHT = 1024
"""Units sent at a time: also workers that join later shall find some."""

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
        module: what its processes must be able to import.

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
    with _quiet():
        try:
            client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(
                f"There is no dask scheduler at {address!r} ({reason}). Give the address that it "
                "prints when it starts, such as tcp://host:8786, and see that this machine may "
                "connect to it."
            ) from error
        with client:
            _check(client, address, module)
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
        FileNotFoundError: if a worker cannot read a file; it says which machine that was.
        WorkerLostError: if the cluster gave up.
    """
    there = partial(_there, work, made_by, dict(made_by()))
    waiting = iter(units.items())
    running: dict[Any, int] = {}
    ended: SimpleQueue[Any] = SimpleQueue()
    while True:
        for key, unit in islice(waiting, IN_FLIGHT - len(running)):
            future = client.submit(there, unit, pure=False)
            running[future] = key
            future.add_done_callback(ended.put)
        if not running:
            return
        future = next_ended(client, ended)
        yield running.pop(future), result_of(future)


def next_ended(client: Any, ended: "SimpleQueue[Any]", *, resource: str = "") -> Any:
    """Wait for the next of dask's futures that ends, and return it.

    Args:
        client: connected to the cluster.
        ended: gets the futures, as their callback.
        resource: what a worker needs for the work; empty for nothing.

    Raises:
        WorkerLostError: if for a while there has been nobody to do the work.
    """
    seen = time.monotonic()
    while True:
        try:
            return ended.get(timeout=min(5.0, ALONE_SECONDS / 4))
        except Empty:
            workers = workers_of(client).values()
        if any(not resource or worker["resources"].get(resource) for worker in workers):
            seen = time.monotonic()
        elif time.monotonic() - seen > ALONE_SECONDS:
            kind = f"worker with the resource {resource}" if resource else "worker"
            raise _gave_up(f"it has had no {kind} for {ALONE_SECONDS:.0f} s")


def result_of(future: Any) -> Any:
    """Return the result of one of dask's futures, or raise what the work raised.

    Raises:
        WorkerLostError: if the cluster gave up.
    """
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        died = error.allowed_failures + 1
        raise _gave_up(
            f"{died} workers died on the same piece of work, perhaps for want of memory"
        ) from error
    except CancelledError as error:
        raise _gave_up(_DISCONNECTED) from error


def workers_of(client: Any) -> dict[str, dict[str, Any]]:
    """Return by address what the scheduler knows of its workers, such as ``nthreads``.

    Raises:
        WorkerLostError: if the scheduler does not answer.
    """
    try:
        workers: dict[str, dict[str, Any]] = client.run_on_scheduler(_identities)
    except Exception as error:  # whatever it is
        raise _gave_up(_DISCONNECTED) from error
    return workers


def compare(made_by: MadeBy, expected: Mapping[str, Any]) -> None:
    """Compare versions, in a worker; each process does so once.

    Args:
        made_by: returns those of this process.
        expected: those of the machine that sends the work.

    Raises:
        ValueError: if they differ; the message says in what.
    """
    known = repr(expected)
    if known not in _compared:
        _compared[known] = difference(expected, made_by())
    if _compared[known]:
        raise ValueError(
            f"The worker on {platform.node()} differs from this machine and could give other "
            f"results: {_compared[known]}. All machines need the same code and packages; restart "
            "workers after a change."
        )


def difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Return in words in which versions, or digests of files, two machines differ."""
    return "; ".join(
        f"{name} is {str(value)[:12]} here and {str(there.get(name, 'missing'))[:12]} there"
        for name, value in here.items()
        if there.get(name) != value
    )


_DISCONNECTED = "the connection to its scheduler was lost"


def _identities(dask_scheduler: Any = None) -> Any:
    return dask_scheduler.identity()["workers"]


def _gave_up(reason: str) -> WorkerLostError:
    return WorkerLostError(
        f"The cluster gave up: {reason}. The finished part is kept: start the same command again "
        "to continue."
    )


def _check(client: Any, address: str, module: str) -> None:
    """Find out whether there are workers, and whether all can import a module.

    A worker that cannot load its work does not report it: its process ends.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise ValueError(
            f"The cluster at {address} has no worker. Start some, on each machine for example: "
            f"dask worker {address} --nworkers auto --nthreads 1"
        ) from None
    found = client.run(importlib.import_module, module, on_error="return")
    try:
        client.run_on_scheduler(importlib.import_module, module)
    except Exception as error:
        found["the scheduler"] = error
    failed = [(where, what) for where, what in found.items() if isinstance(what, BaseException)]
    if failed:
        where, what = failed[0]
        raise ValueError(
            f"{len(failed)} processes of the cluster at {address} cannot import {module}; the "
            f"first is {where}: {type(what).__name__}: {what}. The scheduler and all workers need "
            "the study and its packages: run pip install -e '.[cluster]' in its folder, on every "
            "machine."
        )


def _there(work: Callable[[Unit], Any], made_by: MadeBy, expected: Any, unit: Unit) -> Any:
    """Do the work, in a worker; say where a file could not be read."""
    compare(made_by, expected)
    try:
        return work(unit)
    except (OSError, ValueError) as error:
        unreadable = isinstance(error, OSError) or isinstance(error.__cause__, PermissionError)
        if not unreadable:
            raise
        raise FileNotFoundError(
            f"{error} This was on {platform.node()}: the workers of a cluster must see the "
            "pictures under the same path as this machine."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask from printing inside the block: what matters is said in an error."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

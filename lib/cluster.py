"""A running dask cluster: a connection to it, and a place for joblib's work on it.

What is amiss is said in sentences, for all that use a cluster: ``lib.masks.shards`` through joblib,
``lib.runner.remote`` for whole steps. This needs the package ``distributed``, an optional extra:
import this module only when a cluster was asked for.
"""

import asyncio
import importlib
import logging
import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from joblib._dask import DaskDistributedBackend  # joblib has no public name for it

from lib.workers import WorkerLostError

CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer, and its first worker to appear."""

ALONE_SECONDS = 60.0
"""How long a cluster may be without any worker before a run ends."""

MadeBy = Callable[[], Mapping[str, Any]]
"""A function of a module that returns, by name, the versions of all that could change a result."""

_compared: dict[str, str] = {}
"""In a worker process: what was expected and how it differs. Workers on threads share it."""


class Cluster(DaskDistributedBackend):
    """joblib's backend for dask, made fit for long runs in which workers come and go.

    joblib's own (1.6) works in the calling process where a cluster has a single core, and waits
    for ever for a task that the scheduler has given up, and for a cluster without workers.
    """

    def __init__(self, client: Any) -> None:
        super().__init__(client=client)
        self._open: set[Future] = set()
        self._over = threading.Event()

    @property
    def cores(self) -> int:
        """Threads of all workers at the moment."""
        return sum(self.client.nthreads().values())

    def there(self, work: Callable[..., Any], made_by: MadeBy) -> Callable[..., Any]:
        """Return ``work`` as workers of the cluster are to do it.

        It is an error where versions are other than here. Each process finds that out before its
        first unit, since workers may join at any time. The error for a picture that cannot be read
        says where that was.
        """
        return partial(_there, work, made_by, dict(made_by()))

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Return how many units can be worked on at once; for 1, joblib would work here."""
        return max(super().effective_n_jobs(n_jobs), 2)

    def start_call(self) -> None:
        """Begin, see joblib."""
        super().start_call()
        self._over.clear()
        end_if_alone(lambda: self.cores, lambda: self._open, self._over)

    def stop_call(self) -> None:
        """End, see joblib."""
        self._over.set()
        super().stop_call()

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future:
        """Send work to the cluster, and tell joblib also of failures, see joblib."""

        def ended(future: Future) -> None:
            self._open.discard(future)
            error = future.exception()
            if error:
                callback(lost(error))

        future: Future = super().submit(func, callback)
        self._open.add(future)
        future.add_done_callback(ended)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """Return a result or raise what the work raised, see joblib."""
        return super().retrieve_result_callback(
            lost(out) if isinstance(out, CancelledError) else out
        )


def end_if_alone(
    workers: Callable[[], int],
    running: Callable[[], Iterable[Future]],
    over: threading.Event,
    *,
    kind: str = "worker",
) -> None:
    """Watch whether anybody can do the work; if for a while nobody can, end it with an error.

    Args:
        workers: counts those who can.
        running: what waits for them.
        over: ends the watch.
        kind: what they are called in the error.
    """

    def watch() -> None:
        alone, every = 0.0, min(5.0, ALONE_SECONDS / 4)
        while not over.wait(every):
            try:
                alone = 0.0 if workers() or not tuple(running()) else alone + every
            except Exception:  # whatever it is: the scheduler does not answer
                alone += every
            if alone >= ALONE_SECONDS:
                error = TimeoutError(f"it has had no {kind} for {ALONE_SECONDS:.0f} s")
                for future in tuple(running()):
                    with suppress(InvalidStateError):  # it has just ended
                        future.set_exception(error)
                alone = 0.0

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def connected(address: str, module: str) -> Iterator[Cluster]:
    """Hold a connection to a dask scheduler, as a backend for joblib, inside the block.

    Args:
        address: for example ``tcp://host:8786``.
        module: what its processes must be able to import.

    Raises:
        ValueError: see :func:`client_at`.
    """
    with client_at(address, module) as client:
        yield Cluster(client)


@contextmanager
def client_at(address: str, module: str) -> Iterator[Any]:
    """Hold a connection to a dask scheduler, a ``distributed.Client``, inside the block.

    Args:
        address: for example ``tcp://host:8786``.
        module: what its processes must be able to import.

    Raises:
        ValueError: if ``distributed`` is not installed, nothing can work at that address, or the
            module cannot be imported there.
    """
    try:
        import distributed
    except ImportError:
        raise ValueError(
            "A cluster needs the package distributed, here and on its machines: run "
            "pip install -e '.[cluster]' in the folder of the study."
        ) from None
    with _quiet():
        try:
            # A client that failed to connect waits once more, and prints, when it is collected.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _reach(address)).result()
            client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:
            raise ValueError(
                f"There is no dask scheduler at {address!r} ({error or type(error).__name__}). "
                "Give the address that it prints when it starts, such as tcp://host:8786, and "
                "see that this machine may connect to it."
            ) from error
        with client:
            _check(client, address, module)
            yield client


async def _reach(address: str) -> None:
    from distributed import Security
    from distributed.comm import connect

    secured = Security().get_connection_args("client")
    await (await connect(address, timeout=CONNECT_SECONDS, **secured)).close()


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


def _there(
    work: Callable[..., Any], made_by: MadeBy, expected: Mapping[str, Any], *arguments: Any
) -> Any:
    compare(made_by, expected)
    try:
        return work(*arguments)
    except (OSError, ValueError) as error:
        unreadable = isinstance(error, OSError) or isinstance(error.__cause__, PermissionError)
        if not unreadable:
            raise
        raise FileNotFoundError(
            f"{error} This was on {platform.node()}: the workers of a cluster must see the "
            "pictures under the same path as this machine."
        ) from error


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
            f"results: {_compared[known]}. All machines need the same code and packages."
        )


def difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Return in words in which versions, or digests of files, two machines differ."""
    return "; ".join(
        f"{name} is {str(value)[:12]} here and {str(there.get(name, 'missing'))[:12]} there"
        for name, value in here.items()
        if there.get(name) != value
    )


def lost(error: BaseException) -> WorkerLostError:
    """Return what to say of an error that is dask's own, not the work's."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        died = error.allowed_failures + 1
        reason = f"{died} workers died on the same piece of work, perhaps for want of memory"
    elif isinstance(error, CancelledError):
        reason = "the connection to its scheduler was lost"
    else:
        reason = str(error) or type(error).__name__
    lost = WorkerLostError(
        f"The cluster gave up: {reason}. The finished part is kept: start the same command again "
        "to continue."
    )
    lost.__cause__ = error
    return lost


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask from printing inside the block: what matters is said in an error."""
    names = ("distributed", "distributed.client")
    handlers = [handler for name in names for handler in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(_is_critical)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_critical)


def _is_critical(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.CRITICAL

"""How many processes share a piece of work, and what is said when one of them dies."""

import joblib


class WorkerLostError(RuntimeError):
    """A worker process died; what was finished is on disk."""


def worker_count(workers: int) -> int:
    """Return the number of processes to use; 0 means every core that this process may use.

    That is fewer than the machine has in a container, or where the scheduler grants a part.

    Raises:
        ValueError: if it is negative.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}: expected 1 or more, or 0 for all cores.")
    return workers or joblib.cpu_count()

"""Which device to run on."""

import torch


def pick_device(name: str, *, place: int | None = None) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda``.

    Args:
        name: which.
        place: the process's place among those of this machine, each of which has a CUDA device of
            its own; None if it is the only one.

    Raises:
        ValueError: if CUDA is asked for and there is none, or none left.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("The device is to be 'cuda', but no CUDA device is visible; use 'auto'.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if place is None or name == "cpu":
        return torch.device(name)
    if place >= torch.cuda.device_count():
        raise ValueError(
            f"This machine shows {torch.cuda.device_count()} CUDA device(s), too few for process "
            f"{place + 1} on it. Start one process per device (torchrun --nproc-per-node), or show "
            "more with CUDA_VISIBLE_DEVICES."
        )
    return torch.device("cuda", place)

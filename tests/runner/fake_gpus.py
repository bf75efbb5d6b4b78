"""GPUs which are not there, as PyTorch would tell of them."""

from collections.abc import Sequence

import pytest


def show_gpus(monkeypatch: pytest.MonkeyPatch, memories: Sequence[int]) -> None:
    """Let PyTorch show a GPU for each of ``memories``, in MiB."""
    rows = [[f"{n:04x}-b", str(size * 2**20), f"Toy {n % 2}"] for n, size in enumerate(memories)]
    monkeypatch.setattr("lib.runner.machine._asked_of_torch", lambda: rows)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

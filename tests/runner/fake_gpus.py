"""A program ``nvidia-smi`` that tells of GPUs which are not there."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

ASKED = "*index,uuid,memory.total,name*csv,noheader,nounits*"
HEAD = f'#!/bin/sh\ncase "$*" in {ASKED}) ;; *) exit 2;; esac\n'


def show_gpus(monkeypatch: pytest.MonkeyPatch, folder: Path, memories: Sequence[int | str]) -> None:
    """Let ``nvidia-smi`` show a GPU for each of ``memories``, in MiB; without any, fail."""
    monkeypatch.setattr("lib.runner.machine._has_driver", lambda: False)  # that of this machine
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir(exist_ok=True)
    rows = [f"echo '{n}, GPU-{n:04x}-b, {own}, Toy {n % 2}'" for n, own in enumerate(memories)]
    program.write_text(HEAD + "\n".join(rows or ["exit 9"]) + "\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

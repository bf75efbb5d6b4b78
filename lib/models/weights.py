"""Reading files of tensors safely."""

import zipfile
from pathlib import Path
from typing import Any

import torch


def read_tensors(path: Path) -> dict[str, Any]:
    """Return a dictionary of tensors and plain values from a ``torch.save`` file, onto the CPU.

    Code in the file is never run.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not such a file, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file at {path}.")
    try:
        damaged = _damaged_part(path)
        content = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the restricted unpickler raises whatever a damaged file leads to
        raise ValueError(
            f"{path} could not be read: it is damaged, or not a file that torch.save wrote. "
            "Make or fetch it again, or name another."
        ) from error
    if damaged:
        raise ValueError(
            f"{path} is damaged (the checksum of {damaged} is wrong): make or fetch it again."
        )
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors.")
    return content


def _damaged_part(path: Path) -> str | None:
    """Return which part has another checksum, which ``torch.load`` may not notice, if one has."""
    if not zipfile.is_zipfile(path):  # older files of PyTorch are none
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()

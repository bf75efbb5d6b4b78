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
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the restricted unpickler raises whatever a damaged file leads to
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ValueError(
            f"{path} could not be read as a file of tensors ({reason}). It may be damaged or of "
            "another kind; make or fetch it again."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors.")
    return content


def _check_sums(path: Path) -> None:
    """Raise ``ValueError`` if a part is damaged, which ``torch.load`` may not notice."""
    if zipfile.is_zipfile(path):  # older files of PyTorch are none
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"the checksum of {damaged} is wrong")

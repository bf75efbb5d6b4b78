"""Functions in C, compiled when one of them is first called.

For the few loops that no library has and that Python is too slow for. The compiler is a package of
the environment (``ziglang``), hence the same on every machine, and nothing else need be installed.
What it makes is kept among Python's own compiled files, named after this source, this compiler and
its own contents, so that a damaged one is found and made anew; where
nothing can be written each process compiles for itself, a tenth of a second per file. A source has
no headers of its own: it would not be compiled anew when they change.

Such a library costs a process a few kilobytes; a compiler within the process costs over 100 MB.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lib.files import atomic, digest, digest_of

# Any processor of a kind runs it, and no product is fused with a sum: the same numbers everywhere.
_FLAGS = (
    *("-std=c11", "-O3", "-mcpu=baseline", "-ffp-contract=off", "-Wall", "-Wextra"),
    *("-shared", "-fPIC", "-ffreestanding", "-nostdlib", "-g0", "-s"),
)

INT = ctypes.c_int64
FLOAT = ctypes.c_double


def read(dtype: DTypeLike, ndim: int) -> Any:
    """Return the type of an argument that is an array, C-contiguous, which is only read."""
    return np.ctypeslib.ndpointer(dtype, ndim, flags="C_CONTIGUOUS")


def written(dtype: DTypeLike, ndim: int) -> Any:
    """Return the type of an argument that is an array, C-contiguous, which is changed."""
    return np.ctypeslib.ndpointer(dtype, ndim, flags=("C_CONTIGUOUS", "WRITEABLE"))


class CFile:
    """A file of C, as a library; nothing is compiled before a function of it is called."""

    def __init__(self, source: Path) -> None:
        """Name the file, which lies beside the Python module that uses it."""
        self._library = cache(partial(_load, source))

    def function(
        self, name: str, arguments: Sequence[Any], *, returns: Any = None
    ) -> Callable[..., Any]:
        """Return a function of the file.

        Args:
            name: of the function.
            arguments: a type for each: `INT`, or what `read` or `written` return.
            returns: the type of what it returns, if anything: `INT` or `FLOAT`.

        Returns:
            What calls it. It raises ``ctypes.ArgumentError`` if an argument is not of its type,
            ``OSError`` with a sentence if the file cannot be compiled.
        """

        @cache
        def bound() -> Any:
            function = self._library()[name]
            function.argtypes, function.restype = list(arguments), returns
            return function

        def call(*values: Any) -> Any:
            return bound()(*values)

        return call


def _load(source: Path) -> ctypes.CDLL:
    try:
        compiler = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"{source.name} needs its compiler, which is missing: "
            f"install it with {sys.executable} -m pip install ziglang."
        ) from None
    made_from = [digest(source), _FLAGS, compiler, sys.platform, platform.machine()]
    folder = Path(importlib.util.cache_from_source(str(source))).parent
    name = f"{source.stem}.{digest_of(made_from)[:16]}"
    for kept in folder.glob(f"{name}.*.so"):
        with suppress(OSError):  # of somebody else, or gone
            if kept.name == f"{name}.{digest(kept)[:16]}.so":
                return ctypes.CDLL(str(kept))
            kept.unlink()  # damaged
    with tempfile.TemporaryDirectory() as temporary:
        made = _compile(source, Path(temporary))
        kept = folder / f"{name}.{digest(made)[:16]}.so"
        try:
            with atomic(kept) as target:
                shutil.copyfile(made, target)
            return ctypes.CDLL(str(kept))
        except OSError:  # a folder of somebody else, a full disk: for this process alone
            return ctypes.CDLL(str(made))


def _compile(source: Path, folder: Path) -> Path:
    made = folder / "library.so"
    # Nothing but the source decides: no headers that the shell's settings name.
    environment = {k: v for k, v in os.environ.items() if k not in {"CPATH", "C_INCLUDE_PATH"}}
    environment |= {"ZIG_GLOBAL_CACHE_DIR": str(folder), "ZIG_LOCAL_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *_FLAGS, "-o", str(made), str(source)],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
    )
    if done.returncode != 0:
        said = done.stderr.strip() or f"nothing; it ended with {done.returncode}"
        raise OSError(f"{source} could not be compiled. The compiler says: {said}")
    return made

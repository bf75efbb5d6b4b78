"""Functions in C, compiled when one of them is first called.

For the few loops that no library has and that Python is too slow for. The compiler is the one that
``$CC`` names, else the machine's ``cc``, else the Python package ``ziglang``; the numbers do not
depend on which. What it makes is kept among Python's own compiled files, named after its source and
its own contents: it serves where there is no compiler too, and a damaged one is made anew. Where
nothing can be written each process compiles for itself, a tenth of a second per file. A source has
no headers of its own: it would not be compiled anew when they change.

Such a library costs a process a few kilobytes; a compiler within the process costs over 100 MB.
Used on Linux, compiled without a warning for macOS; for Windows it was linked (by ``ziglang``) and
never run, and Microsoft's compiler, whose options differ, was not tried.
"""

import ctypes
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lib.files import atomic, digest, digest_of

# IEEE arithmetic as written, no product fused with a sum: the same numbers everywhere. Freestanding
# headers are the compiler's own, so that none need be installed.
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-ffreestanding", "-fPIC", "-shared")
# Any processor of a kind runs it, as with cc. Without -nostdlib it builds a C library first, which
# Windows alone cannot do without.
_ZIG_FLAGS = ("-mcpu=baseline", *(() if sys.platform == "win32" else ("-nostdlib",)))

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
    made_from = [digest(source), FLAGS, sys.platform, platform.machine()]
    folder = Path(importlib.util.cache_from_source(str(source))).parent
    name = f"{source.stem}.{digest_of(made_from)[:16]}"
    for kept in folder.glob(f"{name}.*.so"):
        if kept.name == f"{name}.{digest(kept)[:16]}.so":
            return ctypes.CDLL(str(kept))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        made = _compile(source, Path(temporary))
        kept = folder / f"{name}.{digest(made)[:16]}.so"
        try:
            with atomic(kept) as target:
                shutil.copyfile(made, target)
            return ctypes.CDLL(str(kept))
        except OSError:  # a folder of somebody else, a full disk: for this process alone
            return ctypes.CDLL(str(made))


def compilers() -> list[list[str]]:
    """Return the commands that may compile here, the first that works is used."""
    found = [shlex.split(os.environ.get("CC", ""))]
    found += [[shutil.which(name) or ""] for name in ("cc", "gcc", "clang")]
    if importlib.util.find_spec("ziglang"):
        found.append([sys.executable, "-m", "ziglang", "cc", *_ZIG_FLAGS])
    return [command for command in found if any(command)]


def _compile(source: Path, folder: Path) -> Path:
    made = folder / "library.so"
    zig_caches = {f"ZIG_{kind}_CACHE_DIR": str(folder) for kind in ("GLOBAL", "LOCAL")}
    said = []
    for compiler in compilers():
        try:
            done = subprocess.run(
                [*compiler, *FLAGS, "-o", str(made), str(source)],
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                env={**os.environ, **zig_caches},
            )
        except OSError as error:  # $CC is no program
            said.append(f"{compiler[0]}: {error.strerror or error}")
            continue
        if done.returncode == 0:
            return made
        message = done.stderr.strip() or f"nothing; it ended with {done.returncode}"
        said.append(f"{shlex.join(compiler)} says: {message}")
    if not said:
        raise FileNotFoundError(
            f"{source.name} needs a C compiler, and there is none: no $CC, cc, gcc or clang. "
            f"Install one, or {sys.executable} -m pip install ziglang. Without it, training, "
            "prediction and GrabCut's exact method work; its fast method and judging do not, and "
            "so not the study as a whole."
        )
    raise OSError(f"{source} could not be compiled. " + "\n".join(said))

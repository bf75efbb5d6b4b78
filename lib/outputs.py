"""Where a program may write: found out before its work, not after."""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from lib.files import read_object

WRITTEN_BY = "written_by"
"""Field of a JSON file with the program that wrote it, which alone may replace it."""


def check_output(
    out: Path,
    *,
    inputs: Iterable[Path] = (),
    images: Path | None = None,
    suffix: str = ".json",
    is_ours: Callable[[Path], bool] | None = None,
) -> None:
    """Make the folder of ``out``, and refuse to write there what cannot or must not be written.

    Args:
        out: the file to write.
        inputs: files that the program reads.
        images: a folder of pictures, in which nothing is written.
        suffix: how the name must end.
        is_ours: tells whether an existing file may be replaced; without it any of this suffix.

    Raises:
        ValueError: with what is wrong with ``out``, in a sentence.
    """
    if out.suffix.lower() != suffix or (out.exists() and not out.is_file()):
        raise ValueError(
            f"--out is {str(out)!r}: expected a file name that ends in {suffix}, such as "
            f"results{suffix}."
        )
    for path in inputs:  # under another name too: a link, or another letter case
        if path.exists() and (
            out.resolve() == path.resolve() or (out.exists() and out.samefile(path))
        ):
            raise ValueError(f"--out is {path}, which is read; choose another file.")
    if images is not None and out.resolve().is_relative_to(images.resolve()):
        raise ValueError(
            f"--out is {out}, which is below the pictures in {images}; choose another folder."
        )
    if out.exists() and is_ours is not None and not is_ours(out):
        raise ValueError(
            f"--out is {out}, which exists and was not written by this program; choose another "
            "file, or remove it first (or --force, where there is such an option)."
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.resolve().parent):
            pass
    except OSError as error:
        raise ValueError(
            f"--out is {out}, but nothing can be written in {out.parent} "
            f"({error.strerror or error}); choose another folder."
        ) from error


def file_ending_in(
    suffix: str, is_ours: Callable[[Path], bool], *, place: Callable[[str], Path] = Path
) -> Callable[[str], Path]:
    """Return the type of a command line's ``--out``, which replaces earlier outputs alone.

    Args:
        suffix: how the name must end.
        is_ours: tells whether an existing file may be replaced.
        place: returns where a name lies; by default relative names lie in the current folder.
    """

    def checked(text: str) -> Path:
        try:
            check_output(place(text), suffix=suffix, is_ours=is_ours)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return place(text)

    return checked


def written_by(program: str) -> Callable[[Path], bool]:
    """Return a function that tells whether a JSON file says that a program wrote it.

    Args:
        program: what the file's field :data:`WRITTEN_BY` must hold: a module's name.
    """
    return lambda path: read_object(path).get(WRITTEN_BY) == program

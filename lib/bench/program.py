"""What the programs of this folder share: turns, ``--out``, errors as sentences, intervals."""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from lib.files import explain, write_json
from lib.metrics.bootstrap import Interval
from lib.outputs import WRITTEN_BY, file_ending_in, written_by
from lib.paths import resolve
from lib.workers import WorkerLostError

T = TypeVar("T")
P = ParamSpec("P")


def in_turn(names: Sequence[T], turn: int) -> list[T]:
    """Return the names in the order of a turn: another one is first each time.

    So a machine that slows down, or a cache that is warm, favours none of them.
    """
    first = turn % len(names)
    return [*names[first:], *names[:first]]


def add_out(
    parser: argparse.ArgumentParser, program: str, *, place: Callable[[str], Path] = resolve
) -> None:
    """Add ``--out``, a JSON file; it may replace what the same program wrote, and nothing else.

    Args:
        parser: gets the option.
        program: the module's name, which `write` notes in the file.
        place: returns where a name lies; by default relative ones lie in the repository.
    """
    kind = file_ending_in(".json", written_by(program), place=place)
    parser.add_argument("--out", type=kind, required=True, help="the JSON file to write")


def as_options(parameters: Mapping[str, Any], prefix: str, names: Iterable[str]) -> list[str]:
    """Return a notebook's parameters as options of a command line; empty ones are left out.

    Args:
        parameters: a notebook's, by name.
        prefix: what the parameters' names begin with, before an underscore.
        names: which of them, without the prefix.
    """
    options = []
    for name in names:
        value = parameters.get(f"{prefix}_{name}", "")
        if value not in ("", []):
            values = value if isinstance(value, list) else [value]
            options += [f"--{name.replace('_', '-')}", *map(str, values)]
    return options


def write(out: Path, program: str, content: Mapping[str, Any]) -> None:
    """Write what a program found, with its name."""
    write_json(out, {WRITTEN_BY: program, **content})


def with_sentences(main: Callable[P, int]) -> Callable[P, int]:
    """Let a program end in a sentence: exit code 2 for what a user can mend, 1 if a worker died."""

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except WorkerLostError as error:
            print(f"Stopped: {error}", file=sys.stderr)
            return 1
        except (ValueError, OSError, FloatingPointError) as error:
            print(f"error: {explain(error)}", file=sys.stderr)
            return 2

    return run


def interval_columns(name: str, interval: Interval) -> dict[str, float]:
    """Return an estimate as the column ``name``, and its interval as ``ci_low`` and ``ci_high``."""
    return {name: interval.estimate, "ci_low": interval.low, "ci_high": interval.high}

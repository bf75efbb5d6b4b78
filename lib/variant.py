"""A variant: one training of a paper's study, as data that the runner makes a step of.

A step may be repeated with other random numbers: ``opmask.voc.seed0``, ``opmask.voc.seed1``, ...
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SEED = re.compile(r"\.seed(0|[1-9][0-9]*)\Z")


@dataclass(frozen=True)
class Variant:
    """One training: what makes it what it is, and what it costs.

    Args:
        name: of the variant, such as ``opmask.voc``.
        parameters: of the notebook that trains it; no profile can change them.
        minutes: expected time in the ``demo`` profile.
        optional: tables that compare variants do without it if it fails.
        extra: only profiles that name it in ``add`` have it.
    """

    name: str
    parameters: Mapping[str, Any]
    minutes: float
    optional: bool = False
    extra: bool = False


def with_seed(name: str, repetition: int) -> str:
    """Return the name of a repetition, counted from 0, of a variant or of a step's id."""
    return f"{name}.seed{repetition}"


def split_seed(name: str) -> tuple[str, int | None]:
    """Return a name without the ending of `with_seed`, and the repetition; None if it has none."""
    found = _SEED.search(name)
    return (name[: found.start()], int(found[1])) if found else (name, None)

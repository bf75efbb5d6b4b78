"""A variant: one training of a paper's study, as data that the runner makes a step of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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

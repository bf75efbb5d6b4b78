"""The papers' claims: what they state, and what was observed of them here.

``params/claims.yaml`` has one row per claim. A *value* claim is a number that a paper prints; a
*direction* claim is a comparison that it draws, whose effect is positive if it is as the paper
says. Steps write what they observed to ``claims.json`` in their cache folder;
:mod:`lib.metrics.verdicts` puts both side by side. Observations are in the claim's unit: points of
100 for AP, as the papers print it, fractions of 1 for the shares of paper A's Fig. 1.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lib.files import read_json
from lib.metrics.seeds import Measured, SeedScores
from lib.paths import ROOT
from lib.strict_yaml import read_yaml
from lib.study import STAMP, Study
from lib.terms import terms_of

Scale = Literal["coco", "voc"]


class Claim(BaseModel):
    """One claim of a paper.

    Attributes:
        id: paper, place and quantity, such as ``B.table2.voc_to_nonvoc.R50.OPMask.AP``.
        paper: ``A`` (HybridNet) or ``B`` (OPMask).
        source: where in the paper, such as ``Table 2``.
        statement: the claim as a sentence.
        kind: ``value`` or ``direction``.
        primary: whether a direction is one of the few that were named before the run; see
            :mod:`lib.metrics.verdicts`.
        expected: the paper's number; for a direction the effect in its own numbers, None where it
            gives only words, or nothing.
        tolerance: how far what is observed may be off on the paper's own data; None for a
            direction without an effect to compare it with.
        quantity: what is measured here in place of what the paper measures; empty where that is the
            same. Then the sign alone is judged, on whatever data.
        implemented: whether a value's method has a row here.
        unit: ``points`` (of 100), ``fraction`` (of 1), ``p`` (a p-value) or ``ratio``.
        scale: the data that the claim speaks of.
        step: the notebook that observes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[AB](\.[A-Za-z0-9_]+)+$")]
    paper: Literal["A", "B"]
    source: Annotated[str, Field(min_length=1)]
    statement: Annotated[str, Field(min_length=1)]
    kind: Literal["value", "direction"]
    primary: bool = False
    expected: float | None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    unit: Literal["points", "fraction", "p", "ratio"]
    scale: Scale
    quantity: str = ""
    implemented: bool = True
    step: Annotated[str, Field(pattern=r"^\d\d_[a-z0-9_]+$")]

    @model_validator(mode="after")
    def _consistent(self) -> "Claim":
        if not self.id.startswith(f"{self.paper}."):
            raise ValueError(f"The id of a claim of paper {self.paper} begins with it.")
        if self.kind == "value":
            self._check_value()
        elif (self.tolerance is not None) != (self.expected is not None and not self.quantity):
            raise ValueError(
                "A direction has a 'tolerance' if there is an effect to compare it with, that is "
                "'expected' without 'quantity', and only then."
            )
        return self

    def _check_value(self) -> None:
        if self.expected is None or self.tolerance is None:
            raise ValueError("A value claim needs 'expected' and 'tolerance'.")
        if self.tolerance >= abs(self.expected):
            raise ValueError(
                f"Expected a tolerance below the value itself, {self.expected:g}, found "
                f"{self.tolerance:g}: nothing at all would reproduce it. Lower the tolerance."
            )
        if self.primary or self.quantity:
            raise ValueError("Only a direction is 'primary', or observed by another 'quantity'.")


class Claims(BaseModel):
    """The content of ``claims.yaml``.

    Attributes:
        scales: the profiles that run on the very data a claim speaks of, per kind of data.
        claims: the claims, in the order in which they are shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: dict[Scale, list[str]]
    claims: list[Claim]

    @model_validator(mode="after")
    def _unique(self) -> "Claims":
        repeated = [i for i, n in Counter(claim.id for claim in self.claims).items() if n > 1]
        if repeated:
            raise ValueError(f"These claim ids occur more than once: {', '.join(repeated)}.")
        return self


@dataclass(frozen=True)
class Observation:
    """What a step observed of one claim, in the claim's unit, with its own 95 % interval.

    Attributes:
        id: of the claim.
        observed: the quantity; with several seeds the mean over them.
        ci_low: low end of the interval, over seeds and images.
        ci_high: its high end.
        seeds: how often what was observed was trained; None (or NaN) where nothing was trained.
        p: of a difference: that it is zero, two-sided; below 5 % if its interval leaves zero out.
        detectable: of a difference: how large it had to be to be found significant with a power of
            80 %, judged alone.
        other_schedule: whether the trainings had another schedule than those the claim speaks of.
    """

    id: str
    observed: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    seeds: float | None = None
    p: float | None = None
    detectable: float | None = None
    other_schedule: bool = False

    @classmethod
    def of(cls, name: str, difference: Measured, *, unit: float = 1) -> "Observation":
        """Return what a difference, or a score above a number, says of a claim.

        Args:
            name: id of the claim.
            difference: as a fraction of 1.
            unit: of the claim, per 1; for points 100.
        """
        seeds = difference.seeds if isinstance(difference, SeedScores) else None
        interval, limit = difference.interval.scaled(unit), unit * difference.detectable
        return cls(name, *interval, seeds, difference.p, limit)


def load_claims(*, root: Path = ROOT) -> Claims:
    """Read and check ``params/claims.yaml`` below ``root``.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not as described.
    """
    path = root / "params" / "claims.yaml"
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}; the list of the papers' claims belongs there."
        )
    try:
        return Claims.model_validate(read_yaml(path, str(path)))
    except ValidationError as error:
        raise ValueError(f"{path} is not a list of claims: {error}") from error


def observations(profile: str, claims: Claims, *, root: Path = ROOT) -> dict[str, Observation]:
    """Return what the steps of a run that succeeded observed, by claim id.

    Steps that were made with other parameters than the run's now have are left out.

    Raises:
        ValueError: if a step observed a claim that is not listed or not its own, or one twice.
    """
    step_of = {claim.id: claim.step for claim in claims.claims}
    left_out = terms_of(Study(root), profile).left_out
    found: dict[str, Observation] = {}
    for path in sorted((root / "cache" / profile).glob("*/claims.json")):
        if not (path.parent / STAMP).exists() or path.parent.name in left_out:
            continue
        notebook = path.parent.name.split(".")[0]
        for row in read_json(path):
            name = row["id"]
            if step_of.get(name) != notebook or name in found:
                raise ValueError(
                    f"Step {path.parent.name!r} observed {name!r}, which params/claims.yaml has "
                    f"for {step_of.get(name, 'no step')!r}, once. Mend that notebook's claim "
                    "checks, or the list."
                )
            found[name] = Observation(**row)
    return found


def at_scale(claims: Claims, scale: Scale, profile: str, *, root: Path = ROOT) -> bool:
    """Return whether a run is on the very data that claims of a scale speak of.

    Args:
        claims: the list, with the profiles of each scale.
        scale: of the claims.
        profile: name of the profile, or of a run of its own, which is at its profile's scale
            unless its data are its own.
        root: folder that holds ``cache/`` and ``results/``.
    """
    terms = terms_of(Study(root), profile)
    return not terms.own_data and terms.profile in claims.scales.get(scale, [])

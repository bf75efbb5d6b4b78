"""The papers' claims: what they state, what was observed here, and the verdict.

``params/claims.yaml`` has one row per claim. A *value* claim is a number that a paper prints; a
*direction* claim is a comparison that it draws, whose effect is positive if it is as the paper
says. Steps write what they observed to ``claims.json`` in their cache folder; :func:`assemble`
puts both side by side. Observations are in the claim's unit: points of 100 for AP, as the papers
print it, fractions of 1 for the shares of paper A's Fig. 1.

A number can be reproduced only on the data that it was printed for. Elsewhere a value is shown and
not judged, and a direction holds or fails if its 95 % interval excludes zero. What rests on one
training is shown and not judged: another training would differ too, often as much as other images.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lib.csv_files import write_csv
from lib.files import read_json
from lib.metrics.seeds import FEWEST_SEEDS
from lib.paths import ROOT
from lib.strict_yaml import read_yaml
from lib.study import STAMP, Study
from lib.terms import terms_of

Scale = Literal["coco", "voc"]

REPRODUCED, DIFFERS = "reproduced", "differs"
HOLDS, FAILS, UNDECIDED = "direction holds", "direction fails", "undecided"
NOT_HERE = "not run at this scale"
ONE_SEED = "not judged: one training"
VERDICTS = (REPRODUCED, HOLDS, UNDECIDED, FAILS, DIFFERS, ONE_SEED, NOT_HERE)
"""All verdicts, best news first."""

COLUMNS = (
    "id", "paper", "source", "statement", "kind", "expected", "tolerance",
    "observed", "ci_low", "ci_high", "seeds", "verdict", "step",
)  # fmt: skip
"""Columns of ``claims.csv``."""


class Claim(BaseModel):
    """One claim of a paper.

    Attributes:
        id: paper, place and quantity, such as ``B.table2.voc_to_nonvoc.R50.OPMask.AP``.
        paper: ``A`` (HybridNet) or ``B`` (OPMask).
        source: where in the paper, such as ``Table 2``.
        statement: the claim as a sentence.
        kind: ``value`` or ``direction``.
        expected: the paper's number; for a direction the effect in its own numbers, None where it
            gives only words.
        tolerance: how far an observed value may be off; None for a direction.
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
    expected: float | None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    unit: Literal["points", "fraction", "p", "ratio"]
    scale: Scale
    step: Annotated[str, Field(pattern=r"^\d\d_[a-z0-9_]+$")]

    @model_validator(mode="after")
    def _consistent(self) -> "Claim":
        if not self.id.startswith(f"{self.paper}."):
            raise ValueError(f"The id of a claim of paper {self.paper} begins with it.")
        if self.kind == "value" and (self.expected is None or self.tolerance is None):
            raise ValueError("A value claim needs 'expected' and 'tolerance'.")
        if self.kind == "direction" and self.tolerance is not None:
            raise ValueError("A direction has no 'tolerance': its interval decides.")
        return self


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
    """What a step observed of one claim, in the claim's unit, with its 95 % interval.

    Attributes:
        id: of the claim.
        observed: the quantity; with several seeds the mean over them.
        ci_low: low end of the interval, over seeds and images.
        ci_high: its high end.
        seeds: how often what was observed was trained; None (or NaN) where nothing was trained.
    """

    id: str
    observed: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    seeds: float | None = None


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


def verdict(claim: Claim, observation: Observation, *, own_scale: bool) -> str:
    """Return the verdict on a claim; one of :data:`VERDICTS`.

    A direction whose interval covers zero, or that has no interval, is undecided at any scale. What
    was trained once is not judged.

    Args:
        claim: the claim.
        observation: what was observed; None or NaN inside where the claim's step has not run, or
            the data have nothing of the kind (no large instance, say).
        own_scale: whether it was observed on the data that the claim speaks of.
    """
    observed = _number(observation.observed)
    if math.isnan(observed) or (claim.kind == "value" and not own_scale):
        return NOT_HERE
    if _number(observation.seeds) < FEWEST_SEEDS:
        return ONE_SEED
    if claim.kind == "value":
        # Decimal fractions are not exact: 26.7 - 26.4 must count as 0.3.
        off = abs(observed - _number(claim.expected)) - 1e-9
        return REPRODUCED if off <= _number(claim.tolerance) else DIFFERS
    low, high = _number(observation.ci_low), _number(observation.ci_high)
    if low > 0:
        return REPRODUCED if own_scale else HOLDS
    if high < 0:
        return DIFFERS if own_scale else FAILS
    return UNDECIDED


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


def assemble(profile: str, *, root: Path = ROOT, out: Path | None = None) -> pd.DataFrame:
    """Merge the list of claims with the observations of a profile and write ``claims.csv``.

    The same files give the same bytes. Results can be there without the cache that they were made
    in, as in a fresh clone: such a step keeps its rows as long as it keeps its page.

    Args:
        profile: name of the profile, or of a run of its own.
        root: folder that holds ``params/``, ``cache/`` and ``results/``.
        out: the file to write; ``results/<profile>/claims.csv`` by default.

    Returns:
        One row per claim in the order of ``claims.yaml``, with the columns :data:`COLUMNS`.

    Raises:
        ValueError: if ``claims.yaml`` or a ``claims.json`` is not as described.
    """
    claims = load_claims(root=root)
    seen = observations(profile, claims, root=root) | _kept(profile, claims, root=root)
    frame = judged(claims, seen.values(), profile=profile, root=root)
    path = out or root / "results" / profile / "claims.csv"
    write_csv(frame, path)
    return frame


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


def judged(
    claims: Claims, seen: Iterable[Observation], *, profile: str, root: Path = ROOT
) -> pd.DataFrame:
    """Return every claim with what was observed of it and the verdict; columns :data:`COLUMNS`.

    On data of one's own nothing is judged: the claims speak of other data.
    """
    own_data = terms_of(Study(root), profile).own_data
    found = {observation.id: observation for observation in seen}
    rows = []
    for claim in claims.claims:
        observation = found.get(claim.id, Observation(claim.id, None))
        own = at_scale(claims, claim.scale, profile, root=root)
        rows.append(
            {
                **claim.model_dump(),
                "observed": _number(observation.observed),
                "ci_low": _number(observation.ci_low),
                "ci_high": _number(observation.ci_high),
                "seeds": _number(observation.seeds),
                "verdict": (NOT_HERE if own_data else verdict(claim, observation, own_scale=own)),
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = ["expected", "tolerance", "observed", "ci_low", "ci_high", "seeds"]
    frame[numbers] = frame[numbers].astype(float)
    return frame


def _kept(profile: str, claims: Claims, *, root: Path) -> dict[str, Observation]:
    """Return what ``claims.csv`` holds of steps that have a page but nothing in the cache."""
    cache, results = root / "cache" / profile, root / "results" / profile
    path = results / "claims.csv"
    if not path.exists():
        return {}
    steps = {
        step
        for step in {claim.step for claim in claims.claims}
        if any((results / "notebooks").glob(f"{step}*.html")) and not any(cache.glob(f"{step}*"))
    }
    left_out = {step.split(".")[0] for step in terms_of(Study(root), profile).left_out}
    names = {claim.id for claim in claims.claims if claim.step in steps - left_out}
    columns = ["id", "observed", "ci_low", "ci_high", "seeds"]
    rows = pd.read_csv(path).reindex(columns=columns).itertuples(index=False)
    return {row[0]: Observation(*row) for row in rows if row[0] in names}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

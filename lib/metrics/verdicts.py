"""Verdicts: what the observations of a run say of the papers' claims.

A trained model is one draw, so what rests on one training is shown and not judged.

A *direction* is judged by the p-value of its effect, below 5 % or not, and by its sign. Of each
paper a few are primary, named in ``params/claims.yaml`` before the run: each is judged alone. All
others of a paper that a run can judge are one family, judged together by Holm's step-down: among a
dozen comparisons, one whose interval just leaves zero out is no surprise. Each step observes some
of a family, so verdicts are made where all are gathered: :func:`assemble`.

A number can be reproduced only on the data that it was printed for. There a value must be within
its tolerance, and a direction is reproduced if the size agrees too: if the paper's effect lies in
the interval, or no further from it than the tolerance. Elsewhere a value is shown and not judged,
and a direction holds or fails.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lib.csv_files import write_csv
from lib.metrics.claims import Claim, Claims, Observation, at_scale, load_claims, observations
from lib.metrics.seeds import FEWEST_SEEDS
from lib.metrics.significance import LEVEL, holm
from lib.paths import ROOT
from lib.study import Study
from lib.terms import terms_of

REPRODUCED, OTHER_SIZE, DIFFERS = "reproduced", "same sign, other size", "differs"
HOLDS, UNDECIDED, FAILS = "direction holds", "undecided", "direction fails"
JUDGED = (REPRODUCED, HOLDS, OTHER_SIZE, UNDECIDED, FAILS, DIFFERS)
ONE_SEED = "not judged: one training"
OTHER_SCHEDULE = "measured on another schedule"
OTHER_DATA = "measured on other data"
NO_ROW = "no implementation here"
NOT_RUN = "not run"
VERDICTS = (*JUDGED, ONE_SEED, OTHER_SCHEDULE, OTHER_DATA, NO_ROW, NOT_RUN)
"""All verdicts, best news first."""

COLUMNS = (
    "id", "paper", "source", "statement", "kind", "primary", "quantity", "expected", "tolerance",
    "observed", "ci_low", "ci_high", "seeds", "other_schedule", "p", "p_corrected", "detectable",
    "verdict", "step",
)  # fmt: skip
"""Columns of ``claims.csv``. The interval and p are of the claim alone; ``p_corrected`` decides."""

_OBSERVED = ("observed", "ci_low", "ci_high", "seeds", "p", "detectable")
"""Columns that are an observation's numbers."""

_ROUNDING = 1e-9
"""Decimal fractions are not exact: 26.7 - 26.4 must count as 0.3."""


def verdict(claim: Claim, seen: Observation, p: float, *, own_scale: bool) -> str:
    """Return the verdict on a claim; one of :data:`VERDICTS`.

    Args:
        claim: the claim.
        seen: what was observed; None or NaN inside where the claim's step has not run, or the data
            have nothing of the kind (no large instance, say).
        p: that decides a direction: its own, or of a family corrected; NaN where there is none,
            which leaves it undecided.
        own_scale: whether it was observed on the data that the claim speaks of.
    """
    if not claim.implemented:
        return NO_ROW
    if math.isnan(_number(seen.observed)):
        return NOT_RUN
    if claim.kind == "value":
        if not own_scale or seen.other_schedule:
            return OTHER_SCHEDULE if own_scale else OTHER_DATA
        return _of_value(claim, seen)
    return _of_direction(
        claim, seen, p, same=own_scale and not claim.quantity and not seen.other_schedule
    )


def _of_value(claim: Claim, seen: Observation) -> str:
    if _number(seen.seeds) < FEWEST_SEEDS:
        return ONE_SEED
    off = abs(_number(seen.observed) - _number(claim.expected))
    return REPRODUCED if off <= _number(claim.tolerance) + _ROUNDING else DIFFERS


def _of_direction(claim: Claim, seen: Observation, p: float, *, same: bool) -> str:
    """Return the verdict on a direction; ``same``: whether it is what the paper measured."""
    positive = _number(seen.observed) > 0
    if _number(seen.seeds) < FEWEST_SEEDS:
        return ONE_SEED
    if not p < LEVEL:
        return UNDECIDED
    if not same:
        return HOLDS if positive else FAILS
    if not positive:
        return DIFFERS
    return REPRODUCED if _size_agrees(claim, seen) else OTHER_SIZE


def _size_agrees(claim: Claim, seen: Observation) -> bool:
    """Return whether the paper's effect is in the interval, or within the tolerance of it."""
    if claim.expected is None:
        return True  # words state a sign alone
    more = _number(claim.tolerance) + _ROUNDING
    return _number(seen.ci_low) - more <= claim.expected <= _number(seen.ci_high) + more


def corrected(claims: Claims, seen: Mapping[str, Observation]) -> dict[str, float]:
    """Return the p-value that decides each direction that can be judged, by claim id.

    Of a primary claim it is its own. All others of a paper are one family, corrected by Holm.

    Args:
        claims: the list.
        seen: all that a run observed, by claim id.
    """
    there = [
        (claim, _number(seen[claim.id].p))
        for claim in claims.claims
        if claim.kind == "direction" and claim.id in seen
        if not math.isnan(_number(seen[claim.id].p))
        and not _number(seen[claim.id].seeds) < FEWEST_SEEDS
    ]
    found = {claim.id: p for claim, p in there if claim.primary}
    for paper in {claim.paper for claim, _ in there}:
        family = {c.id: p for c, p in there if c.paper == paper and not c.primary}
        found |= dict(zip(family, map(float, holm(list(family.values()))), strict=True))
    return found


def judged(
    claims: Claims, seen: Iterable[Observation], *, profile: str, root: Path = ROOT
) -> pd.DataFrame:
    """Return every claim with what was observed of it and the verdict; columns :data:`COLUMNS`.

    On data of one's own nothing is judged: the claims speak of other data.

    Args:
        claims: the list.
        seen: all that the run observed: with a part of it, families are too small.
        profile: name of the profile, or of a run of its own.
        root: folder that holds ``cache/`` and ``results/``.
    """
    own_data = terms_of(Study(root), profile).own_data
    found = {observation.id: observation for observation in seen}
    decisive = corrected(claims, found)
    rows = []
    for claim in claims.claims:
        of = found.get(claim.id, Observation(claim.id, None))
        own, p = at_scale(claims, claim.scale, profile, root=root), decisive.get(claim.id, math.nan)
        result = verdict(claim, of, p, own_scale=own)
        if own_data and result not in (NO_ROW, NOT_RUN):
            result = OTHER_DATA
        told = _OBSERVED if claim.kind == "direction" else _OBSERVED[:-2]  # of a value no test
        numbers = {name: _number(getattr(of, name)) for name in told}
        found_so = {"other_schedule": of.other_schedule, "p_corrected": p, "verdict": result}
        rows.append({**claim.model_dump(), **numbers, **found_so})
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(("expected", "tolerance", "p_corrected", *_OBSERVED), float))


def assemble(profile: str, *, root: Path = ROOT, out: Path | None = None) -> pd.DataFrame:
    """Judge the claims by the observations of a profile and write ``claims.csv``.

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


def read_claims_csv(path: Path) -> pd.DataFrame:
    """Return a ``claims.csv`` with the columns :data:`COLUMNS`; NaN in those that it lacks."""
    frame = pd.read_csv(path).reindex(columns=list(COLUMNS))
    flags = {name: frame[name].eq(True) for name in ("primary", "other_schedule")}
    return frame.assign(quantity=frame["quantity"].astype(object).fillna(""), **flags)


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
    return {
        row["id"]: Observation(
            row["id"],
            **{name: row[name] for name in _OBSERVED},
            other_schedule=row["other_schedule"],
        )
        for row in read_claims_csv(path).to_dict("records")
        if row["id"] in names
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

"""The papers' claims as a table for people: expected, observed with its interval, verdict.

Numbers are shown in the claim's unit: AP in points of 100, shares in per cent. A claim that no
step of the profile has observed shows "not run", whatever the scale. One that is undecided says how
large an effect had to be for its interval to leave zero out.
"""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lib.metrics.claims import (
    DIFFERS,
    FAILS,
    HOLDS,
    NOT_HERE,
    ONE_SEED,
    REPRODUCED,
    UNDECIDED,
    VERDICTS,
    Claims,
    Observation,
    judged,
)
from lib.pages.tables import MISSING, Table, decimals_of
from lib.study import Study
from lib.terms import terms_of

PAPERS = {"A": "Paper A, HybridNet", "B": "Paper B, OPMask"}
NOT_RUN = "not run"
SHOWN = (*VERDICTS, NOT_RUN)
"""Verdicts as shown, best news first."""

LOOKS = {
    REPRODUCED: "good",
    HOLDS: "good",
    DIFFERS: "bad",
    FAILS: "bad",
    UNDECIDED: "open",
}
"""Class in the site's style sheet of the verdicts that have a colour."""

_HEADS = ("source", "claim", "paper", "observed", "seeds", "verdict")
_NUMBERS = ("paper", "observed", "seeds")


def shown_verdict(row: Any) -> str:
    """Return the verdict to show for a row of ``claims.csv``."""
    return NOT_RUN if row["verdict"] == NOT_HERE and math.isnan(row["observed"]) else row["verdict"]


def verdict_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the number of claims per paper and verdict; verdicts that nobody has are left out.

    Args:
        frame: of `lib.metrics.claims.assemble`.
    """
    shown = frame.apply(shown_verdict, axis=1)
    counts = pd.crosstab(frame["paper"].map(PAPERS), shown)
    counts = counts[[verdict for verdict in SHOWN if verdict in counts.columns]]
    counts["claims"] = counts.sum(axis=1)
    return counts.rename_axis(index="paper", columns=None).reset_index()


def claims_table(frame: pd.DataFrame, claims: Claims, paper: str) -> Table:
    """Return one paper's claims, in order.

    Args:
        frame: of `lib.metrics.claims.assemble`.
        claims: the list that it was made from, for the units.
        paper: ``A`` or ``B``.
    """
    units = {claim.id: claim.unit for claim in claims.claims}
    rows = []
    for row in frame[frame["paper"] == paper].to_dict("records"):
        rows.append(ClaimTexts.of(row, units[row["id"]]))
    return Table(_as_html(rows), _as_text(rows))


def claim_checks(seen: Sequence[Observation], claims: Claims, *, profile: str) -> Table:
    """Return the claims that one step observed, with their verdicts."""
    ids = {observation.id for observation in seen}
    frame = judged(claims, seen, profile=profile)
    rows = frame[frame["id"].isin(ids)]
    papers = [
        claims_table(rows, claims, paper) for paper in PAPERS if (rows["paper"] == paper).any()
    ]
    return Table("\n".join(t.html for t in papers), "\n".join(t.text for t in papers))


def paragraph(frame: pd.DataFrame, profile: str) -> str:
    """Return what the verdicts come to, as Markdown; every number is counted from ``frame``."""
    terms = terms_of(Study(), profile)
    shown = frame.apply(shown_verdict, axis=1)
    directions = frame["kind"] == "direction"
    seen = shown != NOT_RUN
    lines = [
        f"The {'run' if terms.is_own else 'profile'} **{profile}** observed **{seen.sum()} of "
        f"{len(frame)}** claims of the two papers; {(seen & directions).sum()} of these are "
        "directions."
    ]
    if terms.own_data:
        lines.append("- Its data are one's own, so that no claim of the papers is judged on them.")
        return "\n".join([lines[0], "", *lines[1:]])
    if terms.is_own:
        lines.append(f"- Its parameters are not those of profile **{terms.profile}**.")
    for paper, name in PAPERS.items():
        part = (frame["paper"] == paper) & seen & directions
        if part.any():
            lines.append(f"- {name}: {_directions(frame[part], shown[part])}")
    judged_here = shown[~directions].isin([REPRODUCED, DIFFERS])
    if judged_here.any():
        good = (shown[~directions] == REPRODUCED).sum()
        lines.append(f"- Printed numbers: {good} of {judged_here.sum()} are reproduced.")
    elif (seen & ~directions).any():
        lines.append(
            "- Printed numbers are shown beside ours without a verdict: these data are not those "
            "that the papers printed them for."
        )
    waiting = sorted(set(frame.loc[~seen, "step"]) - set(frame.loc[seen, "step"]))
    if waiting:
        lines.append(f"- Nothing yet from {', '.join(f'`{step}`' for step in waiting)}.")
    return "\n".join([lines[0], "", *lines[1:]])


def _directions(frame: pd.DataFrame, shown: pd.Series) -> str:
    """Return how the observed directions of one paper come out, as a sentence."""
    counts = {verdict: int((shown == verdict).sum()) for verdict in SHOWN}
    good = counts[REPRODUCED] + counts[HOLDS]
    parts = [f"{good} of {len(frame)} directions come out as the paper says"]
    against = frame.loc[shown.isin([DIFFERS, FAILS]), "id"]
    if len(against):
        parts.append(f"{len(against)} the other way round ({', '.join(f'`{i}`' for i in against)})")
    if counts[UNDECIDED]:
        parts.append(f"{counts[UNDECIDED]} cannot be told from no effect")
    if counts[ONE_SEED]:
        parts.append(f"{counts[ONE_SEED]} not judged, since one training decides nothing")
    return ", ".join(parts) + "."


@dataclass(frozen=True)
class ClaimTexts:
    """A row of ``claims.csv`` with its numbers as texts; of what is missing, a dash or nothing."""

    claim: dict[Any, Any]
    expected: str
    observed: str
    interval: str
    seeds: str
    note: str

    @classmethod
    def of(cls, claim: dict[Any, Any], unit: str) -> "ClaimTexts":
        """Return the texts of a claim in its unit."""
        write = number_writer(unit, claim["expected"], signed=claim["kind"] == "direction")
        ends = [write(claim[name]) for name in ("ci_low", "ci_high")]
        interval = "" if MISSING in ends else " to ".join([ends[0].removesuffix(" %"), ends[1]])
        expected = "in words" if math.isnan(claim["expected"]) else write(claim["expected"])
        seeds = float(claim.get("seeds", math.nan))  # files of before have none
        trained = MISSING if math.isnan(seeds) else f"{seeds:.0f}"
        note = ""
        if claim["verdict"] == UNDECIDED and interval:
            half = write((claim["ci_high"] - claim["ci_low"]) / 2).removeprefix("+")
            note = f"an effect of more than about {half} would show"
        return cls(claim, expected, write(claim["observed"]), interval, trained, note)


def number_writer(unit: str, expected: float, *, signed: bool) -> Callable[[float], str]:
    """Return how to write a claim's numbers: in its unit, as exact as the paper prints its own.

    What would look like 0 and is not gets the digits to tell: a verdict may hang on its sign.
    """
    factor, end = (100, " %") if unit == "fraction" else (1, "")
    printed = f"{factor * expected:.10g}" if not math.isnan(expected) else ""
    decimals = max(1, min(3, len(printed.partition(".")[2])))
    sign = "+" if signed else ""

    def write(value: float) -> str:
        if math.isnan(value):
            return MISSING
        places = decimals_of(factor * value, decimals)
        return f"{factor * value:{sign}z.{places}f}{end}".replace("-", "\u2212")

    return write


def _as_html(rows: Sequence[ClaimTexts]) -> str:
    lines = []
    for row in rows:
        claim, verdict = row.claim, shown_verdict(row.claim)
        span = f' <span class="interval">{row.interval}</span>' if row.interval else ""
        note = f' <span class="interval">{row.note}</span>' if row.note else ""
        look = f"verdict {LOOKS.get(verdict, '')}".strip()
        lines.append(
            f'<tr><td class="where">{html.escape(claim["source"])}</td>'
            f'<td>{html.escape(claim["statement"])} <span class="id">{claim["id"]}</span></td>'
            f'<td class="number">{row.expected}</td><td class="number">{row.observed}{span}</td>'
            f'<td class="number">{row.seeds}</td>'
            f'<td><span class="{look}">{verdict}</span>{note}</td></tr>'
        )
    heads = "".join(
        f'<th class="number">{h}</th>' if h in _NUMBERS else f"<th>{h}</th>" for h in _HEADS
    )
    body = "\n".join(lines)
    return (
        f'<table class="claims">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n'
        "</tbody>\n</table>"
    )


def _as_text(rows: Sequence[ClaimTexts]) -> str:
    width = max((len(row.claim["id"]) for row in rows), default=0)
    return "\n".join(
        f"{row.claim['id']:<{width}}  {row.expected:>8}  {row.observed:>8}  {row.interval:>18}  "
        f"{row.seeds:>2}  {shown_verdict(row.claim)}"
        for row in rows
    )

"""The papers' claims as a table for people: expected, observed with its interval, verdict.

Numbers are shown in the claim's unit: AP in points of 100, shares in per cent. Intervals and p are
of a claim alone; what decides one that is not primary, p after correction, stands beside its
verdict. One that is undecided says how large an effect would have been seen. The page of a step
knows its own claims alone, and no family of claims: what the correction may change it leaves to the
summary, so that no two pages say different things.
"""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lib.metrics.claims import Claims, Observation
from lib.metrics.significance import LEVEL
from lib.metrics.verdicts import (
    DIFFERS,
    FAILS,
    HOLDS,
    JUDGED,
    ONE_SEED,
    OTHER_SIZE,
    REPRODUCED,
    UNDECIDED,
    VERDICTS,
    judged,
)
from lib.pages.tables import MISSING, Table, decimals_of
from lib.study import Study
from lib.terms import terms_of

PAPERS = {"A": "Paper A, HybridNet", "B": "Paper B, OPMask"}
IN_SUMMARY = "in the summary"
"""Shown on the page of a step for what is judged together with claims of other steps."""

LOOKS = {
    REPRODUCED: "good",
    HOLDS: "good",
    DIFFERS: "bad",
    FAILS: "bad",
    OTHER_SIZE: "open",
    UNDECIDED: "open",
}
"""Class in the site's style sheet of the verdicts that have a colour."""

_HEADS = ("source", "claim", "paper", "observed", "seeds", "verdict")
_NUMBERS = ("paper", "observed", "seeds")


def verdict_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the number of claims per paper and verdict; verdicts that nobody has are left out.

    Args:
        frame: of `lib.metrics.verdicts.assemble`.
    """
    counts = pd.crosstab(frame["paper"].map(PAPERS), frame["verdict"])
    counts = counts[[verdict for verdict in VERDICTS if verdict in counts.columns]]
    counts["claims"] = counts.sum(axis=1)
    return counts.rename_axis(index="paper", columns=None).reset_index()


def claims_table(frame: pd.DataFrame, claims: Claims, paper: str) -> Table:
    """Return one paper's claims: the primary ones, then the others, each in order.

    Args:
        frame: of `lib.metrics.verdicts.assemble`.
        claims: the list that it was made from, for the units.
        paper: ``A`` or ``B``.
    """
    units = {claim.id: claim.unit for claim in claims.claims}
    of_paper = frame[frame["paper"] == paper].sort_values("primary", ascending=False, kind="stable")
    rows = [ClaimTexts.of(row, units[row["id"]]) for row in of_paper.to_dict("records")]
    return Table(_as_html(rows), _as_text(rows))


def claim_checks(seen: Sequence[Observation], claims: Claims, *, profile: str) -> Table:
    """Return the claims that one step observed, with those verdicts that no other step bears on."""
    rows = _of_step(seen, claims, profile)
    papers = [
        claims_table(rows, claims, paper) for paper in PAPERS if (rows["paper"] == paper).any()
    ]
    html, text = ("\n".join(getattr(t, of) for t in papers) for of in ("html", "text"))
    if not (rows["verdict"] == IN_SUMMARY).any():
        return Table(html, text)
    note = (
        "Intervals and p are of one claim alone. Primary claims are judged by them; all others of "
        "a paper are judged together, corrected for their number, in 99_summary."
    )
    return Table(f"{html}\n<p>{note}</p>", f"{text}\n{note}")


def finding(seen: Sequence[Observation], claims: Claims, *, profile: str) -> str:
    """Return what a step found, as Markdown for the head of its page.

    That is what became of each primary claim that it observed; without any, of each direction.

    Args:
        seen: what the step observed.
        claims: the list.
        profile: name of the profile, or of a run of its own.
    """
    rows = _of_step(seen, claims, profile)
    rows = rows[rows["kind"] == "direction"]
    if rows.empty:
        return "**What was found.** No claim on a direction is judged here."
    shown = rows[rows["primary"]] if rows["primary"].any() else rows
    units = {claim.id: claim.unit for claim in claims.claims}
    lines = []
    for row in shown.to_dict("records"):
        told = ClaimTexts.of(row, units[row["id"]])
        numbers = told.observed + f" ({told.interval})" * bool(told.interval)
        lines.append(f"- **{row['verdict']}**: {row['statement']} {numbers}")
    more = len(rows) - len(shown)
    beside = f"; {more} further directions of this page are judged together there" * bool(more)
    head = "**What was found** of the primary claims" if more else "**What was found**"
    where = "[claim checks](#Claim-checks) · [summary of all claims](99_summary.ipynb)"
    return "\n".join([f"{head}, with 95 % intervals ({where}{beside}):", "", *lines])


def _of_step(seen: Sequence[Observation], claims: Claims, profile: str) -> pd.DataFrame:
    """Return the rows of a step's claims; verdicts that other steps bear on are left open."""
    ids = {observation.id for observation in seen}
    frame = judged(claims, seen, profile=profile)
    rows = frame[frame["id"].isin(ids)].assign(p_corrected=math.nan)
    in_family = (rows["kind"] == "direction") & ~rows["primary"] & rows["verdict"].isin(JUDGED)
    waiting = in_family & (rows["p"] < LEVEL)  # what is not so alone will not be so corrected
    return rows.assign(verdict=rows["verdict"].mask(waiting, IN_SUMMARY))


def paragraph(frame: pd.DataFrame, profile: str) -> str:
    """Return what the verdicts come to, as Markdown; every number is counted from ``frame``."""
    terms = terms_of(Study(), profile)
    shown = frame["verdict"]
    directions = frame["kind"] == "direction"
    seen = frame["observed"].notna()
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
        for primary, which in ((True, "primary claims"), (False, "directions, corrected together")):
            part = (frame["paper"] == paper) & seen & directions & (frame["primary"] == primary)
            if part.any():
                lines.append(f"- {name}: {_directions(frame[part], shown[part], which)}")
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


def _directions(frame: pd.DataFrame, shown: pd.Series, which: str) -> str:
    """Return how some observed directions of one paper come out, as a sentence."""
    counts = {verdict: int((shown == verdict).sum()) for verdict in VERDICTS}
    good = counts[REPRODUCED] + counts[HOLDS]
    parts = [f"of {len(frame)} {which}, {good} come out as the paper says"]
    if counts[OTHER_SIZE]:
        parts.append(f"{counts[OTHER_SIZE]} with its sign and another size")
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
        if not math.isnan(claim["p"]):
            interval += f", {_p(claim['p'])}"
        words = MISSING if claim["quantity"] else "in words"
        expected = words if math.isnan(claim["expected"]) else write(claim["expected"])
        trained = MISSING if math.isnan(claim["seeds"]) else f"{claim['seeds']:.0f}"
        notes = []
        if claim["verdict"] == UNDECIDED and not math.isnan(claim["detectable"]):
            notes.append(f"{write(claim['detectable']).removeprefix('+')} would have been seen")
        if not claim["primary"] and not math.isnan(claim["p_corrected"]):
            notes.append(f"corrected {_p(claim['p_corrected'])}")
        note = ", ".join(notes)
        return cls(claim, expected, write(claim["observed"]), interval, trained, note)

    @property
    def marks(self) -> str:
        """What tells the claim from others: that it is primary, or of another quantity."""
        marks = ["primary"] if self.claim["primary"] else []
        if self.claim["quantity"]:
            marks.append(f"another quantity than the paper's: {self.claim['quantity']}")
        return "; ".join(marks)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


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
        claim, verdict = row.claim, row.claim["verdict"]
        span, note, marks = (
            f' <span class="interval">{html.escape(text)}</span>' if text else ""
            for text in (row.interval, row.note, row.marks)
        )
        look = f"verdict {LOOKS.get(verdict, '')}".strip()
        lines.append(
            f'<tr><td class="where">{html.escape(claim["source"])}</td>'
            f"<td>{html.escape(claim['statement'])}{marks} "
            f'<span class="id">{claim["id"]}</span></td>'
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
        f"{row.seeds:>2}  {row.claim['verdict']}"
        for row in rows
    )

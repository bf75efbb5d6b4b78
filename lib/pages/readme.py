"""Puts the judged claims of the demo into the README: ``python -m lib.pages.readme``.

The block between the two marks is made from ``results/demo/claims.csv``, so that no number in it
is typed by hand; a test compares them.
"""

import sys
from pathlib import Path

import pandas as pd

from lib.files import write_text
from lib.metrics.claims import load_claims
from lib.metrics.verdicts import JUDGED, read_claims_csv
from lib.pages.claims_table import PAPERS, ClaimTexts
from lib.pages.provenance import read_provenance
from lib.paths import ROOT

BEGIN = "<!-- claims: made by `make readme` from results/demo/claims.csv -->"
END = "<!-- end of claims -->"


def checked(results: Path) -> Path:
    """Return the claims of a folder of results, if they are those of the demo and all of it.

    Raises:
        ValueError: if they are of another profile, or of a run of its own, or cannot be told.
    """
    found = read_provenance(results)
    if found is None or found.profile != "demo" or found.run is not None:
        name = (found.run or found.profile) if found else "nothing"
        raise ValueError(
            f"The README shows the claims of profile demo alone, but {results} holds those of "
            f"{name!r}. Make the demo's with `make demo`."
        )
    return results / "claims.csv"


def claims_block(claims_csv: Path) -> str:
    """Return Markdown that counts the verdicts of a run by paper, and folds away each claim."""
    frame = read_claims_csv(claims_csv)
    judged = frame[frame["verdict"].isin(JUDGED)]
    kinds = [verdict for verdict in JUDGED if (judged["verdict"] == verdict).any()]
    columns = ["paper", "claims judged", *kinds]
    counts = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    folded = []
    for paper, rows in judged.groupby("paper"):
        name = PAPERS[str(paper)].split(", ")[1]
        numbers = [len(rows), *((rows["verdict"] == kind).sum() for kind in kinds)]
        counts.append(f"| {name} | {' | '.join(map(str, numbers))} |")
        folded += ["", f"<details><summary>{name}: every claim that was judged</summary>", ""]
        folded += [*_table(rows), "", "</details>"]
    return "\n".join(counts + folded)


def _table(rows: pd.DataFrame) -> list[str]:
    """Return a Markdown table of claims, line by line."""
    units = {claim.id: claim.unit for claim in load_claims().claims}
    lines = ["| where | claim | paper's effect | observed | verdict |", "|---|---|---|---|---|"]
    for row in rows.sort_values("primary", ascending=False, kind="stable").to_dict("records"):
        told = ClaimTexts.of(row, units[row["id"]])
        statement = row["statement"] + f" *({told.marks})*" * bool(told.marks)
        note = f", {told.note}" * bool(told.note)
        lines.append(
            f"| {row['source']} | {statement} | {told.expected} "
            f"| {told.observed} ({told.interval}) | **{row['verdict']}**{note} |"
        )
    return lines


def with_block(text: str, block: str) -> str:
    """Return the README's text with the block between its marks replaced.

    Raises:
        ValueError: if the marks are missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.md lacks the lines {BEGIN!r} and {END!r}; put them back.")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{block}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Rewrite the block in the README."""
    readme = ROOT / "README.md"
    try:
        block = claims_block(checked(ROOT / "results" / "demo"))
        write_text(readme, with_block(readme.read_text(encoding="utf-8"), block))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

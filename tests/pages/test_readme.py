"""The README's table of claims."""

import subprocess
from pathlib import Path

import pytest

from lib.metrics.claims import Observation, load_claims
from lib.metrics.verdicts import judged
from lib.pages.readme import claims_block, with_block
from lib.paths import ROOT

CLAIMS = "results/demo/claims.csv"


def test_readme_shows_what_the_committed_results_say(tmp_path: Path) -> None:
    # A demo run on this machine may have changed the file since, and the README with it or not.
    command = ["git", "show", f"HEAD:{CLAIMS}"]
    try:
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there are no committed results here")
    committed = tmp_path / "claims.csv"
    committed.write_bytes(shown.stdout)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sources = [path for path in (committed, ROOT / CLAIMS) if path.exists()]
    assert text in [with_block(text, claims_block(path)) for path in sources], "run `make readme`"


def test_lost_marks_are_a_sentence():
    with pytest.raises(ValueError, match="put them back"):
        with_block("no marks here", "block")


def test_verdicts_are_counted_by_paper_and_every_judged_claim_is_listed(tmp_path: Path) -> None:
    claims = load_claims().claims
    chosen = [c for c in claims if c.kind == "direction"][:3]
    chosen += [c for c in claims if c.kind == "direction" and c.paper == "B"][:2]
    seen = [Observation(c.id, 1.0, 0.5, 1.5, p=0.001, detectable=0.6) for c in chosen[:-1]]
    seen.append(Observation(chosen[-1].id, -1.0, -1.5, 0.5, p=0.3, detectable=2.5))
    frame = judged(load_claims(), seen, profile="demo")
    frame.to_csv(tmp_path / "claims.csv", index=False)
    block = claims_block(tmp_path / "claims.csv")
    assert "| paper | claims judged | direction holds | undecided |" in block
    assert "| HybridNet | 3 | 3 | 0 |" in block
    assert "| OPMask | 2 | 1 | 1 |" in block
    assert "**undecided**, 2.5 would have been seen, corrected p = 0.300 |" in block
    for claim in claims:
        assert (f"| {claim.statement}" in block) == (claim in chosen)

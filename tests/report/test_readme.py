"""The README's table of claims."""

import subprocess
from pathlib import Path

import pytest

from lib.paths import ROOT
from lib.report.readme import claims_block, with_block

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

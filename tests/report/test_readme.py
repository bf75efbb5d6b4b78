"""The README's table of claims."""

import pytest

from lib.paths import ROOT
from lib.report.readme import claims_block, with_block


def test_readme_shows_what_the_committed_results_say():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = claims_block(ROOT / "results" / "demo" / "claims.csv")
    assert with_block(text, block) == text, "run `make readme`"


def test_lost_marks_are_a_sentence():
    with pytest.raises(ValueError, match="put them back"):
        with_block("no marks here", "block")

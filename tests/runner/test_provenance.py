"""The provenance block shows parameters and file names as they are, whatever they hold."""

from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup

from lib.pages.page import to_html
from lib.runner.provenance import as_markdown

PAGE = dict(digest="x", step="01_x", title="t", profile="p", previous=None, next=None, css="")
RECORD: dict[str, Any] = {
    **{key: {} for key in ("seeds", "packages")},
    **dict.fromkeys(("system", "device", "python", "finished"), "x"),
    **{"commit": "", "dirty": False, "seconds": 1.0, "cores": 1},
}


@pytest.mark.parametrize(
    "text",
    [
        "cat`<img src=x onerror=alert(1)>`",
        "`|`<script>alert(2)</script>",
        "</td></table><svg onload=alert(3)>",
        "$x$ and $y$",
        "**bold** _it_ ~~no~~ [x](javascript:alert(4))",
        "back\\slash\\",
        "two\n\n# lines",
        "&lt;b&gt;",
    ],
)
def test_what_parameters_and_files_are_called_is_shown_and_nothing_else(text: str) -> None:
    given = {"not_default": {"data_x": text}, "inputs": {f"data_x {text}": "ab"}, "notes": [text]}
    block = nbformat.v4.new_markdown_cell(as_markdown(RECORD | given))
    page = BeautifulSoup(to_html(nbformat.v4.new_notebook(cells=[block]), PAGE), "html.parser")
    table = page.find_all("table")[-1]
    rows = [[cell.get_text() for cell in row.find_all(["td", "th"])] for row in table("tr")]
    cells = {row[0]: row[1] for row in rows if row[0]}
    line = " ".join(text.split())
    assert cells["parameters that differ from the defaults"] == f"data.x = {text!r}"
    assert cells["inputs (SHA-256)"] == f"data_x {line} ab"
    assert cells["remarks"] == line
    assert not table.find_all(["script", "img", "svg", "strong", "em", "math", "a"])

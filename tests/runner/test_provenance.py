"""The provenance block shows parameters and file names as they are, whatever they hold."""

from html.parser import HTMLParser
from typing import Any

import nbformat
import pytest

from lib.pages.page import to_html
from lib.runner.provenance import as_markdown

PAGE = dict(digest="x", step="01_x", title="t", profile="p", previous=None, next=None, css="")
EVIL = [
    "cat`<img src=x onerror=alert(1)>`",
    "a|b",
    "`|`<script>alert(2)</script>",
    "</td></table><svg onload=alert(3)>",
    "$x$ and $y$",
    "**bold** _it_ ~~no~~ [x](javascript:alert(4))",
    "back\\slash\\",
    "two\n\n# lines",
    "&lt;b&gt;",
]


class Rows(HTMLParser):
    """Collects the texts of the cells of the last table, and all tags and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags |= {tag, *(name for name, _ in attrs)}
        if tag == "table":
            self.rows = []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def record(**more: Any) -> dict[str, Any]:
    made = {key: {} for key in ("seeds", "not_default", "inputs", "packages")} | dict.fromkeys(
        ("system", "device", "python", "finished"), "x"
    )
    return made | {"commit": "", "dirty": False, "seconds": 1.0, "cores": 1, "notes": []} | more


@pytest.mark.parametrize("text", EVIL)
def test_what_parameters_and_files_are_called_is_shown_and_nothing_else(text: str) -> None:
    block = as_markdown(
        record(not_default={"data_x": text}, inputs={f"data_x {text}": "ab"}, notes=[text])
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(block)])
    page = Rows()
    page.feed(to_html(notebook, PAGE))
    cells = {row[0]: row[1:] for row in page.rows if row[0]}
    line = " ".join(text.split())
    assert cells["parameters that differ from the defaults"] == [f"data.x = {text!r}"]
    assert cells["inputs (SHA-256)"] == [f"data_x {line} ab"]
    assert cells["remarks"] == [line]
    assert not page.tags & {"script", "img", "svg", "onerror", "onload", "strong", "em", "math"}

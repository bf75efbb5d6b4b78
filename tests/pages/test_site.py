"""The pages: what readers see, that nothing comes from the network, and nothing is stale."""

import base64
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from lib.pages import page as page_module
from lib.pages.readme import checked
from lib.pages.site import build_site

PIXEL = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
        "rkJggg=="
    )
).decode()

STEPS = [("01_data", "01_data"), ("06_train.opmask.voc", "06_train"), ("99_summary", "99_summary")]


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.found if name == tag]


def _notebook(path: Path, title: str, *cells: Any) -> None:
    first = nbformat.v4.new_markdown_cell(
        f"# {title}\n\n**Question.** How *large* is $x$?\n\nMore."
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[first, *cells]), path)


def _code(source: str, *outputs: Any, tags: tuple[str, ...] = ()) -> Any:
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=1)
    cell.metadata["tags"] = list(tags)
    return cell


def _display(**data: str) -> Any:
    kinds = {"html": "text/html", "png": "image/png", "text": "text/plain", "latex": "text/latex"}
    data = {kinds[kind]: content for kind, content in data.items()}
    return nbformat.v4.new_output("display_data", data=data)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of three steps, of which the last has not run."""
    folder = tmp_path / "results"
    _notebook(
        folder / "notebooks/01_data.ipynb",
        "What is in the sets",
        _code("n: int = 5  # boxes", tags=("parameters",)),
        _code("n = 3", tags=("injected-parameters",)),
        nbformat.v4.new_markdown_cell(
            "## Sizes $s_i$\n\nSee [the next](06_train.opmask.voc.ipynb#a).\n\n$$a * b * c$$\n\n"
            "| a | b |\n|---|---|\n| $x_1$ | 2 |"
        ),
        _code(
            "print('a < b')",
            nbformat.v4.new_output("stream", name="stdout", text="a < b\n\x1b[31mred\x1b[0m\n"),
            _display(png=PIXEL, text="<Figure>"),
            _display(html="<table><tr><td>5</td></tr></table>", text="5"),
            _display(latex="$y^2$", text="Math"),
        ),
    )
    _notebook(folder / "notebooks/06_train.opmask.voc.ipynb", "Training", _code("x = 1"))
    _notebook(tmp_path / "notebooks/99_summary.ipynb", "What holds")
    (folder / "tables").mkdir()
    (folder / "tables/sizes.csv").write_text("a\n1\n")
    (folder / "figures").mkdir()
    (folder / "figures/sizes.png").write_bytes(base64.b64decode(PIXEL))
    base = {"kind": "value", "tolerance": 0.02, "paper": "A", "source": "Fig. 1"}
    nothing = {"observed": None, "ci_low": None, "ci_high": None}
    seen = {"observed": 0.31234567, "ci_low": -0.1, "ci_high": 0.4, "step": "01_data"}
    pd.DataFrame(
        [
            base
            | seen
            | {"id": "A.x", "statement": "x < y", "expected": 0.5554, "verdict": "direction holds"},
            base
            | nothing
            | {"id": "A.y", "statement": "y", "expected": None, "step": "06_train"}
            | {"verdict": "not run"},
        ]
    ).to_csv(folder / "claims.csv", index=False)
    record = {
        "commit": "0123456789abcdef",
        "dirty": True,
        "finished": "2026-01-01 00:00 UTC",
        "seconds": 75.0,
        "device": "CPU",
        "notes": ["Uses output of 00 that was kept."],
        "outputs": {
            "figures/sizes.png": {"kind": "figure", "caption": "Sizes & shares."},
            "figures/sizes.svg": {"kind": "figure", "caption": "Sizes & shares."},
            "tables/sizes.csv": {"kind": "table"},
        },
    }
    provenance = {"profile": "toy", "steps": {"01_data": record}}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    return folder


def _build(results: Path, steps: Sequence[tuple[str, str]] = STEPS) -> list[str]:
    return build_site(
        results,
        profile="toy",
        description="a <toy>",
        steps=steps,
        sources=results.parent / "notebooks",
        units={"A.x": "fraction"},
    )


def test_every_page_stands_alone_and_every_link_leads_somewhere(results: Path) -> None:
    assert _build(results) == []
    for page in [results / "index.html", *results.glob("notebooks/*.html")]:
        html = page.read_text()
        tags = Tags(html)
        assert not tags.all("script")
        assert not [t for t in tags.all("link") if not t["href"].startswith("data:")]
        assert "@import" not in html
        assert "url(" not in html
        assert all(image["src"].startswith("data:") for image in tags.all("img"))
        assert all(image["alt"] for image in tags.all("img"))
        ids = {attributes.get("id") for _, attributes in tags.found}
        for link in tags.all("a"):
            target, _, place = link["href"].partition("#")
            assert (page.parent / target).exists(), link
            assert target or place in ids
        assert page.stat().st_size < 60_000


def test_a_page_shows_text_figures_tables_formulas_and_folds_code(results: Path) -> None:
    _build(results)
    html = (results / "notebooks/01_data.html").read_text()
    tags = Tags(html)
    folded = re.findall(r"<summary>(.*?)</summary>", html)
    assert folded == ["Parameters and their defaults", "Parameters of this run", "Code"]
    assert not [d for d in tags.all("details") if "open" in d]
    assert len(tags.all("math")) == 5
    assert "formula" not in html.split("</style>")[1].lower()
    assert "a &lt; b" in html
    assert "\x1b" not in html
    assert tags.all("img")[0]["alt"].startswith("Figure: Sizes")
    assert "<td>5</td>" in html
    assert 'href="06_train.opmask.voc.html#a"' in html
    # A table of markdown with a formula in a cell stays a table.
    assert re.search(r"<td><math.*?</td>", html, re.DOTALL)


def test_pages_lead_to_their_neighbours(results: Path) -> None:
    _build(results)
    first = (results / "notebooks/01_data.html").read_text()
    second = (results / "notebooks/06_train.opmask.voc.html").read_text()
    assert first.count('href="06_train.opmask.voc.html"') == 2
    assert second.count('href="01_data.html"') == 2
    assert "99_summary" not in second
    assert first.count('href="../index.html"') == 2


def test_the_front_page_tells_claims_figures_pages_tables_and_provenance(results: Path) -> None:
    _build(results)
    html = (results / "index.html").read_text()
    for text in (
        "a &lt;toy&gt;",
        "x &lt; y",
        ">55.54 %<",
        "31.23 %",
        "−10.00 to 40.00 %",
        '<span class="verdict good">direction holds</span>',
        "1 further claims that",
        "1 not run<",
        ">in words<",
        "Sizes &amp; shares.",
        "How large is x?",
        ">Training: opmask, voc<",
        "99_summary · not run",
        "What holds",
        'href="tables/sizes.csv"',
        "0123456789",
        "1 min 15 s",
        "Uses output of 00",
    ):
        assert text in html, text
    assert html.count("<figure>") == 1
    assert "nan" not in html.split("</style>")[1].lower().replace("provenance", "")


def test_repetitions_of_a_step_are_one_entry_with_a_link_to_each(results: Path) -> None:
    ids = [f"06_train.opmask.voc.seed{number}" for number in range(3)]
    for step in ids[:2]:
        _notebook(results / f"notebooks/{step}.ipynb", "Training")
    _notebook(results.parent / "notebooks/06_train.ipynb", "Training")
    once = ("06_train.baseline.seed0", "06_train")
    _build(results, [STEPS[0], *((step, "06_train") for step in ids), once])
    html = (results / "index.html").read_text()
    entries = re.findall(r"<li>(.*?)</li>", html.split('class="cards"')[1], re.DOTALL)
    texts = [" ".join(re.sub(r"<.*?>", "", entry).split()) for entry in entries]
    assert len(texts) == 3
    asked = "How large is x?"
    seeds = "06_train.opmask.voc · seeds 0, 1, 2 (not run)"
    assert texts[0].endswith(asked)  # and the others ask the same
    assert texts[1] == f"Training: opmask, voc {seeds}"
    assert texts[2] == "Training: baseline 06_train.baseline.seed0 · not run"
    links = [link["href"] for link in Tags(entries[1]).all("a")]
    assert links == [f"notebooks/{step}.html" for step in (ids[0], *ids[:2])]
    page = (results / f"notebooks/{ids[1]}.html").read_text()
    assert "<title>Training: opmask, voc, seed 1 ·" in page


def test_a_page_is_written_again_only_if_something_in_it_changed(results: Path) -> None:
    _build(results)
    files = sorted(results.glob("notebooks/*.html"))

    def times() -> list[int]:
        return [file.stat().st_mtime_ns for file in files]

    before = times()
    _build(results)
    assert times() == before
    _notebook(results / "notebooks/06_train.opmask.voc.ipynb", "Training", _code("x = 2"))
    _build(results)
    assert [old == new for old, new in zip(before, times(), strict=True)] == [True, False]


def test_the_page_of_a_step_that_has_no_results_any_more_goes_away(results: Path) -> None:
    _build(results)
    (results / "notebooks/06_train.opmask.voc.ipynb").unlink()
    _build(results)
    assert not (results / "notebooks/06_train.opmask.voc.html").exists()
    assert "06_train" not in (results / "notebooks/01_data.html").read_text().split("</style>")[
        1
    ].replace("06_train.opmask.voc.html#a", "")


def test_a_page_that_is_too_large_is_named(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "LARGEST_PAGE", 10_000)
    problems = _build(results)
    assert any("01_data.html has 0.0 MB" in problem for problem in problems)


def test_a_site_without_any_results_is_a_page_that_says_so(tmp_path: Path) -> None:
    assert _build(tmp_path / "results") == []
    html = (tmp_path / "results/index.html").read_text()
    assert "No step has finished yet." in html
    assert html.count("· not run") == len(STEPS)


@pytest.mark.parametrize("content", ["{", '{"profile": "toy", "steps": {"01_data": {}}}'])
def test_a_damaged_provenance_is_a_sentence_and_the_site_is_there(
    results: Path, content: str
) -> None:
    (results / "provenance.json").write_text(content)
    (problem,) = _build(results)
    assert "provenance.json" in problem and "Delete it and run again" in problem
    assert "No step has finished yet." in (results / "index.html").read_text()
    with pytest.raises(ValueError, match=r"provenance\.json"):
        checked(results)


def test_the_readme_takes_nothing_but_the_whole_demo(results: Path) -> None:
    with pytest.raises(ValueError, match="holds those of 'toy'"):
        checked(results)
    (results / "provenance.json").write_text('{"profile": "demo", "steps": {}}')
    assert checked(results) == results / "claims.csv"

"""Executed notebooks as pages: text and figures first, code to unfold, nothing from the network."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lib.files import read_json, write_text
from lib.pages.maths import Formulas, to_mathml

HERE = Path(__file__).resolve().parent
LARGEST_PAGE = 2_000_000
"""Greatest size of a page, in bytes."""

_DIGEST = re.compile(r"<!-- source ([0-9a-f]+) -->")
_NOTEBOOK_LINK = re.compile(r'(href="(?![a-z]+:)[^"#]*?)\.ipynb([#"])')


@dataclass(frozen=True)
class PageInfo:
    """What other pages say of one.

    Args:
        step: id of the step, which is also the file name without suffix.
        title: its first heading.
        question: the first paragraph below it, without a leading "Question.".
    """

    step: str
    title: str
    question: str


def describe(notebook: Path, step: str) -> PageInfo:
    """Return title and question of a notebook, as plain text; the step's id if it has no title."""
    title, question = step, ""
    cells = read_json(notebook)["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells[:3] if c["cell_type"] == "markdown")
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("# "):
            title = _plain(line[2:])
            break
    for line in lines:
        if line.startswith("#") or (question and not line.strip()):
            break
        question = f"{question} {line}".strip()
    return PageInfo(step, title, re.sub(r"^Question[.:] *", "", _plain(question)))


def render_page(
    notebook: Path,
    target: Path,
    info: PageInfo,
    *,
    profile: str,
    banner: str = "",
    before: PageInfo | None,
    after: PageInfo | None,
) -> bool:
    """Write the page of an executed notebook, unless it is there already.

    Args:
        notebook: the executed notebook.
        target: the HTML file.
        info: what it is about.
        profile: name of the profile, or of a run of its own.
        banner: how the run differs from its profile; empty if it does not.
        before: the page before it.
        after: the page after it.

    Returns:
        Whether it was written anew.
    """
    key = repr((profile, banner, info, before, after, _look())).encode()
    digest = hashlib.sha256(notebook.read_bytes() + key).hexdigest()[:16]
    if target.exists():
        found = _DIGEST.search(target.read_text(encoding="utf-8")[:2000])
        if found and found[1] == digest:
            return False
    page = {
        "digest": digest,
        "step": info.step,
        "title": info.title,
        "profile": profile,
        "banner": banner,
        "previous": before,
        "next": after,
        "css": style_sheet(),
    }
    write_text(target, to_html(_read(notebook), page))
    return True


def to_html(notebook: Any, page: dict[str, Any]) -> str:
    """Return the page of a notebook.

    Args:
        notebook: an nbformat notebook.
        page: what ``page.html.j2`` says of the page: digest, step, title, profile, banner,
            previous, next and css.
    """
    exporter = _exporter()
    exporter.environment.globals["page"] = page
    html, _ = exporter.from_notebook_node(notebook)
    return _NOTEBOOK_LINK.sub(r"\1.html\2", html)


def too_large(page: Path) -> str | None:
    """Return a sentence if a page is larger than readers should have to load."""
    size = page.stat().st_size
    if size <= LARGEST_PAGE:
        return None
    return (
        f"The page {page.name} has {size / 1e6:.1f} MB; at most {LARGEST_PAGE / 1e6:.0f} MB are "
        "allowed. Show fewer or smaller pictures in its notebook."
    )


@cache
def style_sheet() -> str:
    """Return the style sheet of all pages, colours of code included."""
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

    code = str(HtmlFormatter(style="friendly", nobackground=True).get_style_defs(".highlight"))
    rules = [line for line in code.splitlines() if line.startswith(".highlight .")]
    return (HERE / "page.css").read_text(encoding="utf-8") + "\n".join(rules) + "\n"


def _read(notebook: Path) -> Any:
    """Return a notebook whose pictures have a text for those who cannot see them."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    heading = ""
    for cell in content.cells:
        if cell.cell_type == "markdown":
            heads = re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE)
            heading = _plain(heads[-1]) if heads else heading
            continue
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    output.metadata.setdefault(kind, {}).setdefault("alt", f"Figure: {heading}")
    return content


@cache
def _look() -> str:
    """Return a digest of everything that decides how a page looks."""
    files = [HERE / name for name in ("page.css", "page.html.j2", "page.py", "maths.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def _exporter() -> Any:
    from jinja2 import DictLoader, pass_context
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    class Exporter(HTMLExporter):
        """nbconvert's exporter with formulas as MathML."""

        @pass_context
        def markdown2html(self, context: Any, source: str) -> str:
            formulas = Formulas()
            html = super().markdown2html(context, formulas.take_out(source))
            return formulas.put_back(html)

    name = "page.html.j2"
    template = (HERE / name).read_text(encoding="utf-8")
    exporter = Exporter(
        template_name="basic",
        template_file=name,
        extra_loaders=[DictLoader({name: template})],
        embed_images=True,
    )
    # A log that came line by line reads as one block.
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    exporter.register_filter("mathml", lambda text: to_mathml(text.strip("$ \n"), block=True))
    return exporter


def _plain(markdown: str) -> str:
    """Return a line of markdown without its marks."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"(?<!\w)[*_]{1,3}|[*_]{1,3}(?!\w)|`|\$", "", text).strip()

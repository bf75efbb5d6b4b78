"""The site of a profile: a page per executed notebook and the front page.

Everything is read from the results folder, so that what the site says is what its files say.
"""

import base64
import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.files import write_text
from lib.pages.page import HERE, PageInfo, describe, render_page, style_sheet, too_large
from lib.pages.provenance import StepRecord, read_provenance
from lib.variant import split_seed

EMBEDDED_FIGURES = 1_400_000
"""Bytes of figures that the front page holds itself; the others it links."""


def build_site(
    results: Path,
    *,
    profile: str,
    description: str,
    banner: str = "",
    steps: Sequence[tuple[str, str]],
    sources: Path,
    units: Mapping[str, str] | None = None,
) -> list[str]:
    """Write the pages and ``index.html`` of a profile.

    Args:
        results: the profile's results folder, with ``notebooks/*.ipynb`` and what else steps made.
        profile: name of the profile, or of a run of its own.
        description: what the profile is, in a sentence or two.
        banner: how the run differs from its profile; empty if it does not.
        steps: id and notebook of every step of the profile, in order.
        sources: folder of the notebooks' sources, for the titles of steps that did not run.
        units: unit of each claim by id; see `lib.pages.claims_table`.

    Returns:
        A sentence for each page that is too large, and for a damaged ``provenance.json``.
    """
    folder = results / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    known: list[tuple[PageInfo, bool]] = []
    for step, notebook in steps:
        executed, source = folder / f"{step}.ipynb", sources / f"{notebook}.ipynb"
        place = executed if executed.exists() else source
        info = describe(place, step) if place.exists() else PageInfo(step, step, "")
        known.append((_with_variant(info, notebook), executed.exists()))

    done = [info for info, is_done in known if is_done]
    pages = [folder / f"{info.step}.html" for info in done]
    for at, (info, page) in enumerate(zip(done, pages, strict=True)):
        render_page(
            folder / f"{info.step}.ipynb",
            page,
            info,
            profile=profile,
            banner=banner,
            before=done[at - 1] if at > 0 else None,
            after=done[at + 1] if at + 1 < len(done) else None,
        )
    for stale in set(folder.glob("*.html")) - set(pages):
        stale.unlink()
    problems = []
    try:
        provenance = read_provenance(results)
    except ValueError as error:
        provenance, problems = None, [str(error)]
    index = results / "index.html"
    content = {
        "profile": profile, "description": description, "banner": banner, "provenance": provenance,
        "cards": _cards(known),
        "claims": _claims(results, [info.step for info in done], units or {}),
    }  # fmt: skip
    write_text(index, _index(results, content))
    return problems + [problem for page in [*pages, index] if (problem := too_large(page))]


def _with_variant(info: PageInfo, notebook: str) -> PageInfo:
    """Return ``info`` with the variant in the title, which all variants of a notebook share."""
    base, seed = split_seed(info.step)
    title, variant = info.title, base.removeprefix(notebook).lstrip(".")
    if variant and variant not in title:
        title += f": {variant.replace('.', ', ')}"
    return PageInfo(info.step, title + _ending(seed), info.question)


def _ending(seed: int | None) -> str:
    return "" if seed is None else f", seed {seed}"


def _cards(known: Sequence[tuple[PageInfo, bool]]) -> list[dict[str, Any]]:
    """Return what the front page says of each page; of a step's repetitions once.

    Args:
        known: every page, and whether it is there.

    Returns:
        For each step its title and name, its question where the one before has another, and for
        each of its pages the id, the seed and whether it is there.
    """
    steps: dict[str, list[tuple[PageInfo, bool]]] = {}
    for info, is_done in known:
        steps.setdefault(split_seed(info.step)[0], []).append((info, is_done))
    cards, asked = [], ""
    for base, pages in steps.items():
        first = pages[0][0]
        seeds = [split_seed(info.step)[1] for info, _ in pages]
        cards.append(
            {
                "title": first.title.removesuffix(_ending(seeds[0])),
                "question": first.question if first.question != asked else "",
                "name": base if len(pages) > 1 else first.step,
                "pages": [
                    {"step": info.step, "seed": seed, "done": is_done}
                    for seed, (info, is_done) in zip(seeds, pages, strict=True)
                ],
            }
        )
        asked = first.question
    return cards


def _index(results: Path, content: Mapping[str, Any]) -> str:
    """Return the front page."""
    from jinja2 import Environment

    template = (HERE / "index.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    steps = content["provenance"].steps if content["provenance"] else {}
    return environment.from_string(template).render(
        **content,
        css=style_sheet(),
        verdicts=_counts(content["claims"]),
        figures=_figures(results, steps),
        tables=sorted(path.name for path in (results / "tables").glob("*.csv")),
    )


def _claims(results: Path, pages: Sequence[str], units: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of ``claims.csv`` as texts."""
    from lib.metrics.verdicts import read_claims_csv
    from lib.pages.claims_table import LOOKS, ClaimTexts

    path = results / "claims.csv"
    if not path.exists():
        return []
    rows = []
    for row in read_claims_csv(path).to_dict("records"):
        step = str(row["step"])
        texts = ClaimTexts.of(row, units.get(str(row["id"]), ""))
        own = [page for page in pages if page == step or page.startswith(f"{step}.")]
        rows.append(
            {
                **{key: row[key] for key in ("id", "paper", "source", "statement", "primary")},
                "seen": not math.isnan(row["observed"]),
                "expected": texts.expected,
                "observed": texts.observed,
                "interval": texts.interval,
                "marks": texts.marks,
                "verdict": row["verdict"],
                "note": texts.note,
                "tone": LOOKS.get(str(row["verdict"]), ""),
                "step": step,
                "page": own[0] if own else "",
            }
        )
    return rows


def _counts(claims: Sequence[dict[str, Any]]) -> list[tuple[str, int, str]]:
    """Return each verdict with how often it occurs and its colour, best news first."""
    from lib.metrics.verdicts import VERDICTS
    from lib.pages.claims_table import LOOKS

    counts = Counter(claim["verdict"] for claim in claims)
    return [(name, counts[name], LOOKS.get(name, "")) for name in VERDICTS if name in counts]


def _figures(results: Path, steps: Mapping[str, StepRecord]) -> list[dict[str, str]]:
    """Return each step's first figure with a caption, within the page as far as they fit in."""
    found = []
    left = EMBEDDED_FIGURES
    for step, record in steps.items():
        for name, output in record.outputs.items():
            path = results / name
            if output.get("caption") and path.suffix == ".png" and path.exists():
                content = base64.b64encode(path.read_bytes()).decode()
                left -= len(content)
                source = f"data:image/png;base64,{content}" if left >= 0 else html.escape(name)
                found.append({"step": step, "caption": output["caption"], "source": source})
                break
    return found

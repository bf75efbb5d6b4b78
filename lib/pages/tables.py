"""Tables for pages: static HTML, numbers right-aligned, missing values as a dash; their columns."""

import html
import numbers
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lib.metrics.bootstrap import Interval

MISSING = "–"

COUNT = "seeds"
"""Column of whole numbers, in tables with a dash where nothing was trained."""

MOST_DECIMALS = 6


@dataclass(frozen=True)
class Table:
    """A table that notebooks show as HTML; without Jupyter it prints as text.

    Args:
        html: the table element.
        text: the same as plain text.
    """

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def show(
    frame: pd.DataFrame,
    *,
    percent: Collection[str] = (),
    digits: int | Mapping[str, int] = 2,
    caption: str = "",
) -> Table:
    """Return ``frame`` as a table to look at, without its index.

    Args:
        frame: one row per line; column names are the headings, with underscores as spaces.
        percent: columns that hold fractions of 1, to be shown as percentages.
        digits: decimals of numbers that are not integers, for all columns or by column (then 2
            for those not named); in ``percent`` columns the decimals of the percentage.
        caption: a sentence above the table.

    Raises:
        ValueError: if ``percent`` or ``digits`` names a column that is not there.
    """
    named = set(percent) | (set(digits) if isinstance(digits, Mapping) else set())
    if unknown := sorted(named - set(map(str, frame.columns))):
        raise ValueError(
            f"The table has no column {', '.join(unknown)}; it has "
            f"{', '.join(map(str, frame.columns))}."
        )
    cells: dict[str, list[str]] = {}
    sides: list[str] = []
    for name, column in frame.items():
        values = column.tolist()
        places = digits.get(str(name), 2) if isinstance(digits, Mapping) else digits
        places = 0 if name == COUNT else places
        texts = [_cell(v, places=places, percent=name in percent) for v in values]
        cells[str(name).replace("_", " ")] = texts
        sides.append("right" if all(_is_number(v) or pd.isna(v) for v in values) else "left")

    def row(tag: str, texts: Iterable[str]) -> str:
        parts = (
            f'<{tag} style="text-align: {side}">{html.escape(text)}</{tag}>'
            for side, text in zip(sides, texts, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    shown = pd.DataFrame(cells)
    body = "\n".join(row("td", texts) for texts in shown.itertuples(index=False))
    title = f"<caption>{html.escape(caption)}</caption>\n" if caption else ""
    return Table(
        f'<table class="numbers">\n{title}<thead>{row("th", cells)}</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>",
        f"{caption}\n" * bool(caption)
        + (shown.to_string(index=False) if len(shown) else "  ".join(cells)),
    )


def points(interval: Interval) -> dict[str, float]:
    """Return an interval as the columns ours, ci_low and ci_high, in points of 100."""
    estimate, low, high = interval.scaled(100)
    return {"ours": estimate, "ci_low": low, "ci_high": high}


def decimals_of(value: float, least: int) -> int:
    """Return the decimals with which a number that is not 0 does not look like 0.

    A verdict may hang on its sign, and "0.0 to 2.1" hides the sign of its first end.

    Args:
        value: the number.
        least: decimals of numbers that show a digit with them.

    Returns:
        ``least`` or as many more as it takes; of what is 0 to six decimals, ``least``.
    """
    return next((n for n in range(least, MOST_DECIMALS + 1) if round(value, n)), least)


def _cell(value: Any, *, places: int, percent: bool) -> str:
    if pd.isna(value):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not _is_number(value):
        return str(value)
    if percent:
        text = f"{100 * value:z.{places}f} %"
    else:
        text = f"{value:,}" if isinstance(value, numbers.Integral) else f"{value:z,.{places}f}"
    return text.replace(",", "\u2009").replace("-", "\u2212")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)

"""Formulas of markdown cells as MathML, which browsers show without any script."""

import re
from dataclasses import dataclass, field
from html import escape

_PIECES = re.compile(
    r"(?P<code>^(?P<fence>```+|~~~+).*?^(?P=fence)|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)|\\\$)"
    r"|\$\$(?P<block>.+?)\$\$"
    r"|(?<![\w$])\$(?P<inline>[^\s$](?:[^$]*?[^\s$\\])?)\$(?![\w$])",
    re.DOTALL | re.MULTILINE,
)
_TOKEN = re.compile(r"formula(\d+)elumrof")
_ATTRIBUTE = re.compile(r'\b(?:id|href)="[^"]*"')


@dataclass
class Formulas:
    """The formulas taken out of one text, to be put back after it was rendered."""

    mathml: list[str] = field(default_factory=list)

    def take_out(self, markdown: str) -> str:
        """Return ``markdown`` with a word in place of each formula; code is left alone."""

        def word(match: re.Match[str]) -> str:
            if match["code"]:
                return match[0]
            block = match["block"] is not None
            self.mathml.append(to_mathml(match["block"] or match["inline"], block=block))
            return f"formula{len(self.mathml) - 1}elumrof"

        return _PIECES.sub(word, markdown)

    def put_back(self, html: str) -> str:
        """Return ``html`` with each formula in its place."""
        # A heading's text becomes its id, too, where a formula has no place.
        html = _ATTRIBUTE.sub(lambda match: _TOKEN.sub("", match[0]), html)
        return _TOKEN.sub(lambda match: self.mathml[int(match[1])], html)


def to_mathml(latex: str, *, block: bool = False) -> str:
    """Return a formula as MathML; its source as code where it cannot be converted.

    Args:
        latex: the formula, without dollar signs.
        block: whether it stands on a line of its own.
    """
    from latex2mathml.converter import convert

    try:
        return str(convert(latex.strip(), display="block" if block else "inline"))
    except Exception:  # the converter raises many kinds of errors for wrong LaTeX
        return f"<code>{escape(latex)}</code>"

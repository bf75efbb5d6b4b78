import pytest

from lib.pages.maths import Formulas, to_mathml


def _formulas(markdown: str) -> list[str]:
    formulas = Formulas()
    formulas.take_out(markdown)
    return formulas.mathml


@pytest.mark.parametrize(
    ("markdown", "count"),
    [
        ("the loss $L_m = 1$ falls", 1),
        ("from $a$ to $b_1 * c_2$.", 2),
        ("$$\n\\frac{a}{b}\n$$", 1),
        ("$x$-axis, ($y$)", 2),
        ("costs $5 and $6", 0),
        ("escaped \\$a\\$", 0),
        ("code `$a$` and ``$b$``", 0),
        ("```sh\necho $HOME $PATH$\n```", 0),
        ("no formula", 0),
    ],
)
def test_formulas_are_told_from_prices_and_code(markdown: str, count: int) -> None:
    assert len(_formulas(markdown)) == count


def test_text_without_formulas_is_left_as_it_is() -> None:
    text = "a *b* `$c$`\n\n```\n$d$\n```\n\\$e costs $5"
    assert Formulas().take_out(text) == text


def test_formulas_come_back_in_place_but_not_into_attributes() -> None:
    formulas = Formulas()
    html = formulas.take_out('<h2 id="The-$a$">The $a$ and $b$</h2>')
    back = formulas.put_back(html)
    assert back.startswith('<h2 id="The-">The <math')
    assert back.count("<math") == 2
    assert "formula" not in back


def test_a_formula_that_cannot_be_converted_stays_readable() -> None:
    assert to_mathml(r"\frac{a}{") == r"<code>\frac{a}{</code>"
    assert "<math" in to_mathml(r"\mathrm{IoU} \ge 0.5")
    assert 'display="block"' in to_mathml("a", block=True)

import numpy as np
import pandas as pd
import pytest

from lib.pages.tables import MISSING, show

FRAME = pd.DataFrame(
    {
        "method": ["a & b", None],
        "share": [0.5554, float("nan")],
        "AP_small": [-1.25, 1234.5],
        "boxes": [12345, 7],
        "valid": [True, False],
    }
)


def test_cells_read_as_people_write_them() -> None:
    html = show(FRAME, percent=["share"], digits=1)._repr_html_()
    for text in ("55.5 %", "−1.2", "1\u2009234.5", "12\u2009345", ">yes<", ">no<", "a &amp; b"):
        assert text in html
    assert html.count(f">{MISSING}<") == 2
    assert "nan" not in html.lower()
    assert "None" not in html


def test_minus_is_a_minus_sign_and_nothing_is_not_negative() -> None:
    frame = pd.DataFrame({"a": [-0.001, -0.5], "b": [-0.0001, -0.25], "c": [-3, -12]})
    cells = repr(show(frame, percent=["b"], digits=1)).split("\n", 1)[1]
    assert cells.split() == ["0.0", "0.0", "%", "−3", "−0.5", "−25.0", "%", "−12"]


def test_numbers_are_right_aligned_and_words_left() -> None:
    html = show(FRAME)._repr_html_()
    heads = dict.fromkeys(FRAME.columns)
    for name in heads:
        side = "left" if name in ("method", "valid") else "right"
        assert f'<th style="text-align: {side}">{name.replace("_", " ")}</th>' in html


def test_digits_by_column_and_caption() -> None:
    table = show(FRAME, digits={"AP_small": 0}, caption="Two <rows>")
    assert "1\u2009234<" in table.html  # half to even
    assert "0.56" in table.html
    assert "<caption>Two &lt;rows&gt;</caption>" in table.html
    assert repr(table).startswith("Two <rows>\nmethod")


def test_numpy_and_pandas_values_are_the_same_as_pythons() -> None:
    frame = pd.DataFrame(
        {
            "a": pd.array([1, None], dtype="Int64"),
            "b": np.array([0.5, np.nan], dtype=np.float32),
            "c": pd.array([True, None], dtype="boolean"),
        }
    )
    html = show(frame).html
    assert html.count(f">{MISSING}<") == 3
    assert ">1<" in html
    assert ">0.50<" in html
    assert ">yes<" in html


def test_a_table_without_rows_has_its_headings() -> None:
    assert "AP small" in show(FRAME.iloc[:0]).html
    assert repr(show(FRAME.iloc[:0])).split()[0] == "method"


@pytest.mark.parametrize("wrong", [{"percent": ["shares"]}, {"digits": {"shares": 1}}])
def test_a_column_that_is_not_there_is_named(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="no column shares"):
        show(FRAME, **wrong)  # type: ignore[arg-type]

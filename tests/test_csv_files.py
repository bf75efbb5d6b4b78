import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.csv_files import write_csv


def cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1-2", "-2+3", "@SUM(1+1)", "\t=1", "\n=1", "\r=1", "＝1", "-"]
)
def test_a_text_is_no_formula(tmp_path: Path, text: str) -> None:
    write_csv(pd.DataFrame({text: [1], "name": [text]}), tmp_path / "a.csv")
    for row, column in ((0, 0), (1, 1)):
        cell = cells(tmp_path / "a.csv")[row][column]
        assert cell == "'" + text.replace("\r", "\n")


@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_other_texts_and_numbers_written_as_texts_stay(tmp_path: Path, kind: str) -> None:
    texts = ["a=b", "", "'x", 'a,b"c\nd', "–", "-1.5", "+2", "1e-3", " x"]
    write_csv(pd.DataFrame({"name": pd.Series(texts, dtype=kind)}), tmp_path / "a.csv")
    assert [row[0] if row else "" for row in cells(tmp_path / "a.csv")[1:]] == texts


def test_numbers_are_written_as_pandas_writes_them(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "integer": [-1, 2, 3],
            "real": [-1 / 3, np.nan, 1e20],
            "bool": [True, False, True],
            "mixed": pd.Series([-1, None, -2.5], dtype=object),
            "missing": pd.Series([-1, None, 2], dtype="Int64"),
        }
    )
    write_csv(frame, tmp_path / "a.csv")
    plain = frame.to_csv(index=False, lineterminator="\n", float_format="%.10g")
    assert (tmp_path / "a.csv").read_text() == plain


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    write_csv(pd.DataFrame({"a": [], "b": []}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "a,b\n"

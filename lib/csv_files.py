"""Tables as CSV files that a spreadsheet shows and does not execute."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.files import atomic

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = tuple("=+-@\t\n＝＋－＠")
"""What a text begins with that spreadsheets take for a formula."""


def write_csv(frame: "pd.DataFrame", path: str | Path) -> None:
    """Write ``frame`` without its index, atomically; NaN is an empty field.

    A text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay
    as they are. Equal frames give equal bytes.
    """
    import numpy as np

    guarded = frame.rename(columns=_guarded)
    for at, kind in enumerate(frame.dtypes):
        if not (hasattr(kind, "kind") and kind.kind in "biuf"):
            values = np.empty(len(frame), dtype=object)
            values[:] = [_guarded(value) for value in frame.iloc[:, at]]
            guarded.isetitem(at, values)
    with atomic(path) as temporary:
        guarded.to_csv(temporary, index=False, lineterminator="\n", float_format="%.10g")


def _guarded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # A carriage return alone ends a line for some programs that read CSV.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

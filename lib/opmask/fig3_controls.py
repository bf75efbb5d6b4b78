"""What stands behind Fig. 3's regressions: other properties of the classes, other definitions.

Beside :mod:`lib.opmask.fig3`: the slope of overlap with the number, the size and the
difficulty of a class's objects held fixed, and by every reading of "mean IoU". All are of the mean
over seeds, with intervals over classes alone: they describe, and no claim is judged by them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.data.categories import canonical
from lib.opmask.fig3 import FULL, OUTCOMES
from lib.opmask.fig3_regression import PER, compare, controlled, fit
from lib.opmask.overlap import NAMED, fitting, ranks
from lib.opmask.predictions import METHODS

CONTROLS = {
    "log_instances": "number of instances (log)",
    "log_side": "side of the boxes (log)",
    "of_voc": "VOC class or not",
    "full": "the baseline's AP with masks of all classes",
}
"""Columns of the classes' table that could stand behind overlap -> as people read them."""


def controls_table(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the slopes of overlap with other properties of the classes held fixed.

    Args:
        frame: from :func:`lib.opmask.fig3.class_frame`.

    Returns:
        Columns method, controls, classes, slope, se, ci_low, ci_high, p; and a sentence for every
        group of controls, on what was used or why there is no answer.
    """
    own = {name: text for name, text in CONTROLS.items() if name != "full"}
    groups: dict[str, dict[str, str]] = {"none": {}, "of the class": own}
    rows, lines = [], []
    if frame["full"].notna().any():
        groups["of the class, and AP with masks"] = CONTROLS
    else:
        lines.append(f"{FULL} was not trained, so AP with masks of all classes is no control here.")
    for group, controls in groups.items():
        for method, column in OUTCOMES.items():
            result, line = controlled(frame, column, controls)
            if controls and line not in lines:
                lines.append(line)
            if result:
                rows.append({"method": method, "controls": group, **result})
    names = {"n": "classes", "low": "ci_low", "high": "ci_high"}
    table = pd.DataFrame(
        rows, columns=["method", "controls", "n", "slope", "se", "low", "high", "p"]
    )
    return table.rename(columns=names), lines


def places(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return where the classes that the paper names stand, by every definition, crowds out and in.

    Args:
        tables: name of the labels -> :func:`lib.opmask.overlap.definitions_table`.

    Returns:
        Columns labels, definition, crowds, person_above, cat_above (the share of the other classes
        with a lower overlap), fits (whether both are in the upper quarter; NaN without both).
    """
    rows = []
    for name, table in tables.items():
        found = ranks(table)
        by_name = found.assign(name=found["name"].map(canonical))
        above = by_name.set_index(["name", "definition", "crowds"])["above"]
        fits = fitting(found).set_index(["definition", "crowds"])["fits"]
        for key, _ in table.groupby(["definition", "crowds"], sort=False):
            row: dict[str, Any] = {"labels": name, "definition": key[0], "crowds": key[1]}
            row |= {f"{named}_above": above.get((named, *key), np.nan) for named in NAMED}
            rows.append(row | {"fits": fits.get(key, np.nan)})
    return pd.DataFrame(rows)


def definitions_frame(
    frame: pd.DataFrame,
    own: Mapping[str, pd.DataFrame],
    others: Mapping[str, pd.DataFrame],
    *,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return what the regression says by every definition of overlap, crowds out and in.

    Definitions differ in scale by tens, so slopes are per standard deviation of the overlap among
    the classes, and not per 0.01.

    Args:
        frame: from :func:`lib.opmask.fig3.class_frame`; its own overlap is not used.
        own: name of the study's labels -> :func:`lib.opmask.overlap.definitions_table`.
        others: the same of other labels; they have ranks and no regression.
        resamples: of the bootstrap over classes.
        seed: of the resamples.

    Returns:
        The columns of :func:`places`, and classes, spread (standard deviation of the overlap), for
        each method slope, low, high (t) and p, and flatter, ci_low, ci_high (bootstrap over
        classes).
    """
    rows = []
    for row in places({**own, **others}).to_dict("records"):
        values = pd.Series(dtype=float)
        if (table := own.get(row["labels"])) is not None:
            of = (table["definition"] == row["definition"]) & (table["crowds"] == row["crowds"])
            values = table[of].set_index("name")["overlap"]
        overlap = frame["name"].map(values).astype(float)
        rows.append(row | _scaled(frame, overlap, resamples=resamples, seed=seed))
    return pd.DataFrame(rows)


def places_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return :func:`places` as it is shown: crowd regions out, and labels without both classes."""
    shown = table[~table["crowds"].astype(bool)].drop(columns="crowds")
    return shown.dropna(subset=[f"{name}_above" for name in NAMED], how="all", ignore_index=True)


def slopes_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the slopes of :func:`definitions_frame` as they are shown, of the study's own labels.

    Crowd regions are out.
    """
    columns = [
        "labels", "definition", "classes", "baseline_slope", "baseline_p", "opmask_slope",
        "opmask_p", "flatter",
    ]  # fmt: skip
    shown = ~table["crowds"].astype(bool) & table["baseline_slope"].notna()
    return table.loc[shown, columns].reset_index(drop=True)


def _scaled(
    frame: pd.DataFrame, overlap: pd.Series, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Return the regressions on one definition, slopes per standard deviation of overlap."""
    usable = overlap.notna() & frame[list(METHODS)].notna().all(axis=1)
    x, aps = overlap[usable], {method: frame.loc[usable, method] for method in METHODS}
    spread = float(x.std())
    columns = [f"{method}_{part}" for method in METHODS for part in ("slope", "low", "high", "p")]
    columns += ["flatter", "ci_low", "ci_high"]
    row = {"classes": len(x), "spread": spread}
    try:
        found = compare(x, *aps.values(), resamples=resamples, seed=seed)
    except ValueError:  # too few classes, or all alike by this definition
        return row | dict.fromkeys(columns, np.nan)
    unit, values = spread / PER, []
    for line in (fit(x, ap) for ap in aps.values()):
        values += [line.slope * unit, line.low * unit, line.high * unit, line.p]
    values += found.flatter.interval.scaled(unit)
    return row | dict(zip(columns, values, strict=True))
